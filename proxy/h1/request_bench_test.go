package h1

import (
	"bytes"
	"testing"

	"alicorn/proxy"
)

// The heads that are measured: of a load generator, and of a browser.
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

// BenchmarkRequestHead reads heads that have come in one piece.
func BenchmarkRequestHead(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"plain", plainHead}, {"browser", browserHead}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				text, r := []byte(c.text), new(proxy.Request)
				for pb.Next() {
					var h RequestHead
					r.Header.Reset()
					r.Authority = ""
					if n, err := h.Feed(r, text, &rules); n != len(text) || err != nil {
						b.Fatalf("got %d, %v, want %d", n, err, len(text))
					}
				}
			})
		})
	}
}

// BenchmarkChunks reads a body of chunks.
func BenchmarkChunks(b *testing.B) {
	text := AppendChunkSize(nil, 4<<10)
	text = append(append(text, make([]byte, 4<<10)...), ChunkEnd...)
	text = append(bytes.Repeat(text, 16), LastChunk...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		body, at := NewBody(-1, true), 0
		for !body.Ended() {
			n, err := body.Frame(text[at:])
			if err != nil {
				b.Fatal(err)
			}
			at += n + int(body.Left())
			body.Take(body.Left())
		}
	}
}
