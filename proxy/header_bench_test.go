package proxy

import "testing"

// benchFields are a browser's.
var benchFields = [][2]string{
	{"Host", "shop.example.com"}, {"Connection", "keep-alive"}, {"Upgrade-Insecure-Requests", "1"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"},
	{"Accept", "text/html,*/*;q=0.8"}, {"Sec-Fetch-Site", "same-origin"}, {"Referer", "https://shop.example.com/"}, {"Accept-Encoding", "gzip, br"},
	{"Accept-Language", "en-GB,en;q=0.9"}, {"Cookie", "sessionid=0123456789abcdef"},
}

func BenchmarkHeader(b *testing.B) {
	filled := func() *Header {
		h := &Header{}
		for _, f := range benchFields {
			h.Add(f[0], f[1])
		}
		return h
	}
	for _, c := range []struct {
		name string
		once func(h *Header)
	}{
		{"fill", func(h *Header) {
			h.Reset()
			for _, f := range benchFields {
				h.Add(f[0], f[1])
			}
		}},
		{"indexed", func(h *Header) { h.Lookup(FieldAcceptEncoding) }},
		{"indexed and missing", func(h *Header) { h.Lookup(FieldRange) }},
		{"by name", func(h *Header) { h.Get("accept-language") }},
		{"by name and missing", func(h *Header) { h.Get("x-forwarded-proto") }},
		{"replace", func(h *Header) { h.Set("Referer", "-") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				h := filled()
				for pb.Next() {
					c.once(h)
				}
			})
		})
	}
}
