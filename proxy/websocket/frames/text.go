package frames

import (
	"encoding/binary"
	"unicode/utf8"
)

// textCheck checks a text as UTF-8 while it comes in parts. It holds the sequence that
// the last part has left incomplete.
type textCheck struct {
	begun [utf8.UTFMax]byte
	n     int
}

// more reports whether the text may go on as p does: no byte of it makes the text
// invalid.
func (c *textCheck) more(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.begun[c.n] = p[0]
		c.n++
		p = p[1:]
		if utf8.FullRune(c.begun[:c.n]) {
			if r, size := utf8.DecodeRune(c.begun[:c.n]); r == utf8.RuneError && size <= 1 {
				return false
			}
			c.n = 0
		}
	}
	p = p[ascii(p):]
	if utf8.Valid(p) {
		return true
	}
	whole := len(p) - incomplete(p)
	c.n = copy(c.begun[:], p[whole:])
	return c.n > 0 && utf8.Valid(p[:whole])
}

// whole reports whether the text may end here.
func (c *textCheck) whole() bool { return c.n == 0 }

// ascii returns how many bytes of ASCII p begins with, in steps of 8.
func ascii(p []byte) (n int) {
	for len(p)-n >= 8 && binary.LittleEndian.Uint64(p[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	return n
}

// incomplete returns the length of the sequence at p's end that needs more bytes; 0 if
// there is none.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if utf8.RuneStart(p[len(p)-n]) {
			if utf8.FullRune(p[len(p)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}
