package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// ParseHead reads (status, [(name, value), ...], file_length), which is how a worker sends the
// head of an answer. A WSGI application's are str; the status of an ASGI application is an int,
// and its names and values are bytes.
func ParseHead(text string) (*pool.Head, error) {
	d := wire.NewDecoder([]byte(text))
	if n, err := d.Open(wire.TypeTuple); err != nil || n != 3 {
		return nil, wire.ErrMarshal
	}
	h := &pool.Head{File: -1, Size: int64(len(text))}
	if err := readStatus(h, &d); err != nil {
		return nil, err
	}
	if err := readFields(h, &d); err != nil {
		return nil, err
	}
	var err error
	switch t := d.Byte(); t {
	case wire.TypeNone:
	case wire.TypeInt, wire.TypeLong:
		if h.File, err = d.Number(t); err != nil || h.File < 0 {
			return nil, wire.ErrMarshal
		}
	default:
		return nil, wire.ErrMarshal
	}
	if len(d.Rest()) > 0 {
		return nil, wire.ErrMarshal
	}
	h.End()
	return h, nil
}

// ParseAccept reads (subprotocol, [(name, value), ...]), which is how a worker accepts a
// WebSocket. The head has the status 101.
func ParseAccept(text string) (h *pool.Head, subprotocol string, err error) {
	d := wire.NewDecoder([]byte(text))
	if n, err := d.Open(wire.TypeTuple); err != nil || n != 2 {
		return nil, "", wire.ErrMarshal
	}
	if subprotocol, err = readText(&d); err != nil {
		return nil, "", err
	}
	if subprotocol != "" && !proxy.IsToken(subprotocol) {
		return nil, "", fmt.Errorf("the subprotocol %q is not a token", subprotocol)
	}
	h, err = headOf(&d, 101)
	if h != nil {
		h.Size = int64(len(text))
	}
	return h, subprotocol, err
}

// ParseFields reads [(name, value), ...]: the fields of an early hint (status 103) or of a
// trailer, in a head whose status means nothing.
func ParseFields(text string) (*pool.Head, error) {
	d := wire.NewDecoder([]byte(text))
	return headOf(&d, 200)
}

// headOf reads fields up to the end of the data.
func headOf(d *wire.Decoder, status int) (*pool.Head, error) {
	h := &pool.Head{File: -1}
	if err := h.Begin(status, ""); err != nil {
		return nil, err
	}
	if err := readFields(h, d); err != nil {
		return nil, err
	}
	if len(d.Rest()) > 0 {
		return nil, wire.ErrMarshal
	}
	h.End()
	return h, nil
}

func readStatus(h *pool.Head, d *wire.Decoder) error {
	switch t := d.Byte(); t {
	case wire.TypeInt:
		code, err := d.Number(t)
		if err != nil {
			return err
		}
		if code < 200 || code > 999 {
			return fmt.Errorf("the status %d is not one of a final response", code)
		}
		return h.Begin(int(code), "")
	case wire.TypeUnicode, wire.TypeInterned:
		status, err := d.Bytes()
		if err != nil {
			return err
		}
		return begin(h, status)
	}
	return wire.ErrMarshal
}

// begin takes the status as PEP 3333 has it: "200 OK". An application cannot
// change the protocol of its connection, which it does not have.
func begin(h *pool.Head, utf []byte) error {
	s, ok := latin1(utf)
	if s = strings.Trim(s, " \t"); ok && len(s) >= 3 && (len(s) == 3 || s[3] == ' ') {
		if code, err := strconv.Atoi(s[:3]); err == nil && code >= 200 && h.Begin(code, s[3:]) == nil {
			return nil
		}
	}
	return fmt.Errorf("the status %q is not one of a final response", utf)
}

func readFields(h *pool.Head, d *wire.Decoder) error {
	n, err := d.Open(wire.TypeList, wire.TypeTuple)
	if err != nil {
		return err
	}
	for range n {
		if err := readField(h, d); err != nil {
			return err
		}
	}
	return nil
}

func readField(h *pool.Head, d *wire.Decoder) error {
	if n, err := d.Open(wire.TypeTuple, wire.TypeList); err != nil || n != 2 {
		return wire.ErrMarshal
	}
	name, err := readText(d)
	if err != nil {
		return err
	}
	value, err := readText(d)
	if err == errWide {
		return fmt.Errorf("the header %q has a value that is not allowed: %w", name, err)
	}
	if err != nil {
		return err
	}
	return h.Add(name, value)
}

// errWide is returned for a character that is no byte.
var errWide = errors.New("it has a character above U+00FF")

// readText reads bytes, or a str whose characters are bytes.
func readText(d *wire.Decoder) (string, error) {
	switch d.Byte() {
	case wire.TypeBytes:
		b, err := d.Bytes()
		return string(b), err
	case wire.TypeUnicode, wire.TypeInterned:
		utf, err := d.Bytes()
		if err != nil {
			return "", err
		}
		s, ok := latin1(utf)
		if !ok {
			return "", errWide
		}
		return s, nil
	}
	return "", wire.ErrMarshal
}

// latin1 turns UTF-8 of characters below 256 into their bytes.
func latin1(utf []byte) (string, bool) {
	if isASCII(utf) {
		return string(utf), true
	}
	b := make([]byte, 0, len(utf))
	for _, r := range string(utf) {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
