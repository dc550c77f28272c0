package proxypass

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestRangesAreForcedAsInNginx has an origin that gives no ranges.
func TestRangesAreForcedAsInNginx(t *testing.T) {
	long := strings.Repeat("0123456789", 20000)
	answers := map[string]string{
		"short":   "200 OK\r\nContent-Length: 10\r\nETag: \"a\"\r\nLast-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n0123456789",
		"offered": "200 OK\r\nContent-Length: 10\r\nAccept-Ranges: none\r\n\r\n0123456789",
		"chunked": "200 OK\r\nTransfer-Encoding: chunked\r\nAccept-Ranges: none\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
		"own":     "206 OK\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/10\r\n\r\n12",
		"created": "201 OK\r\nContent-Length: 10\r\n\r\n0123456789",
		"empty":   "200 OK\r\nContent-Length: 0\r\n\r\n",
		"long":    fmt.Sprintf("200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
	}
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			answer := answers[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
			if head, _, _ := strings.Cut(answer, "\r\n\r\n"); r.Method == "HEAD" {
				answer = head + "\r\n\r\n"
			}
			io.WriteString(pc, "HTTP/1.1 "+answer)
		}
	})
	theirs, mine := beside(t, "location / { proxy_pass http://"+o.addr+"; proxy_force_ranges on; } location /unbuffered/ { proxy_pass http://"+o.addr+"/; proxy_force_ranges on; proxy_buffering off; }")
	for name := range answers {
		for _, fields := range []string{"", "Range: bytes=2-4\r\n", "Range: bytes=-3\r\n", "Range: bytes=9-\r\n", "Range: bytes=100000-100009\r\n", "Range: bytes=10-\r\n", "Range: bytes=200000-\r\n", "Range: bytes=0-1,4-5\r\n", "Range: rows=1-2\r\n",
			"Range: bytes=2-4\r\nIf-Range: \"a\"\r\n", "Range: bytes=2-4\r\nIf-Range: \"b\"\r\n", "Range: bytes=2-4\r\nIf-Range: Mon, 02 Jan 2006 15:04:05 GMT\r\n", "Range: bytes=2-4\r\nIf-Range: Mon, 02 Jan 2006 15:04:06 GMT\r\n"} {
			for _, form := range []string{"GET /%s", "HEAD /%s", "POST /%s", "GET /unbuffered/%s"} {
				request := fmt.Sprintf(form, name) + " HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n" + fields + "\r\n"
				got, want := seen(t, mine(), request), seen(t, theirs(), request)
				if strings.HasPrefix(got, "416") { // the pages name the server
					got, _, _ = strings.Cut(got, "Content-Length")
					want, _, _ = strings.Cut(want, "Content-Length")
				}
				if name == "chunked" { // it has a length here, as all of it has come
					got = strings.Replace(got, `"Content-Length: 10"`, "", 1)
				}
				if got != want {
					t.Errorf("%q\n ours  %.400s\n nginx %.400s", request, got, want)
				}
			}
		}
	}
}
