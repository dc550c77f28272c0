package static

import (
	"strings"

	"alicorn/proxy"
)

// encoding is a form that a file may lie in beside itself.
type encoding struct{ name, suffix string }

// encodings, in the order that decides between equal qualities.
var encodings = []encoding{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

const gzipIndex = 2

// varies reports that what is sent depends on Accept-Encoding.
func (st *site) varies() bool { return st.encoded || st.gzip == gzipOn }

// openBest opens the variant of lk.name that the client likes best, or the
// file itself.
func (st *site) openBest(x *proxy.Exchange, lk *lookup) (encoding, error) {
	switch {
	case st.gzip == gzipAlways:
		if st.openVariant(lk, encodings[gzipIndex]) {
			return encodings[gzipIndex], nil
		}
	case st.varies():
		if accept, ok := x.Req.Header.Lookup(proxy.FieldAcceptEncoding); ok {
			if enc, ok := st.openAccepted(lk, accept); ok {
				return enc, nil
			}
		}
	}
	return encoding{}, st.open(lk, "")
}

// openAccepted tries the encodings in the order of the client's qualities.
func (st *site) openAccepted(lk *lookup, accept string) (encoding, bool) {
	floor := 1
	if names(accept, "identity") {
		floor = max(proxy.CodingQuality(accept, "identity"), 1)
	}
	var tried [3]bool
	for {
		best, most := -1, floor-1
		for i, e := range encodings {
			if tried[i] || !st.encoded && i != gzipIndex {
				continue
			}
			if q := proxy.CodingQuality(accept, e.name); q > most {
				best, most = i, q
			}
		}
		if best < 0 {
			return encoding{}, false
		}
		tried[best] = true
		if st.openVariant(lk, encodings[best]) {
			return encodings[best], true
		}
	}
}

// openVariant opens the file with e's suffix, if it is a regular one.
func (st *site) openVariant(lk *lookup, e encoding) bool {
	if st.open(lk, e.suffix) != nil {
		return false
	}
	if !lk.file.isRegular() {
		lk.close()
		return false
	}
	return true
}

// names reports whether an Accept-Encoding field names the coding itself.
func names(accept, coding string) bool {
	for item := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			return true
		}
	}
	return false
}
