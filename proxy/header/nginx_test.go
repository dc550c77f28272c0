package header

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

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite" // for return, the shortest content there is
)

// TestAddHeaderDoesWhatNginxDoes gives each block to both and compares the
// fields that it adds.
func TestAddHeaderDoesWhatNginxDoes(t *testing.T) {
	bodies := []string{
		`add_header X-A 1;`, `add_header X-A 1 always;`, `add_header X-A "$uri?$args";`, `add_header X-A $arg_none;`, `add_header X-A "$arg_none" always;`,
		`add_header X-A 1; add_header x-a 2; add_header X-B 3;`, `add_header Cache-Control public; add_header Cache-Control max-age=5;`,
		`add_header Set-Cookie a=1; add_header Set-Cookie b=2;`, `add_header Last-Modified "Thu, 01 Jan 1970 00:00:00 GMT";`, `add_header ETag '"x"';`,
		`add_header ETag "";`, `add_header Link "</a>; rel=x"; add_header Link "</b>; rel=y";`, `add_header Vary Cookie;`, `add_header X-S $status always;`,
		`add_header X-M "$request_method $scheme";`, `add_header Expires 0;`, `add_header X-A "a  b";`,
	}
	statuses := []int{200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 404, 418, 500, 503}
	var servers strings.Builder
	for i, b := range bodies {
		fmt.Fprintf(&servers, " server { LISTEN server_name s%d; add_header X-Outer 1; location / { %s", i, b)
		fmt.Fprint(&servers, " return 200 text; }")
		for _, s := range statuses {
			fmt.Fprintf(&servers, " location /%d { %s return %d /text; }", s, b, s)
		}
		fmt.Fprint(&servers, " location /outer { return 200 text; } }")
	}
	const types = "types { } default_type text/plain;"
	ask := startNginx(t, types+servers.String())
	ours := proxytest.New(t, proxytest.Config{Text: types + strings.ReplaceAll(servers.String(), "LISTEN", "listen 80;"), Modules: []proxy.Module{Module(), rewrite.Module()}})
	targets := []string{"/?a=b", "/outer"}
	for _, s := range statuses {
		targets = append(targets, fmt.Sprintf("/%d", s))
	}
	for i, b := range bodies {
		for _, target := range targets {
			host := fmt.Sprintf("s%d", i)
			rec := ours.Do(proxytest.Request{Host: host, Target: target})
			var fields []string
			for f := range rec.Header.All() {
				fields = append(fields, f.Name+": "+f.Value)
			}
			if got, want := interesting(fields), interesting(ask(host, target)); got != want {
				t.Errorf("%s of %s:\nours\n%s\nnginx\n%s", target, b, got, want)
			}
		}
	}
}

// interesting are the fields in their order without those that a server gives
// by itself.
func interesting(fields []string) string {
	var kept []string
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		switch strings.ToLower(name) {
		case "server", "date", "content-type", "content-length", "connection", "location", "transfer-encoding":
		default:
			kept = append(kept, f)
		}
	}
	return strings.Join(kept, "\n")
}

// startNginx runs nginx with servers, in which it replaces LISTEN, until the test ends. It
// returns a function that asks for header fields.
func startNginx(t *testing.T, servers string) func(host, target string) []string {
	t.Helper()
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; root DIR/none;\n"+strings.ReplaceAll(servers, "LISTEN", "listen unix:DIR/s;"))
	return func(host, target string) []string { return askNginx(t, filepath.Join(dir, "s"), host, target) }
}

func askNginx(t *testing.T, socket, host, target string) []string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
	res, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(res), "\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(res))), nil); err != nil || !ok {
		t.Fatalf("%s%s: %v: %q", host, target, err, res)
	}
	return strings.Split(head, "\r\n")[1:]
}
