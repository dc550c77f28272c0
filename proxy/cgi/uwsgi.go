package cgi

import (
	"encoding/binary"
	"fmt"
)

// Uwsgi writes requests of the protocol of uWSGI:
// https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
type Uwsgi struct {
	Modifier1, Modifier2 byte
}

// mostUwsgi is the largest size of the parameters, which has 16 bits in the head.
const mostUwsgi = 1<<16 - 1

// uwsgiHead is the size of the head before the parameters.
const uwsgiHead = 4

// Begin appends the head of a request, whose size End sets. The length of the body is not
// used.
func (u *Uwsgi) Begin(dst []byte, _ int64) []byte {
	return append(dst, u.Modifier1, 0, 0, u.Modifier2)
}

// Name appends the length of a name of size bytes. The caller then appends the name.
func (u *Uwsgi) Name(dst []byte, size int) []byte {
	return binary.LittleEndian.AppendUint16(dst, uint16(size))
}

// Middle appends two bytes for the length of the value, which Value sets. The caller then
// appends the value.
func (u *Uwsgi) Middle(dst []byte) []byte { return append(dst, 0, 0) }

// Value ends a parameter whose value is dst[at:].
func (u *Uwsgi) Value(dst []byte, _, at int) []byte {
	binary.LittleEndian.PutUint16(dst[at-2:], uint16(len(dst)-at))
	return dst
}

// End completes the parameters of the request that Begin has started at start. An error says
// that they are too large.
func (u *Uwsgi) End(dst []byte, start int) ([]byte, error) {
	size := len(dst) - start - uwsgiHead
	if size > mostUwsgi {
		return nil, fmt.Errorf("the uwsgi request is too big: %d bytes of parameters, %d are allowed", size, mostUwsgi)
	}
	binary.LittleEndian.PutUint16(dst[start+1:], uint16(size))
	return dst, nil
}

// Body appends a complete body.
func (u *Uwsgi) Body(dst, body []byte) []byte { return append(dst, body...) }
