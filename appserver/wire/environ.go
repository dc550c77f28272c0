package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// Environ encodes the part of a request's environ, or of its ASGI scope, that depends on the
// request (PROTOCOL.md, "Requests"). Its shape has the names, and those values that are the
// same for many requests. A worker decodes a shape once and remembers it. The other values
// follow the shape, in the order of their names.
//
// The zero Environ is empty. Names must not have ":" or NUL; names of fields have neither.
type Environ struct {
	shape, values []byte
	count         int // how many values there are
}

// ErrNUL is returned for an environ with a NUL in a value.
var ErrNUL = errors.New("a value of the environ has a NUL")

// most is the capacity, in bytes, that Reset keeps of shape and of values.
const most = 8 << 10

// Reset empties e. It keeps memory for a request of usual size.
func (e *Environ) Reset() {
	if cap(e.shape) > most {
		e.shape = nil
	}
	if cap(e.values) > most {
		e.values = nil
	}
	e.shape, e.values, e.count = e.shape[:0], e.values[:0], 0
}

// Fix adds a value to the shape. It must be one of few values, from the configuration or a
// short list, as each new value makes another shape.
func (e *Environ) Fix(name, value string) {
	e.shape = append(append(append(append(e.shape, name...), ':'), value...), 0)
}

// Add adds a value of the request. Each byte is a character of latin-1 (PEP 3333).
func (e *Environ) Add(name, value string) {
	e.shape = append(append(e.shape, name...), 0)
	e.Value(value)
}

// AddNumber adds a number in decimal digits.
func (e *Environ) AddNumber(name string, n int64) {
	e.shape = append(append(e.shape, name...), 0)
	e.values = append(strconv.AppendInt(e.values, n, 10), 0)
	e.count++
}

// AddField adds a header field as HTTP_NAME (PEP 3333).
func (e *Environ) AddField(name, value string) {
	e.shape = append(e.shape, "HTTP_"...)
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-':
			c = '_'
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		e.shape = append(e.shape, c)
	}
	e.shape = append(e.shape, 0)
	e.Value(value)
}

// AddLower adds a header field with its name in lower case.
func (e *Environ) AddLower(name, value string) {
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		e.shape = append(e.shape, c)
	}
	e.shape = append(e.shape, 0)
	e.Value(value)
}

// Names adds names, each followed by a NUL. The caller then adds their values with Value, in
// the same order.
func (e *Environ) Names(names string) { e.shape = append(e.shape, names...) }

// Value adds the value of the next name of Names.
func (e *Environ) Value(value string) {
	e.values = append(append(e.values, value...), 0)
	e.count++
}

// AppendTo appends the encoding. e must have at least one value that is not fixed.
func (e *Environ) AppendTo(dst []byte) ([]byte, error) {
	if bytes.Count(e.values, nul) != e.count {
		return dst, ErrNUL
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.shape)-1))
	dst = append(dst, e.shape[:len(e.shape)-1]...)
	return append(dst, e.values[:len(e.values)-1]...), nil
}

var nul = []byte{0}

// Each calls f with each name and value.
func (e *Environ) Each(f func(name, value string)) {
	if len(e.shape) == 0 {
		return
	}
	values := string(e.values)
	for item := range strings.SplitSeq(strings.TrimSuffix(string(e.shape), "\x00"), "\x00") {
		name, value, fixed := strings.Cut(item, ":")
		if !fixed {
			value, values, _ = strings.Cut(values, "\x00")
		}
		f(name, value)
	}
}
