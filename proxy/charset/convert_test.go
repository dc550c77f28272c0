package charset_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// converting is served by both; each server has two charsets.
const converting = `
	include /etc/nginx/koi-utf; include /etc/nginx/koi-win;
	charset_map small utf-8 { 80 E282AC; 81 C3A4; 82 C2A0; ff D0AF; }
	charset_map left right { 80 90; 81 91; 41 42; fe 80; }
	default_type text/plain; types { text/css css; }
	server { LISTEN server_name wide; root ROOT; charset utf-8; source_charset koi8-r; location /away/ { proxy_pass http://unix:DIR/origin; } location /text { return 200 "\xc1\xc2"; } }
	server { LISTEN server_name narrow; root ROOT; charset koi8-r; source_charset utf-8; location /away/ { override_charset on; proxy_pass http://unix:DIR/origin; } }
	server { LISTEN server_name single; root ROOT; charset windows-1251; source_charset koi8-r; location /away/ { override_charset on; proxy_pass http://unix:DIR/origin; } }
	server { LISTEN server_name small; root ROOT; charset small; source_charset utf-8; }
	server { LISTEN server_name large; root ROOT; charset utf-8; source_charset small; }
	server { LISTEN server_name right; root ROOT; charset right; source_charset left; }
	server { LISTEN server_name left; root ROOT; charset left; source_charset right; }
`

func TestTextsAreConvertedAsNginxConvertsThem(t *testing.T) {
	dir := proxytest.NginxDir(t)
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	var bytes []byte
	for i := range 256 {
		bytes = append(bytes, byte(i))
	}
	text := "Привет, мир! \u00a0\u00a9\u00e4 \u20ac \U0001F600 \u2500\u0451\u042f "
	for name, content := range map[string]string{"bytes": string(bytes), "text": text, "long": strings.Repeat("x"+text, 2000), "many": strings.Repeat(string(bytes), 500), "empty": "", "style.css": text} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	startOrigin(t, filepath.Join(dir, "origin"))
	conf := strings.NewReplacer("ROOT", root, "DIR", dir).Replace(converting)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(conf, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Serve: http1.Serve, Text: strings.ReplaceAll(conf, "LISTEN", "listen 127.0.0.1:80;")})
	targets := []string{"/text", "/long", "/empty", "/style.css", "/none", "/away/?t=" + url.QueryEscape("text/html; charset=koi8-r"), "/away/?t=" + url.QueryEscape("text/html; charset=utf-8"), "/away/?t=text/html", "/away/?t=text/html&e=br", "/away/?s=302&t=text/html"}
	for _, host := range []string{"wide", "narrow", "single", "small", "large", "right", "left"} {
		all := targets
		if host != "narrow" && host != "small" { // malformed utf-8 differs
			all = append([]string{"/bytes", "/many"}, targets...)
		}
		for _, target := range all {
			status, want := ask(t, "unix", filepath.Join(dir, "s"), host, target, ""), body(t, "unix", filepath.Join(dir, "s"), host, target, "")
			if got := ask(t, "tcp", s.Addr("127.0.0.1:80"), host, target, ""); got != status {
				t.Errorf("%s%s: ours %s, nginx %s", host, target, got, status)
			}
			if got := body(t, "tcp", s.Addr("127.0.0.1:80"), host, target, ""); got != want {
				t.Errorf("%s%s:\nours  %.300q\nnginx %.300q", host, target, got, want)
			}
		}
	}
}

func TestACharacterMayComeInParts(t *testing.T) {
	dir := proxytest.NginxDir(t)
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"cut": "\xd0", "odd": "a\xd0b\xe2\x82\xe2\x82\xac\xff", "wide": strings.Repeat("\u20ac", 40_000)} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: fmt.Sprintf(`charset_map a utf-8 { 80 E282AC; } server { listen 80; root %s; charset a; source_charset utf-8; default_type text/plain; }`, root)})
	for target, want := range map[string]string{"/cut": "?", "/odd": "a?b??\x80?", "/wide": strings.Repeat("\x80", 40_000)} {
		if r := s.Get(target); r.Text() != want || r.Header.Get("Accept-Ranges") != "" || r.Length != -1 {
			t.Errorf("%s: %.100q, want %.100q", target, r.Text(), want)
		}
	}
	if r := s.Get("/wide", "Range: bytes=1-5"); r.Status != 206 || r.Text() != "\x82\xac\xe2\x82\xac" || r.Header.Get("Content-Type") != "text/plain" {
		t.Errorf(`a part: %d %q %q; want 206, %q and "text/plain"`, r.Status, r.Text(), r.Header.Get("Content-Type"), "\x82\xac\xe2\x82\xac")
	}
}
