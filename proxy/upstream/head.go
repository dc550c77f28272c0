package upstream

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// Head is the checked head of an answer. Nothing in it breaks the framing of the response to
// the client, and no field of it belongs to the connection to the upstream. Begin, Add for
// each field in order, and End make a Head; after an error it must not be used. After End
// several exchanges may use it at once, as long as nobody changes the memory of its strings.
type Head struct {
	Status      int    // 101, or 200 to 999
	Reason      string // the reason after the status; "": the usual one
	ContentType string
	Length      int64   // Content-Length; -1: none
	Fields      []Field // the other fields, in the order of arrival
	Accel       Accel

	named []string // the names in Connection fields, in lower case
}

// Field is one field line. Its Value neither begins nor ends with a blank.
type Field struct {
	ID          proxy.FieldID
	Name, Value string
}

// Begin empties h and starts a head. It keeps the memory of the fields. Errors of Begin and
// Add are noun phrases, which follow "upstream sent".
func (h *Head) Begin(status int, reason string) error {
	fields, named := h.Fields[:0], h.named[:0]
	*h = Head{Status: status, Reason: strings.Trim(reason, " "), Length: -1, Fields: fields, named: named}
	if status != 101 && (status < 200 || status > 999) {
		return fmt.Errorf("the status %d, which is not one of a final response", status)
	}
	if !isFieldValue(h.Reason) {
		return fmt.Errorf("an invalid reason %q of the status", reason)
	}
	return nil
}

// Add adds the next field.
func (h *Head) Add(name, value string) error { return h.AddID(proxy.FieldIDOf(name), name, value) }

// AddID is Add for a field whose ID is known.
func (h *Head) AddID(id proxy.FieldID, name, value string) error {
	if id == proxy.FieldOther && !proxy.IsToken(name) {
		return fmt.Errorf("an invalid header name %q", name)
	}
	value = strings.Trim(value, " \t")
	if !isFieldValue(value) {
		return fmt.Errorf("an invalid value %q of the header %q", value, name)
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
	case proxy.FieldUpgrade: // it tells the client what it may upgrade to: RFC 9110 section 7.8
	default:
		if IsHopByHop(id, name) || id == proxy.FieldOther && h.Accel.set(name, value) {
			return nil
		}
	}
	h.Fields = append(h.Fields, Field{id, name, value})
	return nil
}

// setLength sets Length. Several Content-Length fields must have the same value.
func (h *Head) setLength(value string) error {
	n, err := strconv.ParseUint(value, 10, 62)
	if err != nil || h.Length >= 0 && int64(n) != h.Length {
		return fmt.Errorf("an invalid or repeated Content-Length %q", value)
	}
	h.Length = int64(n)
	return nil
}

// End completes the head: it drops the fields that Connection names, and applies
// X-Accel-Charset to Content-Type.
func (h *Head) End() {
	h.dropNamed()
	h.settleCharset()
}

// dropNamed drops the fields that Connection names, except Upgrade: RFC 9110 section 7.6.1.
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

// names is a set of field names, in lower case. The upstream chooses how many names and how
// many fields there are, so that comparing each with each could take long.
type names struct {
	few  []string
	many map[string]bool // nil: the names are in few
}

// fewNames is the largest number of names that are compared one by one.
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

// IsHopByHop reports whether a field of a request or a response belongs to one connection,
// and is not passed on: RFC 9110 section 7.6.1. As in nginx, Trailer and the fields of proxy
// authentication are passed on.
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

// Apply sets the head of x's response. size is the size of the complete body; -1: unknown.
// It becomes the response's length if the head has no Content-Length.
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
