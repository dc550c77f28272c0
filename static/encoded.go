package static

import (
	"strings"

	"alicorn/proxy"
)

// encoding is a kind of variant: a precompressed form of a file, in a file beside it.
type encoding struct{ name, suffix string }

// encodings are the encodings of variants. Of equal qualities the first one is preferred.
var encodings = []encoding{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

const gzipIndex = 2

// chooses reports whether the response depends on Accept-Encoding for a file that
// has variants.
func (st *site) chooses() bool { return st.encoded || st.gzip == gzipOn }

// openBest opens the variant of lk.name that the client prefers, or the file itself. varies
// reports whether other clients may get another variant.
func (st *site) openBest(x *proxy.Exchange, lk *lookup) (e encoding, varies bool, err error) {
	switch {
	case st.gzip == gzipAlways:
		if st.openVariant(lk, encodings[gzipIndex]) {
			return encodings[gzipIndex], false, nil
		}
	case st.chooses():
		var tried [3]bool
		if accept, ok := x.Req.Header.Lookup(proxy.FieldAcceptEncoding); ok {
			if enc, ok := st.openAccepted(lk, accept, &tried); ok {
				return enc, true, nil
			}
		}
		varies = st.hasVariant(lk, &tried)
	}
	return encoding{}, varies, st.open(lk, "")
}

// hasVariant reports whether there is a variant among those that were not tried.
func (st *site) hasVariant(lk *lookup, tried *[3]bool) bool {
	for i, e := range encodings {
		if !tried[i] && (st.encoded || i == gzipIndex) && st.openVariant(lk, e) {
			lk.close()
			return true
		}
	}
	return false
}

// openAccepted opens the first variant that exists, in the order of the client's qualities.
// A variant with a lower quality than identity does not count.
func (st *site) openAccepted(lk *lookup, accept string, tried *[3]bool) (encoding, bool) {
	floor := 1
	if names(accept, "identity") {
		floor = max(proxy.CodingQuality(accept, "identity"), 1)
	}
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

// openVariant opens the file with e's suffix, if it is a regular file.
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
