package charset

import (
	"sync"
	"unicode/utf8"

	"alicorn/proxy"
)

// converter is the body filter that converts the text of a response.
type converter struct {
	table *table
	rest  [utf8.UTFMax]byte // the beginning of a character whose end has not come
	n     int               // the length of that
	out   []byte
}

// share is how many bytes are converted at once.
const share = 8 << 10

var converters = sync.Pool{New: func() any { return &converter{out: make([]byte, 0, share)} }}

func newConverter(t *table) *converter {
	c := converters.Get().(*converter)
	c.table, c.n = t, 0
	return c
}

// Write converts p, except the beginning of a character whose end has not come.
func (c *converter) Write(next proxy.BodyWriter, p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), share)]
		if c.n > 0 {
			part = append(c.rest[:c.n], p[0])
			p = p[1:]
		} else {
			p = p[len(part):]
		}
		if err := c.convert(next, part, false); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) convert(next proxy.BodyWriter, part []byte, ends bool) (err error) {
	var left []byte
	c.out, left = c.table.append(c.out[:0], part, ends)
	c.n = copy(c.rest[:], left)
	if len(c.out) > 0 {
		_, err = next.Write(c.out)
	}
	return err
}

// Flush sends what was converted.
func (c *converter) Flush(next proxy.BodyWriter) error { return next.Flush() }

// Finish converts the beginning of a character that is left.
func (c *converter) Finish(next proxy.BodyWriter) error { return c.convert(next, c.rest[:c.n], true) }

// Close puts c back into the pool.
func (c *converter) Close() {
	if cap(c.out) <= 8*share {
		converters.Put(c)
	}
}
