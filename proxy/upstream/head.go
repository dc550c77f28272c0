package upstream

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// Head is the head of a response from an upstream, checked: nothing in it breaks
// the framing of the response to the client, and nothing in it belongs to the
// connection to the upstream. Begin, Add for each field in order, and End make
// it; after an error of theirs it is of no use. From End on it may serve many
// responses at once, as long as its strings are left alone.
type Head struct {
	Status      int    // 101, or 200 to 999
	Reason      string // of the status; "" for the usual one
	ContentType string
	Length      int64   // Content-Length; -1 without one
	Fields      []Field // the others, in the order of arrival
	Accel       Accel

	named []string // by Connection fields, in lower case
}

// Field is one field line. Its Value has no blanks at its ends.
type Field struct {
	ID          proxy.FieldID
	Name, Value string
}

// Begin starts a head, whatever h was before. It keeps the memory of the fields.
func (h *Head) Begin(status int, reason string) error {
	fields, named := h.Fields[:0], h.named[:0]
	*h = Head{Status: status, Reason: strings.Trim(reason, " "), Length: -1, Fields: fields, named: named}
	if status != 101 && (status < 200 || status > 999) {
		return fmt.Errorf("the status %d is not one of a final response", status)
	}
	if !isFieldValue(h.Reason) {
		return fmt.Errorf("the status has a reason that is not allowed: %q", reason)
	}
	return nil
}

// Add takes the next field.
func (h *Head) Add(name, value string) error { return h.AddID(proxy.FieldIDOf(name), name, value) }

// AddID takes the next field, whose name has been recognised already.
func (h *Head) AddID(id proxy.FieldID, name, value string) error {
	if id == proxy.FieldOther && !proxy.IsToken(name) {
		return fmt.Errorf("the header name %q is not valid", name)
	}
	value = strings.Trim(value, " \t")
	if !isFieldValue(value) {
		return fmt.Errorf("the header %q has a value that is not allowed: %q", name, value)
	}
	switch id {
	case proxy.FieldConnection:
		for o := range strings.SplitSeq(value, ",") {
			h.named = append(h.named, strings.ToLower(strings.Trim(o, " \t")))
		}
		return nil
	case proxy.FieldContentLength:
		return h.setLength(value)
	case proxy.FieldContentType:
		h.ContentType = value
		return nil
	case proxy.FieldUpgrade: // a client that sees it may ask for it, RFC 9110 section 7.8
	default:
		if IsHopByHop(id, name) || id == proxy.FieldOther && h.Accel.set(name, value) {
			return nil
		}
	}
	h.Fields = append(h.Fields, Field{id, name, value})
	return nil
}

// setLength takes a Content-Length, of which several must be the same.
func (h *Head) setLength(value string) error {
	n, err := strconv.ParseUint(value, 10, 62)
	if err != nil || h.Length >= 0 && int64(n) != h.Length {
		return fmt.Errorf("the header \"Content-Length\" has the value %q", value)
	}
	h.Length = int64(n)
	return nil
}

// End settles what the fields say of each other.
func (h *Head) End() {
	h.dropNamed()
	h.settleCharset()
}

// dropNamed leaves out the fields that Connection names, RFC 9110 section 7.6.1.
// What an upgrade is to stays.
func (h *Head) dropNamed() {
	if len(h.named) == 0 {
		return
	}
	named := newNames(h.named)
	h.Fields = slices.DeleteFunc(h.Fields, func(f Field) bool { return f.ID != proxy.FieldUpgrade && named.has(f.Name) })
	if named.has("Content-Type") {
		h.ContentType = ""
	}
	h.named = h.named[:0]
}

// names is a set of names of fields, in lower case. An upstream chooses how many there are,
// and how many fields are looked up.
type names struct {
	few  []string
	many map[string]bool // nil: few has all
}

// fewNames is up to how many names are compared one by one.
const fewNames = 8

func newNames(list []string) names {
	if len(list) <= fewNames {
		return names{few: list}
	}
	many := make(map[string]bool, len(list))
	for _, name := range list {
		many[name] = true
	}
	return names{many: many}
}

// has reports whether name, in any case, is in the set.
func (s *names) has(name string) bool {
	if s.many != nil {
		return s.many[strings.ToLower(name)]
	}
	for _, n := range s.few {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// IsHopByHop reports whether a field, of a request or of a response, belongs to
// one connection and is not passed on: RFC 9110 section 7.6.1. The fields of
// authentication to a proxy and Trailer go on, as in nginx.
func IsHopByHop(id proxy.FieldID, name string) bool {
	switch id {
	case proxy.FieldConnection, proxy.FieldKeepAlive, proxy.FieldTransferEncoding, proxy.FieldUpgrade, proxy.FieldTE:
		return true
	case proxy.FieldOther:
		return strings.EqualFold(name, "Proxy-Connection")
	}
	return false
}

// isFieldValue reports whether s may be the value of a field: RFC 9110 section 5.5.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Apply gives x's response the head. size is the size of the whole body where it
// is known, else -1: it is the response's length where the head has none.
func (h *Head) Apply(x *proxy.Exchange, size int64) {
	r := &x.Res
	r.SetStatus(h.Status, h.Reason)
	r.ContentType, r.Charset, r.Length = h.ContentType, h.Accel.charset(), h.Length
	if h.Length < 0 && size >= 0 && x.Req.Method != "HEAD" && h.Status != 304 {
		r.Length = size
	}
	h.AddTo(&r.Header)
	h.Accel.limit(x)
}

// AddTo adds h's fields to a header.
func (h *Head) AddTo(header *proxy.Header) {
	for i := range h.Fields {
		f := &h.Fields[i]
		header.AddID(f.ID, f.Name, f.Value)
	}
}
