package accesslog

import (
	"unicode/utf8"

	"alicorn/config"
	"alicorn/proxy"
)

// escaping is how values of variables are made harmless in a line.
type escaping uint8

const (
	escapeDefault escaping = iota
	escapeJSON
	escapeNone
)

// format is a log_format, compiled once its variables are known.
type format struct {
	pieces   []proxy.Piece
	escaping escaping
}

func newFormat(l *config.Load, pos config.Pos, text string, esc escaping) *format {
	f := &format{escaping: esc}
	proxy.ParsePieces(l, pos, text, func(pieces []proxy.Piece) { f.pieces = pieces })
	return f
}

// appendLine appends the line for x, without its end.
func (f *format) appendLine(x *proxy.Exchange, b []byte) []byte {
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.Get == nil {
			b = append(b, p.Literal...)
			continue
		}
		start := len(b)
		var found bool
		b, found = p.Get(x, b)
		switch {
		case !found && f.escaping == escapeDefault:
			b = append(b[:start], '-')
		case !found:
			b = b[:start]
		default:
			b = f.escaping.escape(b, start)
		}
	}
	return b
}

// escape escapes b[start:] in place.
func (e escaping) escape(b []byte, start int) []byte {
	for i := start; i < len(b); i++ {
		if e.special(b[i]) {
			return e.rewrite(b, i)
		}
	}
	return b
}

func (e escaping) special(c byte) bool {
	switch e {
	case escapeDefault:
		return c < ' ' || c == '"' || c == '\\' || c >= 0x7f
	case escapeJSON:
		return c < ' ' || c == '"' || c == '\\' || c >= 0x80
	}
	return false
}

const upperHex = "0123456789ABCDEF"

// rewrite escapes from i on, where the first special byte is.
func (e escaping) rewrite(b []byte, i int) []byte {
	var stack [256]byte
	tail := append(stack[:0], b[i:]...)
	b = b[:i]
	for n := 0; n < len(tail); n++ {
		c := tail[n]
		switch {
		case !e.special(c):
			b = append(b, c)
		case e == escapeDefault:
			b = append(b, '\\', 'x', upperHex[c>>4], upperHex[c&15])
		case c >= 0x80:
			size := 1
			if r, width := utf8.DecodeRune(tail[n:]); r != utf8.RuneError {
				size = width
				b = append(b, tail[n:n+size]...)
			} else {
				b = append(b, "\\uFFFD"...)
			}
			n += size - 1
		default:
			b = appendJSON(b, c)
		}
	}
	return b
}

func appendJSON(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
}
