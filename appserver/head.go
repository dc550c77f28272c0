package appserver

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// head is a response's head as a worker gave it, checked. Its strings are its
// own, so that it can serve many responses.
type head struct {
	status      int
	reason      string // of the status; "" for the usual one
	contentType string
	length      int64 // Content-Length; -1 without one
	file        int64 // bytes of a file that follow; -1 without one
	fields      []headField
	options     []string // that its Connection fields name
	accel       accel
}

type headField struct {
	id          proxy.FieldID
	name, value string
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

// parseHead reads (status, [(name, value), ...], file_length) and checks it:
// nothing in it may break the response's framing.
func parseHead(text string) (*head, error) {
	d := wire.NewDecoder([]byte(text))
	if n, err := d.Open(wire.TypeTuple); err != nil || n != 3 {
		return nil, wire.ErrMarshal
	}
	status, err := d.Text()
	if err != nil {
		return nil, err
	}
	h := &head{length: -1, file: -1}
	if h.status, h.reason, err = parseStatus(status); err != nil {
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
	h.dropNamed()
	h.settleCharset()
	return h, nil
}

// dropNamed leaves out the fields that Connection names (RFC 9110 section
// 7.6.1).
func (h *head) dropNamed() {
	if len(h.options) == 0 {
		return
	}
	named := make(map[string]bool, len(h.options))
	for _, o := range h.options {
		named[o] = true
	}
	h.fields = slices.DeleteFunc(h.fields, func(f headField) bool { return named[strings.ToLower(f.name)] })
	if named["content-type"] {
		h.contentType = ""
	}
	h.options = nil
}

// hopByHop are the fields that belong to a connection and have no FieldID.
var hopByHop = []string{"proxy-authenticate", "proxy-authorization", "proxy-connection", "trailer", "trailers"}

func isHopByHop(name string) bool {
	return slices.ContainsFunc(hopByHop, func(h string) bool { return strings.EqualFold(h, name) })
}

func parseStatus(utf []byte) (code int, reason string, err error) {
	s, ok := latin1(utf)
	if ok && len(s) >= 3 && (len(s) == 3 || s[3] == ' ') {
		if code, err := strconv.Atoi(s[:3]); err == nil && code >= 200 && code <= 999 {
			return code, strings.Trim(s[3:], " "), nil
		}
	}
	return 0, "", fmt.Errorf("the status %q is not one of a final response", utf)
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
	if !proxy.IsToken(name) {
		return fmt.Errorf("the header name %q is not valid", name)
	}
	value, ok := latin1(utf)
	if !ok {
		return fmt.Errorf("the header %q has a value that is not allowed: %q", name, utf)
	}
	f := headField{proxy.FieldIDOf(string(name)), string(name), value}
	switch f.id {
	case proxy.FieldConnection:
		for o := range strings.SplitSeq(value, ",") {
			h.options = append(h.options, strings.ToLower(strings.Trim(o, " \t")))
		}
		return nil
	case proxy.FieldKeepAlive, proxy.FieldTransferEncoding, proxy.FieldUpgrade, proxy.FieldTE:
		return nil
	case proxy.FieldContentLength:
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil || h.length >= 0 && int64(n) != h.length {
			return fmt.Errorf("the header \"Content-Length\" has the value %q", value)
		}
		h.length = int64(n)
		return nil
	case proxy.FieldContentType:
		h.contentType = value
		return nil
	case proxy.FieldOther:
		if isHopByHop(f.name) || h.accelField(f.name, value) {
			return nil
		}
	}
	h.fields = append(h.fields, f)
	return nil
}

// latin1 turns UTF-8 of characters below 256 into their bytes and checks them
// as RFC 9110 section 5.5 has field values.
func latin1(utf []byte) (string, bool) {
	b := make([]byte, 0, len(utf))
	for _, r := range string(utf) {
		if r > 0xff || r < 0x20 && r != '\t' || r == 0x7f {
			return "", false
		}
		b = append(b, byte(r))
	}
	return strings.Trim(string(b), " \t"), true
}

// apply gives x's response the head. size is the whole body's where it is
// known, else -1.
func (h *head) apply(x *proxy.Exchange, size int64) {
	r := &x.Res
	r.SetStatus(h.status, h.reason)
	r.ContentType, r.Charset, r.Length = h.contentType, h.accel.charsetOf(), h.length
	if h.length < 0 && size >= 0 && x.Req.Method != "HEAD" && h.status != 304 {
		r.Length = size
	}
	for i := range h.fields {
		f := &h.fields[i]
		r.Header.AddID(f.id, f.name, f.value)
	}
}
