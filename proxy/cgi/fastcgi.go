package cgi

import (
	"encoding/binary"
	"fmt"
)

// FastCGI writes requests of FastCGI 1.0, of one request at a time on a connection:
// https://fastcgi-archives.github.io/FastCGI_Specification.html
type FastCGI struct {
	Keep bool // the connection is kept for other requests
}

// The types of records that are used here.
const (
	beginRequest = 1
	endRequest   = 3
	parameters   = 4
	stdin        = 5
	stdout       = 6
	stderr       = 7
)

const (
	version    = 1
	responder  = 1
	keepConn   = 1
	recordHead = 8
	mostRecord = 1<<16 - 1 // bytes in a record
	// longLength marks a length of four bytes.
	longLength = 1 << 31
)

// EndOfBody ends a body.
const EndOfBody = "\x01\x05\x00\x01\x00\x00\x00\x00"

// appendRecord appends the head of a record of n bytes.
func appendRecord(dst []byte, kind byte, n int) []byte {
	return append(dst, version, kind, 0, 1, byte(n>>8), byte(n), 0, 0)
}

// AppendBodyPart appends what stands before n bytes of a body, 65,535 at most.
func AppendBodyPart(dst []byte, n int) []byte { return appendRecord(dst, stdin, n) }

// Begin appends what stands before the parameters.
func (f *FastCGI) Begin(dst []byte, _ int64) []byte {
	flags := byte(0)
	if f.Keep {
		flags = keepConn
	}
	dst = appendRecord(dst, beginRequest, 8)
	dst = append(dst, 0, responder, flags, 0, 0, 0, 0, 0)
	return appendRecord(dst, parameters, 0)
}

// Name appends the lengths that stand before a name of size bytes, which the caller appends.
func (f *FastCGI) Name(dst []byte, size int) []byte {
	if size < 128 {
		return append(dst, byte(size), 0)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(size)|longLength), 0)
}

// Middle appends nothing: the value stands behind the name.
func (f *FastCGI) Middle(dst []byte) []byte { return dst }

// Value ends a parameter whose name has size bytes and whose value is dst[at:]. A long
// one needs a longer length.
func (f *FastCGI) Value(dst []byte, size, at int) []byte {
	n, length := len(dst)-at, at-size-1
	if n < 128 {
		dst[length] = byte(n)
		return dst
	}
	dst = append(dst, 0, 0, 0)
	copy(dst[length+4:], dst[length+1:])
	binary.BigEndian.PutUint32(dst[length:], uint32(n)|longLength)
	return dst
}

// End completes the parameters of the request whose Begin was at start. An error says that
// they are too large for a record: applications do not put two together.
func (f *FastCGI) End(dst []byte, start int) ([]byte, error) {
	head := start + 2*recordHead
	size := len(dst) - head - recordHead
	if size > mostRecord {
		return nil, fmt.Errorf("the FastCGI request is too big: %d bytes of parameters, %d are allowed", size, mostRecord)
	}
	if size == 0 {
		return dst, nil // the record that was begun ends them
	}
	binary.BigEndian.PutUint16(dst[head+4:], uint16(size))
	return appendRecord(dst, parameters, 0), nil
}

// Body appends a body that is there, whole, with its end.
func (f *FastCGI) Body(dst, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), mostRecord)
		dst = append(AppendBodyPart(dst, n), body[:n]...)
		body = body[n:]
	}
	return append(dst, EndOfBody...)
}
