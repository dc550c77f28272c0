package static

import (
	"strings"

	"alicorn/proxy"
)

// precondition evaluates the If-* fields, in the order of RFC 9110 section 13.2.2. It returns
// 412, 304, or 0 to go on.
func (st *site) precondition(r *proxy.Request, v *validators, etag string) int {
	h := &r.Header
	if value, ok := h.Lookup(proxy.FieldIfMatch); ok {
		if !matchAny(h, proxy.FieldIfMatch, value, etag, true) {
			return 412
		}
	} else if value, ok := h.Lookup(proxy.FieldIfUnmodifiedSince); ok {
		if t, ok := parseDate(value); ok && v.modified > t {
			return 412
		}
	}
	if value, ok := h.Lookup(proxy.FieldIfNoneMatch); ok {
		if matchAny(h, proxy.FieldIfNoneMatch, value, etag, false) {
			return 304
		}
		return 0
	}
	if value, ok := h.Lookup(proxy.FieldIfModifiedSince); ok && st.modified != modifiedOff {
		if value == v.lastModified {
			return 304
		}
		t, ok := parseDate(value)
		if ok && (v.modified == t || st.modified == modifiedBefore && v.modified < t) {
			return 304
		}
	}
	return 0
}

// matchAny reports whether a line of the field matches etag. first is the first line.
func matchAny(h *proxy.Header, id proxy.FieldID, first, etag string, strong bool) bool {
	if matchList(first, etag, strong) {
		return true
	}
	for i := range h.Len() {
		if f := h.At(i); f.ID() == id && matchList(f.Value, etag, strong) {
			return true
		}
	}
	return false
}

// matchList reports whether a list of entity tags has etag. With strong, weak tags of the
// list do not match. "*" matches any tag.
func matchList(list, etag string, strong bool) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for list != "" {
		list = strings.TrimLeft(list, " \t,")
		weak := strings.HasPrefix(list, "W/")
		list = strings.TrimPrefix(list, "W/")
		if !strings.HasPrefix(list, "\"") {
			return false
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		tag := list[:end+2]
		list = list[end+2:]
		if tag == etag && !(strong && weak) {
			return true
		}
	}
	return false
}

// rangeApplies evaluates If-Range, which has the strong ETag or exactly the date of the file.
func rangeApplies(r *proxy.Request, v *validators, etag string) bool {
	value, ok := r.Header.Lookup(proxy.FieldIfRange)
	if !ok {
		return true
	}
	if strings.HasSuffix(value, "\"") {
		return value == etag
	}
	t, ok := parseDate(value)
	return ok && v.modified == t
}
