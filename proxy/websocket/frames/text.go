package frames

import (
	"encoding/binary"
	"unicode/utf8"
)

// textCheck checks whether a text that comes in parts is valid UTF-8.
type textCheck struct {
	begun [utf8.UTFMax]byte // the incomplete character at the end of the last part
	n     int               // how many bytes begun has
}

// more reports whether the text with p may still become valid.
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

// whole reports whether the text is valid if it ends here.
func (c *textCheck) whole() bool { return c.n == 0 }

// ascii returns how many bytes at the start of p are ASCII, as a multiple of 8.
func ascii(p []byte) (n int) {
	for len(p)-n >= 8 && binary.LittleEndian.Uint64(p[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	return n
}

// incomplete returns how many bytes of an incomplete character p ends with.
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
