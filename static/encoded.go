package static

import (
	"os"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// encoding is a form that a file may lie in beside itself.
type encoding struct{ name, suffix string }

// encodings, in the order that decides between equal qualities.
var encodings = []encoding{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

// openBest opens the variant of name that the client likes best, or name.
func (st *site) openBest(x *proxy.Exchange, name string) (*os.File, os.FileInfo, encoding, error) {
	if st.gzip == gzipAlways {
		if f, info, err := open(name + ".gz"); err == nil {
			return f, info, encoding{"gzip", ".gz"}, nil
		}
	} else if accept, ok := x.Req.Header.Lookup(proxy.FieldAcceptEncoding); ok && (st.encoded || st.gzip == gzipOn) {
		if f, info, enc := st.openVariant(name, accept); f != nil {
			return f, info, enc, nil
		}
	}
	f, info, err := open(name)
	return f, info, encoding{}, err
}

// openVariant tries the encodings in the order of the client's qualities.
func (st *site) openVariant(name, accept string) (*os.File, os.FileInfo, encoding) {
	identity := quality(accept, "identity")
	var tried [3]bool
	for {
		best, q := -1, 0
		for i, e := range encodings {
			if tried[i] || !st.encoded && e.name != "gzip" {
				continue
			}
			if v := quality(accept, e.name); v > q {
				best, q = i, v
			}
		}
		if best < 0 || identity > q && named(accept, "identity") {
			return nil, nil, encoding{}
		}
		tried[best] = true
		f, info, err := open(name + encodings[best].suffix)
		if err != nil {
			continue
		}
		if info.Mode().IsRegular() {
			return f, info, encodings[best]
		}
		f.Close()
	}
}

func named(accept, coding string) bool {
	for item := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			return true
		}
	}
	return false
}

// quality returns the weight, in thousandths, that an Accept-Encoding field
// gives a coding; 0 refuses it. RFC 9110 section 12.5.3.
func quality(accept, coding string) int {
	q, any := -1, 0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.TrimSpace(name)
		switch w := weight(params); {
		case strings.EqualFold(name, coding), coding == "gzip" && strings.EqualFold(name, "x-gzip"):
			q = w
		case name == "*":
			any = w
		}
	}
	if q >= 0 {
		return q
	}
	return any
}

func weight(params string) int {
	for p := range strings.SplitSeq(params, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), "q") {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || f < 0 || f > 1 {
				return 0
			}
			return int(f * 1000)
		}
	}
	return 1000
}
