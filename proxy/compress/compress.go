// Package compress is nginx's gzip module: it compresses responses for clients that accept
// gzip.
//
// A header filter checks nginx's conditions. If they hold, it changes the header:
// Content-Encoding is gzip, the length is not known, ranges are not offered, and the ETag is
// weak. Then a body filter compresses the body, with a writer from a pool. When a handler
// flushes, the client gets all that was written. A response to HEAD has the same fields as
// one to GET (RFC 9110 section 9.3.2); nginx does not change it.
package compress

import (
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	on        bool
	vary      bool
	level     int
	minLength int64
	minor     uint8 // gzip_http_version: the minor version of HTTP/1
	types     config.List[string]
	proxied   config.List[proxied]
	disabled  config.List[agent]
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{level: 1, minLength: 20, minor: 1} })
	pools, size := newPools(), new(proxy.ExchangeSlot[sizes])
	return proxy.Module{
		Name:       "compress",
		Settings:   k,
		Directives: directives(k),
		State:      []proxy.Slot{size},
		Variables: []proxy.Variable{{Name: "gzip_ratio", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			return size.In(x).appendRatio(dst)
		}}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if c := k.In(s); c.on {
				l.FilterHeader(newFilter(c, pools, size).apply)
			}
			return nil
		},
	}
}

// filter is the compiled settings of one location.
type filter struct {
	level     int
	minLength int64
	minor     uint8
	vary      bool
	types     proxy.TypeSet
	proxied   proxied
	disabled  []agent
	pools     *pools
	size      *proxy.ExchangeSlot[sizes]
}

func newFilter(c *settings, p *pools, size *proxy.ExchangeSlot[sizes]) *filter {
	f := &filter{level: c.level, minLength: c.minLength, minor: c.minor, vary: c.vary,
		types: proxy.NewTypeSet(append([]string{"text/html"}, c.types.Items()...)...), disabled: c.disabled.Items(), pools: p, size: size}
	for _, flag := range c.proxied.Items() {
		f.proxied |= flag
	}
	return f
}

func (f *filter) apply(x *proxy.Exchange) error {
	if !f.suitable(&x.Res) {
		return nil
	}
	if f.vary && !varies(&x.Res.Header) {
		x.Res.Header.Add("Vary", "Accept-Encoding")
	}
	if wanted, err := f.wanted(x); err != nil || !wanted {
		return err
	}
	r := &x.Res
	r.Length = -1
	r.Header.Del("Accept-Ranges")
	r.Header.Set("Content-Encoding", "gzip")
	weaken(&r.Header)
	if !r.Bodyless() {
		w := f.pools.take(f.level)
		w.size = f.size.In(x)
		*w.size = sizes{}
		r.Use(w)
	}
	return nil
}

// suitable reports whether the response may be compressed for clients that accept it.
func (f *filter) suitable(r *proxy.Response) bool {
	switch r.Status {
	case 200, 403, 404:
	default:
		return false
	}
	if r.Length >= 0 && r.Length < f.minLength {
		return false
	}
	if r.Header.Value(proxy.FieldContentEncoding) != "" {
		return false
	}
	return f.types.Has(r.ContentType)
}

// wanted reports whether the client of x gets gzip.
func (f *filter) wanted(x *proxy.Exchange) (bool, error) {
	accept, ok := x.Req.Header.Lookup(proxy.FieldAcceptEncoding)
	if !ok {
		return false, nil
	}
	q := proxy.CodingQuality(accept, "gzip")
	if q == 0 || q < proxy.CodingQuality(accept, "identity") {
		return false, nil
	}
	if x.Req.Major == 1 && x.Req.Minor < f.minor || x.Req.Major < 1 {
		return false, nil
	}
	if x.Req.Header.Get("Via") != "" && !f.proxied.allow(x) {
		return false, nil
	}
	refused, err := f.refused(x)
	return !refused, err
}

func (f *filter) refused(x *proxy.Exchange) (bool, error) {
	if len(f.disabled) == 0 {
		return false, nil
	}
	name, ok := x.Req.Header.Lookup(proxy.FieldUserAgent)
	if !ok {
		return false, nil
	}
	for i := range f.disabled {
		if refused, err := f.disabled[i].match(x, name); err != nil || refused {
			return refused, err
		}
	}
	return false, nil
}

// varies reports whether a Vary field already says that the response depends
// on Accept-Encoding.
func varies(h *proxy.Header) bool {
	for i := range h.Len() {
		f := h.At(i)
		if f.ID() == proxy.FieldVary && hasToken(f.Value, "Accept-Encoding", "*") {
			return true
		}
	}
	return false
}

// hasToken reports whether one of the names is an element of the list, whose case does not
// matter. It compares elements up to their "=".
func hasToken(list string, names ...string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item, _, _ = strings.Cut(item, "=")
		for _, name := range names {
			if strings.EqualFold(strings.TrimSpace(item), name) {
				return true
			}
		}
	}
	return false
}

// weaken makes the ETag weak, since the bytes differ from the uncompressed ones. It drops an
// ETag that is not an entity tag.
func weaken(h *proxy.Header) {
	tag, ok := h.Lookup(proxy.FieldETag)
	switch {
	case !ok, strings.HasPrefix(tag, "W/"):
	case strings.HasPrefix(tag, `"`):
		h.Set("ETag", "W/"+tag)
	default:
		h.Del("ETag")
	}
}
