package proxy_test

import (
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// benchExchange is a browser's request, answered.
func benchExchange() *proxy.Exchange {
	x := proxy.NewExchange(&proxy.Conn{ID: 7, Requests: 3, RemoteAddr: "192.0.2.9", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "80"},
		proxytest.NewRecorder(""))
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Scheme = "GET", "/shop/cart?item=42&lang=en", "HTTP/1.1", "https"
	r.Line = "GET /shop/cart?item=42&lang=en HTTP/1.1"
	r.Path, r.Args, r.Host = "/shop/cart", "item=42&lang=en", "shop.example.com"
	for _, f := range [][2]string{{"Host", "shop.example.com"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0"},
		{"Accept", "text/html,*/*;q=0.8"}, {"Accept-Encoding", "gzip, br"}, {"Cookie", "theme=dark; session=0123456789abcdef"}, {"X-Request", "abc"}} {
		r.Header.Add(f[0], f[1])
	}
	x.Server = &proxy.Server{Name: "shop.example.com"}
	x.Res.Status, x.Res.Written = 200, 1234
	return x
}

// benchTemplate compiles text with the core's variables.
func benchTemplate(b *testing.B, text string) *proxy.Template {
	b.Helper()
	l := &config.Load{Schema: config.NewSchema()}
	proxy.Declare(l, []proxy.Module{proxy.NewCore(proxy.Options{})})
	t := proxy.ParseTemplate(l, config.Pos{}, text)
	if err := l.Finish(); err != nil {
		b.Fatal(err)
	}
	return t
}

func BenchmarkTemplate(b *testing.B) {
	for _, c := range []struct{ name, text, want string }{
		{"text only", "max-age=3600", "max-age=3600"},
		{"redirect", "https://$host$request_uri", "https://shop.example.com/shop/cart?item=42&lang=en"},
		{"argument and cookie", "$arg_lang-$cookie_theme", "en-dark"},
		{"fields", "$http_user_agent $http_x_request", "Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0 abc"},
		{"numbers", "$status $body_bytes_sent $connection", "200 1234 7"},
	} {
		t := benchTemplate(b, c.text)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := benchExchange()
				defer x.Release()
				buf := make([]byte, 0, 512)
				for pb.Next() {
					if buf = t.Append(x, buf[:0]); string(buf) != c.want {
						b.Errorf("%s gives %q, want %q", c.text, buf, c.want)
						return
					}
				}
			})
		})
	}
}

// BenchmarkTemplateString measures a directive that needs the value as a string.
func BenchmarkTemplateString(b *testing.B) {
	t := benchTemplate(b, "https://$host$request_uri")
	x := benchExchange()
	defer x.Release()
	b.ReportAllocs()
	for b.Loop() {
		t.String(x)
	}
}

// BenchmarkTime is the variables that ask the clock.
func BenchmarkTime(b *testing.B) {
	for _, name := range []string{"$time_local", "$time_iso8601", "$msec", "$request_time"} {
		t := benchTemplate(b, name)
		b.Run(name[1:], func(b *testing.B) {
			x := benchExchange()
			defer x.Release()
			buf := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				buf = t.Append(x, buf[:0])
			}
		})
	}
}
