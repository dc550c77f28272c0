package http1_test

import (
	"io"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// hinting is content that sends hints before its head and a trailer after its body.
func hinting() proxy.Module {
	return proxy.Module{Name: "hinting", Compile: func(s *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			var hints proxy.Header
			hints.Add("Link", "</style.css>; rel=preload")
			hints.Add("Content-Length", "9")
			hints.Add("X-Bad", "a\r\nb")
			if err := x.Res.Hint(&hints); err != nil {
				return err
			}
			x.Res.Trailer.Add("X-Sum", "1")
			x.Res.Trailer.Add("Transfer-Encoding", "chunked")
			x.Res.Trailer.Add("Content-Range", "bytes 0-1/2")
			if x.Req.Path == "/sized" {
				return x.Res.Reply(200, "text/plain", []byte("body"))
			}
			x.Res.Status = 200
			if err := x.Res.Send(); err != nil {
				return err
			}
			io.WriteString(&x.Res, "body")
			return x.Res.Finish()
		}))
		return nil
	}}
}

func TestHintsComeBeforeTheHeadAndTrailersAfterTheBody(t *testing.T) {
	t.Parallel()
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8000; }", Modules: []proxy.Module{hinting()}, Serve: http1.Serve})
	const hint = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
	for _, c := range []struct {
		name, request string
		hint          bool
		end           string
	}{
		{"trailers are taken", "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers;q=1\r\nConnection: close, TE\r\n\r\n", true, "\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"no TE", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true, "\r\n4\r\nbody\r\n0\r\n\r\n"},
		{"TE without trailers", "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: close\r\n\r\n", true, "\r\n4\r\nbody\r\n0\r\n\r\n"},
		{"a length", "GET /sized HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n", true, "\r\n\r\nbody"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n", true, "\r\n\r\n"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nTE: trailers\r\n\r\n", false, "\r\n\r\nbody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := s.Dial("")
			io.WriteString(nc, c.request)
			text, err := io.ReadAll(nc)
			if err != nil {
				t.Fatal(err)
			}
			got := string(text)
			if rest, found := strings.CutPrefix(got, hint); found != c.hint || !strings.HasPrefix(rest, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("got %q, want the hint %v and then the head", got, c.hint)
			}
			if !strings.HasSuffix(got, c.end) {
				t.Errorf("got %q, want the end %q", got, c.end)
			}
			if strings.Contains(got, "X-Sum") != strings.Contains(c.end, "X-Sum") {
				t.Errorf("got %q, which has a trailer that was not asked for, or none", got)
			}
		})
	}
}
