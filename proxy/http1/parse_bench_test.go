package http1

import (
	"testing"

	"alicorn/proxy"
)

// The heads that are measured: what a load generator sends, and a browser.
const (
	plainHead = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

	browserHead = "GET /shop/articles?page=2&sort=price HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\n" +
		"Referer: https://www.example.com/shop/\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
		"Cookie: session=6f1ed002ab5595859014ebf0951522d9; csrftoken=YzM0NjU2NzY1NDMyMTIzNDU2Nzg5; theme=dark; consent=1%2C2%2C3\r\n" +
		"\r\n"
)

// parseText reads a whole head as a connection does.
func parseText(r *proxy.Request, h *head, core *proxy.Core, text []byte) (dropped int, err error) {
	line, rest := cutLine(text)
	if simple, err := parseLine(r, line); simple || err != nil {
		return 0, err
	}
	for {
		if line, rest = cutLine(rest); len(line) == 0 {
			return dropped, h.finish(r)
		}
		drop, err := h.parseField(r, core, line)
		if err != nil {
			return dropped, err
		}
		if drop {
			dropped++
		}
	}
}

func BenchmarkHead(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"plain", plainHead}, {"browser", browserHead}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				text, core, r := []byte(c.text), &proxy.Core{IgnoreInvalid: true, MaxHeaders: 1000}, new(proxy.Request)
				for pb.Next() {
					var h head
					r.Header.Reset()
					r.Authority = ""
					if _, err := parseText(r, &h, core, text); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
