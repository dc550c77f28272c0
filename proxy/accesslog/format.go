package accesslog

import (
	"unicode/utf8"

	"alicorn/config"
	"alicorn/proxy"
)

// escaping says how values of variables are escaped in a line.
type escaping uint8

const (
	escapeDefault escaping = iota
	escapeJSON
	escapeNone
)

// format is a log_format. It is compiled once all variables are known.
type format struct {
	pieces   []proxy.Piece
	escaping escaping
	clock    clock
}

func newFormat(l *config.Load, pos config.Pos, text string, esc escaping) *format {
	f := &format{escaping: esc}
	proxy.ParsePieces(l, pos, text, func(pieces []proxy.Piece) {
		f.pieces = pieces
		for i := range pieces {
			f.clock.take(&pieces[i])
		}
	})
	return f
}

// appendLine appends the line for x, without a line end.
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

// escape returns b with b[start:] escaped.
func (e escaping) escape(b []byte, start int) []byte {
	if e == escapeNone {
		return b
	}
	special := &specials[e]
	for i := start; i < len(b); i++ {
		if special[b[i]] {
			return e.rewrite(b, i)
		}
	}
	return b
}

// specials are the bytes that each escaping may change. It leaves all others as they are.
var specials = func() (t [escapeNone][256]bool) {
	for c := range 256 {
		control := c < ' ' || c == '"' || c == '\\'
		t[escapeDefault][c] = control || c >= 0x7f
		t[escapeJSON][c] = control || c >= 0x80
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// rewrite escapes b from the first special byte, which is at i. It appends the escaped text to
// b, and then moves it to i.
func (e escaping) rewrite(b []byte, i int) []byte {
	raw := b[i:]
	end := len(b)
	special := &specials[e]
	for n := 0; n < len(raw); n++ {
		c := raw[n]
		switch {
		case !special[c]:
			b = append(b, c)
		case e == escapeDefault:
			b = append(b, '\\', 'x', upperHex[c>>4], upperHex[c&15])
		case c >= 0x80:
			r, width := utf8.DecodeRune(raw[n:])
			if r == utf8.RuneError && width == 1 {
				b = append(b, "\\uFFFD"...)
			} else {
				b = append(b, raw[n:n+width]...)
			}
			n += width - 1
		default:
			b = appendJSON(b, c)
		}
	}
	return append(b[:i], b[end:]...)
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
