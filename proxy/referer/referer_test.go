package referer_test

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
	"alicorn/proxy/referer"
	"alicorn/proxy/rewrite"
)

func modules() []proxy.Module { return []proxy.Module{rewrite.Module(), referer.Module()} }

const site = `
	server { LISTEN server_name s0;
		location / { return 200 "[$invalid_referer]"; }
		location /none { valid_referers none example.com; return 200 "[$invalid_referer]"; }
		location /if { valid_referers none example.com; if ($invalid_referer) { return 403; } return 200 ok; }
	}
	server { LISTEN server_name s1 .names.test *.wild.test ~^re[0-9]\.test$; valid_referers none blocked server_names example.com *.example.org .example.net www.example.* path.test/a/b *.path.test/c other.test/;
		location / { return 200 "[$invalid_referer]"; }
		location /regex { valid_referers ~\.google\. ~^exact\.test/a$; valid_referers Upper.TEST; return 200 "[$invalid_referer]"; }
		location /blocked { valid_referers blocked example.com; return 200 "[$invalid_referer]"; }
	}
	server { LISTEN server_name s2; valid_referers none *.example.org; if ($invalid_referer) { set $early bad; } location / { return 200 "[$early]"; } }
`

// In nginx a request that has read $invalid_referer in its server keeps the value in the
// location. Ours has that of the location.
func TestReferersAreThoseOfNginx(t *testing.T) {
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(site, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: strings.ReplaceAll(site, "LISTEN", "listen 80;")})
	referers := []string{"", "-", "http://", "http://a", "http://example.com", "https://example.com/", "HTTP://EXAMPLE.com:8080/x", "ftp://example.com/", "example.com/long enough", "http://xexample.com", "http://a.example.org", "http://example.org/",
		"http://example.net/", "http://a.b.example.net", "http://www.example.de/", "http://www.example", "http://names.test", "http://a.names.test/", "http://wild.test/", "http://a.wild.test/", "http://re1.test/", "http://rex.test/", "http://RE2.test:80",
		"http://path.test", "http://path.test/", "http://path.test/a/b", "http://path.test/a/bc", "http://path.test/a/B", "http://path.test:80/a/b", "http://path.test:80", "http://x.path.test/c", "http://x.path.test/d", "http://other.test", "http://other.test/x",
		"http://www.google.com/search", "http://google.com", "http://x/.google.", "http://exact.test/a", "http://exact.test/ab", "https://exact.test/A", "http://upper.test/x", "http://s1/xxxxx", "https://s", "http://" + strings.Repeat("a", 256) + "/", "http://" + strings.Repeat("a.", 128) + "example.net/", "http:///example.com", "http://:80/example.com"}
	for host, paths := range map[string][]string{"s0": {"/", "/none", "/if"}, "s1": {"/", "/regex", "/blocked"}, "s2": {"/"}} {
		for _, path := range paths {
			for _, ref := range referers {
				if host == "s1" && path != "/" && strings.HasPrefix(strings.ToLower(ref), "http://re") {
					continue // in nginx the regular expressions among the names stay those of the server
				}
				fields := []string{"Referer: " + ref}
				if ref == "-" {
					fields = nil
				}
				r := s.Do(proxytest.Request{Target: path, Host: host, Fields: fields})
				got := fmt.Sprint(r.Status)
				if r.Status == 200 {
					got += r.Text()
				}
				if want := ask(t, filepath.Join(dir, "s"), host, path, fields); got != want {
					t.Errorf("%s%s from %q: ours %s, nginx %s", host, path, ref, got, want)
				}
			}
		}
	}
}

func ask(t *testing.T, socket, host, target string, fields []string) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", target, host, strings.Join(append(fields, ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		return fmt.Sprint(res.StatusCode)
	}
	return fmt.Sprint(res.StatusCode) + string(body)
}

func TestMistakesInReferersHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`valid_referers none;`:  `:1:48: the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer`,
		`valid_referers "";`:    `:1:48: invalid referer ""; it is none, blocked, server_names, a host, perhaps with a path, or ~ and a regular expression`,
		`valid_referers /x;`:    `:1:48: invalid referer "/x"`,
		`valid_referers ~;`:     `:1:48: empty regex in "~"`,
		`valid_referers ~(;`:    `:1:48: regular expression "(": `,
		`valid_referers a A/x;`: `:1:50: conflicting parameter "A/x" of valid_referers: an earlier one is for it`,
		`valid_referers a*b;`:   `:1:48: invalid hostname or wildcard "a*b"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: `server { listen 127.0.0.1:80; ` + strings.Replace(text, "valid", "  valid", 1) + ` }`})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	warnings, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: `server { listen 127.0.0.1:80; valid_referers http://example.com; }`})
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0].Msg, `no Referer is "http://example.com": `) {
		t.Errorf("%v, %v; want one and %q at its beginning", warnings, err, `no Referer is "http://example.com": `)
	}
}

// What takes long to match must not pass for a valid referer.
func TestARequestWhoseRefererTakesTooLongFails(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: `server { listen 80; valid_referers "~^(?=(a+)+$)"; if ($invalid_referer) { return 403; } return 200 ok; }`})
	if r := s.Get("/", "Referer: http://"+strings.Repeat("a", 200)+"!"); r.Status != 500 {
		t.Errorf("status %d, want 500", r.Status)
	}
}
