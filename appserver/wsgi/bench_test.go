package wsgi

import (
	"strings"
	"testing"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
)

// browserRequest is a request as a browser behind no proxy sends it.
func browserRequest() *proxy.Exchange {
	x := proxy.NewExchange(&proxy.Conn{RemoteAddr: "192.0.2.9", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "443"}, nil)
	x.Location = &proxy.Location{Core: &proxy.Core{}}
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Scheme = "GET", "/shop/cart?item=42&lang=en", "HTTP/1.1", "https"
	r.Path, r.Args, r.Host, r.Authority = "/shop/cart", "item=42&lang=en", "shop.example.com", "shop.example.com"
	for _, f := range [][2]string{
		{"Host", "shop.example.com"}, {"Connection", "keep-alive"}, {"Upgrade-Insecure-Requests", "1"},
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"},
		{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
		{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"},
		{"Referer", "https://shop.example.com/shop/"}, {"Accept-Encoding", "gzip, deflate, br, zstd"},
		{"Accept-Language", "en-GB,en;q=0.9"}, {"Cookie", "csrftoken=" + strings.Repeat("a", 32) + "; sessionid=" + strings.Repeat("b", 32)},
	} {
		r.Header.Add(f[0], f[1])
	}
	return x
}

// bareRequest is what a load generator sends.
func bareRequest() *proxy.Exchange {
	x := proxy.NewExchange(&proxy.Conn{RemoteAddr: "127.0.0.1", RemotePort: "50000", LocalAddr: "127.0.0.1", LocalPort: "80"}, nil)
	x.Location = &proxy.Location{Core: &proxy.Core{}}
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Scheme, r.Path, r.Host, r.Authority = "GET", "/", "HTTP/1.1", "http", "/", "localhost", "localhost"
	r.Header.Add("Host", "localhost")
	return x
}

func BenchmarkEnviron(b *testing.B) {
	for _, c := range []struct {
		name    string
		request func() *proxy.Exchange
	}{{"browser", browserRequest}, {"bare", bareRequest}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := c.request()
				defer x.Release()
				buf, e := make([]byte, 0, 8<<10), &wire.Environ{}
				for pb.Next() {
					Environ(e, gateway.Request{Exchange: x, Way: gateway.Way{Scheme: x.Req.Scheme}, Length: -1})
					buf, _ = e.AppendTo(buf[:0])
				}
				b.SetBytes(int64(len(buf)))
			})
		})
	}
}

// djangoHead is a head with as many fields as Django's middleware gives.
func djangoHead() []byte {
	return wiretest.Head("200 OK", "Content-Type", "text/html; charset=utf-8", "Content-Length", "5120", "X-Frame-Options", "DENY",
		"Vary", "Cookie, Accept-Language", "Content-Language", "en", "X-Content-Type-Options", "nosniff", "Referrer-Policy", "same-origin",
		"Cross-Origin-Opener-Policy", "same-origin", "Set-Cookie", "csrftoken="+strings.Repeat("a", 32)+"; Path=/; SameSite=Lax")[4:]
}

func BenchmarkHead(b *testing.B) {
	django, hello := djangoHead(), wiretest.Head("200 OK", "Content-Type", "text/plain", "Content-Length", "13")[4:]
	for _, c := range []struct {
		name string
		data []byte
	}{{"new, Django", django}, {"new, hello", hello}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gateway.ParseHead(string(c.data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	data := append(append(wire.AppendHeader(nil, wire.KindHead, wire.FlagEnd, 7), wiretest.Head("200 OK", "Content-Length", "13")...), "Hello, World!"...)
	b.ReportAllocs()
	for b.Loop() {
		if f, err := wire.ParseFrame(data); err != nil || string(f.Payload) != "Hello, World!" {
			b.Fatalf(`%+v, %v; want "Hello, World!"`, f, err)
		}
	}
}
