package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// Header is a header with addresses. It does not change.
type Header struct {
	Source      netip.AddrPort // the client's address
	Destination netip.AddrPort // the address to which the client has connected
	tlvs        []byte         // whole TLVs
}

// Bounds of a header's size in bytes, as in nginx.
const (
	maxText    = 107 // version 1, with its CRLF
	fixedSize  = 16  // the part of version 2 that is always there
	maxPayload = 4096

	// MaxSize is the largest size of a header.
	MaxSize = fixedSize + maxPayload
)

var (
	textMark   = []byte("PROXY ")
	binaryMark = []byte("\r\n\r\n\x00\r\nQUIT\n")
	lineEnd    = []byte("\r\n")
)

// ErrShort is returned for bytes that are the beginning of a header, but not all of it.
var ErrShort = errors.New("the header is incomplete")

// Parse reads the header at the beginning of b, and returns its size. h is nil if the header
// has no addresses. Parse keeps nothing of b. The error is ErrShort, or says why b does not
// begin with a header.
func Parse(b []byte) (h *Header, size int, err error) {
	switch {
	case begins(b, textMark):
		return parseText(b)
	case begins(b, binaryMark):
		return parseBinary(b)
	}
	return nil, 0, broken(b, "does not begin with the signature")
}

// Begins reports whether b may be the beginning of a header, as an empty b may, and whether it
// is, because b has the whole signature.
func Begins(b []byte) (may, is bool) {
	switch {
	case begins(b, textMark):
		return true, len(b) >= len(textMark)
	case begins(b, binaryMark):
		return true, len(b) >= len(binaryMark)
	}
	return false, false
}

// begins reports whether b begins with mark, or mark with b.
func begins(b, mark []byte) bool {
	n := min(len(b), len(mark))
	return bytes.Equal(b[:n], mark[:n])
}

// broken returns nginx's error "broken header" with a reason and the beginning of b.
func broken(b []byte, format string, args ...any) error {
	if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
		b = b[:i]
	}
	return fmt.Errorf("broken header: %q (it %s)", b[:min(len(b), maxText)], fmt.Sprintf(format, args...))
}
