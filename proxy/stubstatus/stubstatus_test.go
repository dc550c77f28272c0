package stubstatus_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/stubstatus"
)

// client is a connection to either server.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, network, addr string) *client {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return &client{nc, bufio.NewReader(nc), t}
}

// get asks on the connection, which stays open.
func (c *client) get(method, target string) string {
	c.t.Helper()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target)
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != 200 {
		return fmt.Sprint(res.StatusCode)
	}
	return fmt.Sprintf("%q %d %s", res.Header.Get("Content-Type"), res.ContentLength, body)
}

// TestTheNumbersAreThoseOfNginx has clients of both do the same.
func TestTheNumbersAreThoseOfNginx(t *testing.T) {
	const site = `server { listen LISTEN; stub_status on; location /status { stub_status; } location = /no { return 204; } location /text { return 200 text; } location /plain { } }`
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, regexp.MustCompile("LISTEN").ReplaceAllString(site, "unix:DIR/s"))
	s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: []proxy.Module{rewrite.Module(), stubstatus.Module()}, Text: regexp.MustCompile("LISTEN").ReplaceAllString(site, "127.0.0.1:80")})
	nginx, ours := history(t, "unix", filepath.Join(dir, "s")), history(t, "tcp", s.Addr("127.0.0.1:80"))
	for i := range nginx {
		if nginx[i] != ours[i] {
			t.Errorf("step %d:\nours  %s\nnginx %s", i, ours[i], nginx[i])
		}
	}
}

func history(t *testing.T, network, addr string) (answers []string) {
	first := dial(t, network, addr)
	say := func(a string) { answers = append(answers, a) }
	say(first.get("GET", "/status"))
	say(first.get("HEAD", "/status"))
	say(first.get("POST", "/status"))
	say(first.get("GET", "/status?x"))
	second := dial(t, network, addr)
	second.get("GET", "/text")
	third := dial(t, network, addr)
	fmt.Fprint(third, "GET /text HTTP/1.1\r\nHost")
	settled := regexp.MustCompile(`Active connections: 3 [^R]*Reading: 1 Writing: 1 Waiting: 1 `)
	proxytest.Eventually(t, func() bool { return settled.MatchString(first.get("GET", "/")) }, "the numbers of three connections")
	second.Close()
	third.Close()
	left := regexp.MustCompile(`Active connections: 1 \nserver accepts handled requests\n 3 3 \d+ \nReading: 0 Writing: 1 Waiting: 0 \n$`)
	proxytest.Eventually(t, func() bool { return left.MatchString(first.get("GET", "/")) }, "the numbers after two have left")
	return answers
}

func TestVariablesHaveTheNumbers(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: []proxy.Module{rewrite.Module(), stubstatus.Module()},
		Text: `server { listen 127.0.0.1:80; return 200 "$connections_active $connections_reading $connections_writing $connections_waiting"; }`})
	c, idle := dial(t, "tcp", s.Addr("127.0.0.1:80")), dial(t, "tcp", s.Addr("127.0.0.1:80"))
	idle.get("GET", "/")
	proxytest.Eventually(t, func() bool { return c.get("GET", "/") == `"text/plain" 7 2 0 1 1` }, "the numbers of two connections")
}
