package appserver

import (
	"fmt"
	"strconv"
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy/upstream"
)

// head is a response's head as a worker gave it. Its strings are its own, so
// that it can serve many responses.
type head struct {
	upstream.Head
	file int64 // bytes of a file that follow; -1 without one
	size int64 // of what the worker has sent of it
}

const (
	maxHeads = 256  // remembered by a worker's reader
	headSize = 1024 // bytes of the longest that is remembered
)

// heads remembers heads by their marshalled bytes: most applications answer
// with few different ones. It is for one goroutine.
type heads map[string]*head

func (m heads) parse(data []byte) (*head, error) {
	if h := m[string(data)]; h != nil {
		return h, nil
	}
	text := string(data)
	h, err := parseHead(text)
	if err == nil && len(data) <= headSize {
		if len(m) >= maxHeads {
			clear(m)
		}
		m[text] = h
	}
	return h, err
}

// parseHead reads (status, [(name, value), ...], file_length).
func parseHead(text string) (*head, error) {
	d := wire.NewDecoder([]byte(text))
	if n, err := d.Open(wire.TypeTuple); err != nil || n != 3 {
		return nil, wire.ErrMarshal
	}
	status, err := d.Text()
	if err != nil {
		return nil, err
	}
	h := &head{file: -1, size: int64(len(text))}
	if err := h.begin(status); err != nil {
		return nil, err
	}
	n, err := d.Open(wire.TypeList, wire.TypeTuple)
	if err != nil {
		return nil, err
	}
	for range n {
		if err := h.field(&d); err != nil {
			return nil, err
		}
	}
	switch t := d.Byte(); t {
	case wire.TypeNone:
	case wire.TypeInt, wire.TypeLong:
		if h.file, err = d.Number(t); err != nil || h.file < 0 {
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
func (h *head) begin(utf []byte) error {
	s, ok := latin1(utf)
	if s = strings.Trim(s, " \t"); ok && len(s) >= 3 && (len(s) == 3 || s[3] == ' ') {
		if code, err := strconv.Atoi(s[:3]); err == nil && code >= 200 && h.Begin(code, s[3:]) == nil {
			return nil
		}
	}
	return fmt.Errorf("the status %q is not one of a final response", utf)
}

func (h *head) field(d *wire.Decoder) error {
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
