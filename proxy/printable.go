package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

// IsPrintable reports whether a terminal shows r as text. It is false for control
// characters, those of Unicode's C1 too, for marks that change the direction of the text
// after them, and for utf8.RuneError, which stands for bytes that are not UTF-8. Tabs and
// ends of lines are control characters.
func IsPrintable(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r <= 0x9f:
		return false
	case r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return false
	}
	return r != utf8.RuneError
}

// AppendPrintable appends text. Bytes of characters that are not printable become \xHH;
// tabs and ends of lines stay.
func AppendPrintable(dst []byte, text string) []byte {
	for text != "" {
		n := plain(text)
		dst, text = append(dst, text[:n]...), text[n:]
		if text == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(text)
		if r == '\n' || r == '\t' || IsPrintable(r) {
			dst = append(dst, text[:size]...)
		} else {
			for _, b := range []byte(text[:size]) {
				dst = fmt.Appendf(dst, `\x%02X`, b)
			}
		}
		text = text[size:]
	}
	return dst
}

// plain returns how many bytes at the start of text are printable ASCII: most
// text is nothing else, and is copied as a whole.
func plain(text string) int {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return i
		}
	}
	return len(text)
}

// Printable returns text as AppendPrintable writes it.
func Printable(text string) string {
	for _, r := range text {
		if r != '\n' && r != '\t' && !IsPrintable(r) {
			return string(AppendPrintable(nil, text))
		}
	}
	return text
}

// quotable returns s for a quoted part of a log line, as nginx writes it: control
// characters, quotes, backslashes and bytes from 0x7f on become \xHH.
func quotable(s string) string {
	for i := 0; i < len(s); i++ {
		if !isQuotable(s[i]) {
			return escapeQuotable(s)
		}
	}
	return s
}

func isQuotable(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c < 0x7f }

func escapeQuotable(s string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if c := s[i]; isQuotable(c) {
			out = append(out, c)
		} else {
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

// SystemText returns the system's number and text for err as nginx logs them: "2: No such
// file or directory". For an error that has no number it returns err's own text.
func SystemText(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err.Error()
	}
	text := number.Error()
	return strconv.Itoa(int(number)) + ": " + strings.ToUpper(text[:1]) + text[1:]
}
