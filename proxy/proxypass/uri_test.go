package proxypass

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

// TestURIsAreThoseOfNginx has both pass the same requests on to one origin.
func TestURIsAreThoseOfNginx(t *testing.T) {
	o := startOrigin(t, "unix", func(c *peerConn) {
		if r, _ := c.request(); r != nil {
			c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + r.Method + " " + r.RequestURI + " " + r.Host))
		}
	})
	for _, c := range []struct {
		config  string
		targets []string
	}{
		{"location / { proxy_pass http://unix:PATH; }", []string{"/", "/a?b=c", "/a%20b", "//a//b", "/a/../b", "/%2e%2e/a", "/a%2fb?%20", "/a|b", "/a\"b%41", "/?", "/a?"}},
		{"location / { proxy_pass http://unix:PATH:/; }", []string{"/", "/a?b=c", "/a%20b", "//a//b", "/a/../b", "/a%2fb?%20", "/a|b", "/a|b%41", "/a?"}},
		{"location /x/ { proxy_pass http://unix:PATH:/y/; }", []string{"/x/", "/x", "/x?a", "/x/a", "/x/a%20b?c", "/x/../x/b", "/x//b", "/x/%7C|\"<>"}},
		{"location /x { proxy_pass http://unix:PATH:/y; }", []string{"/x", "/x/a", "/xa?b", "/x?b"}},
		{"location = /x { proxy_pass http://unix:PATH:/y; }", []string{"/x", "/x?b", "/%78"}},
		{"location /x/ { proxy_pass http://unix:PATH:/y?z=1; }", []string{"/x/", "/x/a", "/x/a?b"}},
		{"location /x/ { rewrite ^/x/(.*)$ /r/$1 break; proxy_pass http://unix:PATH; }", []string{"/x/a", "/x/a%20b?c=d", "/x/%7Ca|"}},
		{"location /x/ { rewrite ^/x/(.*)$ /r/$1 break; proxy_pass http://unix:PATH:/y/; }", []string{"/x/a", "/x/a%20b?c=d"}},
		{"location /x/ { rewrite ^/x/(.*)$ /z/$1 last; } location /z/ { proxy_pass http://unix:PATH:/y/; }", []string{"/x/a", "/x/a%20b?c=d", "/z/%20"}},
		{"location /x/ { rewrite ^/x/(.*)$ /z/$1; } location /z/ { proxy_pass http://unix:PATH; }", []string{"/x/a", "/x/a%20b?c=d", "/z/%20"}},
		{"location ~ ^/x { proxy_pass http://unix:PATH; }", []string{"/x/a", "/x/a%20b?c=d"}},
		{"error_page 404 @f; location / { return 404; } location @f { proxy_pass http://unix:PATH; }", []string{"/x/a", "/x/a%20b?c=d"}},
		{"error_page 404 /f/; location / { return 404; } location /f/ { proxy_pass http://unix:PATH:/g/; }", []string{"/x/a?b"}},
		{"location / { proxy_pass http://unix:PATH; proxy_method PUT; }", []string{"/x"}},
		{"location / { proxy_pass http://unix:PATH; if ($arg_b) { set $q 1; } }", []string{"/x?b=1", "/x%20"}},
		{"location / { proxy_pass http://unix:PATH; proxy_set_header Host $host:1; }", []string{"/x"}},
	} {
		text := strings.ReplaceAll(c.config, "PATH", strings.TrimPrefix(o.addr, "unix:"))
		dir := proxytest.NginxDir(t)
		stop := proxytest.StartNginx(t, dir, "access_log off; absolute_redirect off; server { listen unix:DIR/s; "+text+" }")
		s := site(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; absolute_redirect off; " + text + " }", Modules: []proxy.Module{rewrite.Module()}})
		for _, target := range c.targets {
			want := askSocket(t, filepath.Join(dir, "s"), target)
			res, body := ask(t, s, get(target))
			if got := res.Status[:3] + " " + res.Header.Get("Location") + body; res.StatusCode < 300 && got != want || got[:3] != want[:3] {
				t.Errorf("%s\n%s\n ours  %q\n nginx %q", text, target, got, want)
			}
		}
		stop()
	}
}

// askSocket asks the server on a unix socket for target.
func askSocket(t *testing.T, path, target string) string {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	res, body := exchange(t, nc, bufio.NewReader(nc), get(target))
	return res.Status[:3] + " " + res.Header.Get("Location") + body
}
