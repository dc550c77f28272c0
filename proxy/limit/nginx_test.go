package limit_test

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

// TestWhatNginxDoes sends the same requests, as fast as they are answered, to
// nginx and to us. Rates are so low that no time is long enough to matter.
func TestWhatNginxDoes(t *testing.T) {
	const zones = `limit_req_zone $arg_k zone=one:1m rate=1r/m; limit_req_zone $arg_j zone=two:32k rate=2r/m; limit_req_zone $arg_k zone=fast:1m rate=100r/s;`
	locations := []string{
		`limit_req zone=one;`,
		`limit_req zone=one burst=5 nodelay;`,
		`limit_req zone=one burst=3 delay=3; limit_req_status 429;`,
		`limit_req zone=one burst=4 nodelay; limit_req zone=two burst=1 nodelay;`,
		`limit_req zone=two burst=1 nodelay; limit_req zone=one burst=4 nodelay;`,
		`limit_req zone=one burst=2; limit_req_dry_run on;`,
		`limit_req zone=fast burst=20 delay=18;`,
	}
	targets := []string{"k=a&j=a", "k=a&j=a", "k=b", "j=b", "", "k=a&j=c", "k=a&j=a", "k=a&j=b", "k=a&j=d", "k=a", "k=a", "k=a", "k=b", "j=b", "j=b"}
	for _, l := range locations {
		want := askNginx(t, zones, l, targets)
		s := start(t, zones+`server { listen 80; location / { `+l+` } }`)
		var got []string
		for _, q := range targets {
			r := s.Get("/?" + q)
			got = append(got, fmt.Sprintf("%s: %d %s", q, r.Status, r.Header.Get("X-Limit")))
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s\nours:\n%s\nnginx:\n%s", l, g, w)
		}
	}
}

func askNginx(t *testing.T, zones, location string, queries []string) (got []string) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	stop := proxytest.StartNginx(t, dir, `access_log off; root DIR/none; `+zones+` server { listen unix:DIR/s; add_header X-Limit $limit_req_status always;
		location / { `+location+` try_files /none =404; } }`)
	defer stop()
	for _, q := range queries {
		status, limit := get(t, filepath.Join(dir, "s"), "/?"+q)
		if status == 404 { // content, which return would have given before the limit
			status = 200
		}
		got = append(got, fmt.Sprintf("%s: %d %s", q, status, limit))
	}
	return got
}

func get(t *testing.T, socket, target string) (status int, limit string) {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("X-Limit")
}
