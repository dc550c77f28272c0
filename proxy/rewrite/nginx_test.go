package rewrite

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// TestReturnDoesWhatNginxDoes gives each location to both, asks for the same
// targets, and compares status, Location, type and text.
func TestReturnDoesWhatNginxDoes(t *testing.T) {
	locations := []string{
		`return 200;`, `return 200 '';`, `return 200 text;`, `return 200 "$uri|$args|$arg_a|$request_method";`, `return 201 made;`, `return 204;`,
		`return 204 text;`, `return 300;`, `return 301;`, `return 301 /there;`, `return 301 there;`, `return 302 https://other.test$request_uri;`,
		`return 303 /a?b=$arg_a;`, `return 304;`, `return 305 text;`, `return 307 $arg_a;`, `return 308 //x/y;`, `return http://other.test$uri;`,
		`return $scheme://other.test;`, `return 400 bad;`, `return 401;`, `return 403;`, `return 404 "none of $uri";`, `return 410;`, `return 418 tea;`,
		`return 500;`, `return 599 odd;`, `return 302 "$uri";`, `return 200 first; return 201 second;`, `default_type text/html; return 200 page;`,
		`types { text/css css; } return 200 body;`, `error_page 404 /page; return 404;`, `error_page 404 /page; return 404 text;`,
		`error_page 302 /page; return 302 /x;`, `error_page 403 =418 /page; return 403;`, `absolute_redirect off; return 301 /there;`,
		`error_page 403 /away; return 403;`, `error_page 404 =200 /page; return 404;`,
	}
	targets := []string{"/", "/a.css?a=1", "/a%20b/../c?a=x%2fy"}
	var servers strings.Builder
	for i, l := range locations {
		fmt.Fprintf(&servers, " server { LISTEN server_name s%d; location / { %s } location = /page { return 200 \"page $status\"; } location = /away { return 302 /x; } }", i, l)
	}
	const types = "types { text/html html; text/css css; } default_type text/plain;"
	ask := startNginx(t, types+servers.String())
	ours := start(t, types+strings.ReplaceAll(servers.String(), "LISTEN", "listen 80;"))
	for i, l := range locations {
		for _, target := range targets {
			host := fmt.Sprintf("s%d", i)
			rec := ours.Do(proxytest.Request{Host: host, Target: target})
			body := rec.Text()
			if strings.Contains(body, "<center>") {
				body = "a status page"
			}
			got := fmt.Sprintf("%d %q %q %q", rec.Status, rec.Header.Get("Location"), rec.Header.Get("Content-Type"), body)
			if want := ask(host, target); got != want {
				t.Errorf("%s of %s:\nours  %s\nnginx %s", target, l, got, want)
			}
		}
	}
}

// startNginx serves servers, whose LISTEN it replaces, until the test ends. It
// returns what asks them.
func startNginx(t *testing.T, servers string) func(host, target string) string {
	t.Helper()
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; root DIR/none;\n"+strings.ReplaceAll(servers, "LISTEN", "listen unix:DIR/s;"))
	return func(host, target string) string { return askNginx(t, filepath.Join(dir, "s"), host, target) }
}

func askNginx(t *testing.T, socket, host, target string) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%s%s: %v", host, target, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	if strings.Contains(text, "<center>") {
		text = "a status page"
	}
	return fmt.Sprintf("%d %q %q %q", res.StatusCode, res.Header.Get("Location"), res.Header.Get("Content-Type"), text)
}
