package proxypass

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// counts answers with what it was sent.
func counts(c *peerConn) {
	for {
		r, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		text := fmt.Sprintf("%s %s of %d: %d %.9q %v", r.Method, r.URL, r.ContentLength, len(body), body, err)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

// leads answers with 502, or with X-Accel-Redirect to what the query says.
func leads(c *peerConn) {
	for r, _ := c.request(); r != nil; r, _ = c.request() {
		if to := r.URL.RawQuery; to != "" {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: %s\r\nContent-Length: 2\r\n\r\nok", to)
			continue
		}
		io.WriteString(c, "HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno")
	}
}

// deadAddress returns an address at which nobody listens.
func deadAddress(t *testing.T) string {
	return "127.0.0.1:" + proxytest.Port(t)
}

func framed(size int, chunked bool) string {
	body := strings.Repeat("x", size)
	switch {
	case !chunked:
		return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body)
	case size == 0:
		return "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	}
	return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)
}

// The location that responds in place of the peer gets the body, as in nginx.
func TestABodyIsSentAgainWhereAnotherLocationAnswers(t *testing.T) {
	last, first, dead := startOrigin(t, "tcp", counts), startOrigin(t, "tcp", leads), deadAddress(t)
	theirs, mine := beside(t, "client_max_body_size 0; proxy_intercept_errors on; recursive_error_pages on; error_page 502 = @last;"+
		"location /dead { proxy_pass http://"+dead+"; } location /deaduri { error_page 502 = /o/x; proxy_pass http://"+dead+"; }"+
		"location /first { proxy_pass http://"+first.addr+"; } location /unread { proxy_request_buffering off; proxy_pass http://"+dead+"; }"+
		"location /twice { error_page 502 = @dead; proxy_pass http://"+first.addr+"; } location @dead { proxy_pass http://"+dead+"; }"+
		"location @last { proxy_pass http://"+last.addr+"; } location /o/ { proxy_pass http://"+last.addr+"; } location /none { error_page 502 = /return; proxy_pass http://"+dead+"; } location /return { return 200 none; }")
	for _, target := range []string{"/dead", "/deaduri", "/first", "/first?@last", "/first?/o/x", "/twice", "/none", "/unread"} {
		for _, size := range []int{0, 5, 100_000, 3_000_000} {
			for _, chunked := range []bool{false, true} {
				request := "POST " + target + " HTTP/1.1\r\nHost: site\r\n" + framed(size, chunked)
				if target == "/unread" && size > 5 { // nginx sends a part of it
					request = "POST /dead HTTP/1.1\r\nHost: site\r\n" + framed(size, chunked)
				}
				if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
					t.Errorf("%.200q\n ours  %s\n nginx %s", request, got, want)
				}
			}
		}
	}
}

// A body that is passed on while it comes is complete for the next location if the peer was
// not reached; in nginx the next one gets the rest. If the peer has a part, the next one fails.
func TestABodyThatIsPassedOnIsSentAgainWholeOrNotAtAll(t *testing.T) {
	last, first := startOrigin(t, "tcp", counts), startOrigin(t, "tcp", leads)
	s := newSite(t, "server { listen 127.0.0.1:80; client_max_body_size 0; proxy_request_buffering off; error_page 502 = @last;"+
		"location /dead { proxy_pass http://"+deadAddress(t)+"; } location /first { proxy_pass http://"+first.addr+"; } location @last { proxy_request_buffering on; proxy_pass http://"+last.addr+"; } }")
	for _, chunked := range []bool{false, true} {
		res, got := ask(t, s, "POST /dead HTTP/1.1\r\nHost: site\r\n"+framed(3_000_000, chunked))
		if want := `POST /dead of 3000000: 3000000 "xxxxxxxxx" <nil>`; res.StatusCode != 200 || got != want {
			t.Errorf("chunked %v: %s %q, want %q", chunked, res.Status, got, want)
		}
		res, got = ask(t, s, "POST /first?@last HTTP/1.1\r\nHost: site\r\n"+framed(3_000_000, chunked))
		if res.StatusCode != 500 {
			t.Errorf("chunked %v: %s %q, want 500", chunked, res.Status, got)
		}
	}
	s.Log.Wait(t, "cannot read the request body again: it was passed on while it came")
}

// TestWhatIsLeftOnAKeptConnectionIsNoAnswer has an origin send the body of an answer to
// HEAD when the next request has been sent by the connection.
func TestWhatIsLeftOnAKeptConnectionIsNoAnswer(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		for _, c := range []struct {
			method, left string
			status       int
			accepted     int
		}{
			{"GET", "the body", 200, 2},
			{"GET", "0\r\n\r\n", 200, 2},
			{"DELETE", "\n", 200, 2},
			{"POST", "the body", 502, 1},
			{"GET", "HTTP/1.1 200 OK\r\nno field\r\n\r\n", 502, 1},
		} {
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				for r, _ := pc.request(); r != nil; r, _ = pc.request() {
					if r.Method == "HEAD" {
						io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
					} else if pc.number == 0 {
						io.WriteString(pc, c.left)
					} else {
						io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					}
				}
			})
			cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; } }"
			s := site(t, cfg)
			ask(t, s, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
			if res, body := ask(t, s, c.method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); res.StatusCode != c.status || o.accepted() != c.accepted {
				t.Errorf("%s, %q: got %s %q, %d connections, want %d, %d\n%s", c.method, c.left, res.Status, body, o.accepted(), c.status, c.accepted, s.Log)
			}
		}
	})
}
