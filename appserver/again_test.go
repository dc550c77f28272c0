package appserver

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The location that answers in place of an application gets the request's body, whatever
// the application has read of it.
func TestABodyIsReadAgainWhereAnotherLocationAnswers(t *testing.T) {
	s := newLoopSite(t, "workers 1; timeout 30s;", Options{})
	text := strings.Replace(configText(t, "workers 1; timeout 30s;"), "location /", "error_page 502 /echo; location /", 1)
	if err := s.Reload(text); err != nil {
		t.Fatal(err)
	}
	nc := s.Dial("127.0.0.1:8080")
	r := bufio.NewReader(nc)
	for _, target := range []string{"/to?/echo", "/to?/to?/echo", "/die"} {
		for _, size := range []int{0, 5, 20 << 10, 100 << 10, 3 << 20} {
			for _, chunked := range []bool{false, true} {
				if target == "/die" && (size == 0 || chunked) {
					continue // workers that die often are replaced late
				}
				body := strings.Repeat("b", size)
				framed := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body)
				if chunked {
					framed = "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", size, body), min(size, 1)) + "0\r\n\r\n"
				}
				io.WriteString(nc, "POST "+target+" HTTP/1.1\r\nHost: a\r\n"+framed)
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				if string(got) != body || err != nil {
					t.Errorf("%s, %d bytes, chunked %v: %s with %d bytes, %v; want the %[2]d bytes that were sent", target, size, chunked, res.Status, len(got), err)
				}
			}
		}
	}
}
