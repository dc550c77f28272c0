package cgi

import (
	"encoding/binary"
	"fmt"
)

// FastCGI writes requests of FastCGI 1.0. A connection has one request at a time, with the
// ID 1: https://fastcgi-archives.github.io/FastCGI_Specification.html
type FastCGI struct {
	Keep bool // ask the server to keep the connection open after the request
}

// The types of records that this package uses.
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
	mostRecord = 1<<16 - 1 // bytes in the content of a record
	longLength = 1 << 31   // the bit that marks a length of four bytes
)

// EndOfBody is the record that ends a body: an empty one of stdin.
const EndOfBody = "\x01\x05\x00\x01\x00\x00\x00\x00"

// appendRecord appends the head of a record with n bytes of content.
func appendRecord(dst []byte, kind byte, n int) []byte {
	return append(dst, version, kind, 0, 1, byte(n>>8), byte(n), 0, 0)
}

// AppendBodyPart appends the head of a record with n bytes of a body, at most 65,535.
func AppendBodyPart(dst []byte, n int) []byte { return appendRecord(dst, stdin, n) }

// Begin appends the record that begins a request, and the head of the parameters' record,
// whose length End sets. The length of the body is not used.
func (f *FastCGI) Begin(dst []byte, _ int64) []byte {
	flags := byte(0)
	if f.Keep {
		flags = keepConn
	}
	dst = appendRecord(dst, beginRequest, 8)
	dst = append(dst, 0, responder, flags, 0, 0, 0, 0, 0)
	return appendRecord(dst, parameters, 0)
}

// Name appends the length of a name of size bytes, and one byte for the length of the value,
// which Value sets. The caller then appends the name.
func (f *FastCGI) Name(dst []byte, size int) []byte {
	if size < 128 {
		return append(dst, byte(size), 0)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(size)|longLength), 0)
}

// Middle appends nothing: the value follows the name.
func (f *FastCGI) Middle(dst []byte) []byte { return dst }

// Value ends a parameter whose name has size bytes and whose value is dst[at:]. It sets the
// length of the value. That of 128 bytes and more takes four bytes, so name and value move.
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

// End completes the parameters of the request that Begin has started at start. An error says
// that they do not fit into one record: applications do not join several.
func (f *FastCGI) End(dst []byte, start int) ([]byte, error) {
	head := start + 2*recordHead
	size := len(dst) - head - recordHead
	if size > mostRecord {
		return nil, fmt.Errorf("the FastCGI request is too big: %d bytes of parameters, %d are allowed", size, mostRecord)
	}
	if size == 0 {
		return dst, nil // the empty record that Begin has started ends the parameters
	}
	binary.BigEndian.PutUint16(dst[head+4:], uint16(size))
	return appendRecord(dst, parameters, 0), nil
}

// Body appends a complete body in records, and EndOfBody.
func (f *FastCGI) Body(dst, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), mostRecord)
		dst = append(AppendBodyPart(dst, n), body[:n]...)
		body = body[n:]
	}
	return append(dst, EndOfBody...)
}
