package charset_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/accesslog"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/varmap"
)

const sentSite = `
	map $sent_http_content_type $kind { default other; text/html page; text/plain text; "text/html; charset=utf-8" named; }
	types { text/html html; text/plain txt; }
	server { LISTEN server_name %s; root ROOT; %s autoindex on; add_header X-Type "$kind of $sent_http_content_type";
		location /json/ { alias ROOT/d/; autoindex_format json; }
		location /text { return 200 text; }
		location /away/ { proxy_pass http://unix:DIR/origin; }
	}`

var boundaries = regexp.MustCompile(`\d{20}`)

// A header filter that asks for the type of an answer gets nginx's: that of a file, of which
// parts may be sent, and without the charset that is added.
func TestTheTypeOfAnAnswerIsNginxsBeforeItsHead(t *testing.T) {
	blocks := []string{``, `charset utf-8;`, `charset koi8-r;`}
	dir := proxytest.NginxDir(t)
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.html", "a.txt", "d/x"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("0123456789"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	startOrigin(t, filepath.Join(dir, "origin"))
	cut := strings.Index(sentSite, "server {")
	text := sentSite[:cut]
	for i, b := range blocks {
		text += fmt.Sprintf(sentSite[cut:], fmt.Sprintf("s%d", i), b)
	}
	text = strings.NewReplacer("ROOT", root, "DIR", dir).Replace(text)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(text, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: append([]proxy.Module{varmap.Module(), header.Module()}, modules()...), Serve: http1.Serve, Text: strings.ReplaceAll(text, "LISTEN", "listen 127.0.0.1:80;")})
	for i := range blocks {
		host := fmt.Sprintf("s%d", i)
		for _, target := range []string{"/d/", "/json/", "/a.html", "/a.txt", "/d/x", "/text", "/away/?t=text/html", "/away/?t=" + url.QueryEscape("text/html; charset=utf-8"), "/away/?a=utf-8&t=text/css"} {
			for _, fields := range []string{"", "Range: bytes=2-3\r\n", "Range: bytes=0-1,4-5\r\n"} {
				want := sentType(t, "unix", filepath.Join(dir, "s"), host, target, fields)
				if got := sentType(t, "tcp", s.Addr("127.0.0.1:80"), host, target, fields); got != want {
					t.Errorf("%q %s %q:\nours  %s\nnginx %s", blocks[i], target, fields, got, want)
				}
			}
		}
	}
}

// sentType returns what the server says of the type, and the parts of a body.
func sentType(t *testing.T, network, addr, host, target, fields string) string {
	t.Helper()
	res, body := get(t, network, addr, host, target, fields)
	said := fmt.Sprintf("%d %q", res.StatusCode, res.Header["X-Type"])
	if res.StatusCode == 206 {
		said += boundaries.ReplaceAllString(fmt.Sprintf(" %d %q %q", res.ContentLength, res.Header["Content-Type"], body), "BOUNDARY")
	}
	return said
}

// The log has the type that was sent.
func TestTheLogHasTheTypeThatWasSent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	s := proxytest.New(t, proxytest.Config{Modules: append([]proxy.Module{accesslog.Module()}, modules()...), Serve: http1.Serve, Text: `
		log_format sent "$uri $sent_http_content_type"; access_log ` + log + ` sent;
		server { listen 127.0.0.1:80; root ` + dir + `; autoindex on; charset utf-8; types { text/plain txt; } }`})
	want := ""
	for _, c := range []struct{ path, fields, want string }{
		{"/", "", "text/html; charset=utf-8"}, {"/a.txt", "", "text/plain; charset=utf-8"}, {"/a.txt", "Range: bytes=0-1,4-5\r\n", "multipart/byteranges; boundary=BOUNDARY"},
	} {
		res, _ := get(t, "tcp", s.Addr("127.0.0.1:80"), "h", c.path, c.fields)
		if got := boundaries.ReplaceAllString(res.Header.Get("Content-Type"), "BOUNDARY"); got != c.want {
			t.Errorf("%s: type %q, want %q", c.path, got, c.want)
		}
		want += c.path + " " + c.want + "\n"
	}
	var got string
	proxytest.Eventually(t, func() bool {
		text, _ := os.ReadFile(log)
		got = boundaries.ReplaceAllString(string(text), "BOUNDARY")
		return len(got) >= len(want)
	}, "the log is short of lines")
	if got != want {
		t.Errorf("the log is\n%swant\n%s", got, want)
	}
}
