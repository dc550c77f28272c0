package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
)

// ParseHead reads (status, [(name, value), ...], file_length).
func ParseHead(text string) (*pool.Head, error) {
	d := wire.NewDecoder([]byte(text))
	if n, err := d.Open(wire.TypeTuple); err != nil || n != 3 {
		return nil, wire.ErrMarshal
	}
	status, err := d.Text()
	if err != nil {
		return nil, err
	}
	h := &pool.Head{File: -1, Size: int64(len(text))}
	if err := begin(h, status); err != nil {
		return nil, err
	}
	n, err := d.Open(wire.TypeList, wire.TypeTuple)
	if err != nil {
		return nil, err
	}
	for range n {
		if err := addField(h, &d); err != nil {
			return nil, err
		}
	}
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

func addField(h *pool.Head, d *wire.Decoder) error {
	if n, err := d.Open(wire.TypeTuple, wire.TypeList); err != nil || n != 2 {
		return wire.ErrMarshal
	}
	name, err := d.Text()
	if err != nil {
		return err
	}
	utf, err := d.Text()
	if err != nil {
		return err
	}
	value, ok := latin1(utf)
	if !ok {
		return fmt.Errorf("the header %q has a value that is not allowed: %q", name, utf)
	}
	return h.Add(string(name), value)
}

// latin1 turns UTF-8 of characters below 256 into their bytes.
func latin1(utf []byte) (string, bool) {
	b := make([]byte, 0, len(utf))
	for _, r := range string(utf) {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}
