package proxypass

import (
	"strconv"
	"strings"

	"alicorn/proxy"
)

// offerRanges gives x's client the range that it asks for: proxy_force_ranges.
func (p *pass) offerRanges(x *proxy.Exchange) {
	switch {
	case !p.h.forceRanges:
	case p.head.Length < 0:
		x.Res.FilterLast(dropOffer)
	default:
		x.Res.FilterLast(takeRange)
	}
}

// dropOffer drops the server's own offer of ranges: those of the answer are given here.
func dropOffer(x *proxy.Exchange) error {
	x.Res.Header.Del("Accept-Ranges")
	return nil
}

// takeRange makes x's response, whose length is known by now, the range that the client asks
// for. As in nginx, the range of a field with several is not given.
func takeRange(x *proxy.Exchange) error {
	r := &x.Res
	dropOffer(x)
	if r.Status != 200 || r.Length < 0 || x.GivenStatus() != 0 {
		return nil
	}
	value, asked := x.Req.Header.Lookup(proxy.FieldRange)
	if !asked || !isCurrent(x) {
		r.Header.AddID(proxy.FieldAcceptRanges, "Accept-Ranges", "bytes")
		return nil
	}
	size := r.Length
	spans, result := proxy.ParseRanges(value, size, 1)
	switch result {
	case proxy.RangeIgnored:
		r.Header.AddID(proxy.FieldAcceptRanges, "Accept-Ranges", "bytes")
	case proxy.RangeUnsatisfiable:
		return &proxy.Fail{Status: 416, Field: proxy.Field{Name: "Content-Range", Value: "bytes */" + strconv.FormatInt(size, 10)}}
	case proxy.RangeTaken:
		s := spans[0]
		r.Status, r.Length = 206, s.End-s.Start
		r.Header.Add("Content-Range", s.ContentRange(size))
		if !r.Bodyless() {
			r.Use(&slice{skip: s.Start, left: r.Length})
		}
	}
	return nil
}

// isCurrent evaluates If-Range, which has the strong ETag of the answer or exactly its date.
func isCurrent(x *proxy.Exchange) bool {
	value, ok := x.Req.Header.Lookup(proxy.FieldIfRange)
	switch {
	case !ok:
		return true
	case strings.HasSuffix(value, "\""):
		return value == x.Res.Header.Value(proxy.FieldETag)
	}
	return value == x.Res.Header.Value(proxy.FieldLastModified)
}

// slice is the proxy.BodyFilter that passes a part of the body.
type slice struct{ skip, left int64 }

// Write passes what of p is in the part.
func (s *slice) Write(next proxy.BodyWriter, p []byte) error {
	n := min(s.skip, int64(len(p)))
	p, s.skip = p[n:], s.skip-n
	p = p[:min(s.left, int64(len(p)))]
	s.left -= int64(len(p))
	if len(p) == 0 {
		return nil
	}
	_, err := next.Write(p)
	return err
}

// Flush flushes what was passed.
func (s *slice) Flush(next proxy.BodyWriter) error { return next.Flush() }

// Finish has nothing to write.
func (s *slice) Finish(proxy.BodyWriter) error { return nil }

// Close has nothing to release.
func (s *slice) Close() {}
