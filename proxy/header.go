package proxy

import (
	"iter"
	"strings"
)

// Field is one header field line. Name has the case in which it was sent. Value has no
// white space around it.
type Field struct {
	Name, Value string
	id          FieldID
}

// Header is an ordered list of field lines. The case of names does not matter. Fields that
// the package knows (FieldID) are found by index, others by a scan. The zero value is an
// empty Header.
type Header struct {
	fields []Field
	first  [numFieldIDs]uint8 // position+1 of the first line; 0: none; 255: the 255th or a later line
}

// FieldID names a field that the package finds without comparing strings.
type FieldID uint8

// The indexed fields. FieldOther stands for any other name.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldContentLength
	FieldContentType
	FieldTransferEncoding
	FieldExpect
	FieldUpgrade
	FieldTE
	FieldCookie
	FieldUserAgent
	FieldReferer
	FieldAuthorization
	FieldAcceptEncoding
	FieldIfModifiedSince
	FieldIfUnmodifiedSince
	FieldIfNoneMatch
	FieldIfMatch
	FieldIfRange
	FieldRange
	FieldXForwardedFor
	FieldDate
	FieldServer
	FieldLocation
	FieldLastModified
	FieldETag
	FieldCacheControl
	FieldContentEncoding
	FieldVary
	FieldAcceptRanges
	FieldSetCookie
	FieldKeepAlive
	numFieldIDs
)

var fieldNames = [numFieldIDs]string{
	FieldHost: "Host", FieldConnection: "Connection", FieldContentLength: "Content-Length",
	FieldContentType: "Content-Type", FieldTransferEncoding: "Transfer-Encoding", FieldExpect: "Expect",
	FieldUpgrade: "Upgrade", FieldTE: "TE", FieldCookie: "Cookie", FieldUserAgent: "User-Agent",
	FieldReferer: "Referer", FieldAuthorization: "Authorization", FieldAcceptEncoding: "Accept-Encoding",
	FieldIfModifiedSince: "If-Modified-Since", FieldIfUnmodifiedSince: "If-Unmodified-Since",
	FieldIfNoneMatch: "If-None-Match", FieldIfMatch: "If-Match", FieldIfRange: "If-Range", FieldRange: "Range",
	FieldXForwardedFor: "X-Forwarded-For", FieldDate: "Date", FieldServer: "Server", FieldLocation: "Location",
	FieldLastModified: "Last-Modified", FieldETag: "ETag", FieldCacheControl: "Cache-Control",
	FieldContentEncoding: "Content-Encoding", FieldVary: "Vary", FieldAcceptRanges: "Accept-Ranges",
	FieldSetCookie: "Set-Cookie", FieldKeepAlive: "Keep-Alive",
}

// String returns the name of an indexed field.
func (id FieldID) String() string { return fieldNames[id] }

// fieldsByShape is indexed by the length of a name and its fieldShape. No two indexed
// fields have both in common.
var fieldsByShape = func() (t [24][32]FieldID) {
	for id := FieldHost; id < numFieldIDs; id++ {
		name := fieldNames[id]
		t[len(name)][fieldShape(name)] = id
	}
	return t
}()

// fieldShape mixes the first and last letters of name, without case. name is
// not empty.
func fieldShape(name string) uint8 { return (3*name[0] + name[len(name)-1]) % 32 }

// FieldIDOf returns the FieldID of a field name, whose case does not matter.
func FieldIDOf(name string) FieldID {
	if name == "" || len(name) >= len(fieldsByShape) {
		return FieldOther
	}
	id := fieldsByShape[len(name)][fieldShape(name)]
	if id == FieldOther || name != fieldNames[id] && !strings.EqualFold(name, fieldNames[id]) {
		return FieldOther
	}
	return id
}

// Len returns the number of field lines.
func (h *Header) Len() int { return len(h.fields) }

// At returns line i, in the order of arrival.
func (h *Header) At(i int) Field { return h.fields[i] }

// All iterates over the field lines in order.
func (h *Header) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h.fields {
			if !yield(f) {
				return
			}
		}
	}
}

// Add appends a line.
func (h *Header) Add(name, value string) { h.AddID(FieldIDOf(name), name, value) }

// AddID appends a line. id must be FieldIDOf(name).
func (h *Header) AddID(id FieldID, name, value string) {
	if id != FieldOther && h.first[id] == 0 {
		h.first[id] = uint8(min(len(h.fields)+1, 255))
	}
	h.fields = append(h.fields, Field{Name: name, Value: value, id: id})
}

// Lookup returns the first value of an indexed field and whether it is there.
func (h *Header) Lookup(id FieldID) (string, bool) {
	i := int(h.first[id])
	if i == 0 {
		return "", false
	}
	if i < 255 {
		return h.fields[i-1].Value, true
	}
	for _, f := range h.fields[254:] {
		if f.id == id {
			return f.Value, true
		}
	}
	return "", false
}

// Value returns the first value of an indexed field, "" when it is not there.
func (h *Header) Value(id FieldID) string {
	v, _ := h.Lookup(id)
	return v
}

// Get returns the first value of the field name, "" when it is not there.
func (h *Header) Get(name string) string {
	if id := FieldIDOf(name); id != FieldOther {
		return h.Value(id)
	}
	for i := range h.fields {
		if h.fields[i].id == FieldOther && strings.EqualFold(h.fields[i].Name, name) {
			return h.fields[i].Value
		}
	}
	return ""
}

// Set removes every line of that name, and appends one.
func (h *Header) Set(name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Del removes every line of that name.
func (h *Header) Del(name string) {
	id := FieldIDOf(name)
	if id != FieldOther && h.first[id] == 0 {
		return
	}
	kept := h.fields[:0]
	for _, f := range h.fields {
		if f.id == id && (id != FieldOther || strings.EqualFold(f.Name, name)) {
			continue
		}
		kept = append(kept, f)
	}
	if len(kept) == len(h.fields) {
		return
	}
	clear(h.fields[len(kept):])
	h.fields = kept
	h.reindex()
}

// Reset empties the Header and keeps its memory.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
	h.first = [numFieldIDs]uint8{}
}

func (h *Header) reindex() {
	h.first = [numFieldIDs]uint8{}
	for i, f := range h.fields {
		if f.id != FieldOther && h.first[f.id] == 0 {
			h.first[f.id] = uint8(min(i+1, 255))
		}
	}
}

// HasToken reports whether token is an element of the field's list, in any of its lines.
// Case and the parameters of elements do not matter.
func (h *Header) HasToken(id FieldID, token string) bool {
	if h.first[id] == 0 {
		return false
	}
	for i := range h.fields {
		if h.fields[i].id != id {
			continue
		}
		for item := range strings.SplitSeq(h.fields[i].Value, ",") {
			item, _, _ = strings.Cut(item, ";")
			if strings.EqualFold(strings.Trim(item, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// ID returns the FieldID of the field's name.
func (f Field) ID() FieldID { return f.id }
