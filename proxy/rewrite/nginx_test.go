package rewrite

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/compress"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/static"
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
		`return 404 "";`, `error_page 404 /page; return 404 "";`, `error_page 404 /page; return 404 "$arg_none";`, `return 0 "";`, `return 599 '';`,
		`return 429;`, `return 430;`, `return 450;`, `return 494;`, `return 495;`, `return 497;`, `return 507;`, `return 600;`, `return 999;`,
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

// startNginx runs nginx with servers, in which it replaces LISTEN, until the test ends. It
// returns a function that asks them.
func startNginx(t *testing.T, servers string) func(host, target string) string {
	t.Helper()
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; root DIR/none;\n"+strings.ReplaceAll(servers, "LISTEN", "listen unix:DIR/s;"))
	return func(host, target string) string { return askNginx(t, filepath.Join(dir, "s"), host, target) }
}

func askNginx(t *testing.T, socket, host, target string, fields ...string) string {
	t.Helper()
	res, body := exchange(t, socket, host, target, fields)
	if res == nil {
		return "closed"
	}
	return fmt.Sprintf("%d %q %q %q", res.StatusCode, res.Header.Get("Location"), res.Header.Get("Content-Type"), body)
}

// exchange returns nil when nginx closes without an answer.
func exchange(t *testing.T, socket, host, target string, fields []string) (*http.Response, string) {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", target, host, strings.Join(append(fields, ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ""
	}
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
	return res, text
}

// TestRewritingDoesWhatNginxDoes gives each server's text to both and compares
// what they answer to the same requests.
func TestRewritingDoesWhatNginxDoes(t *testing.T) {
	www := files(t)
	sides := slices.Concat(flags, arguments, sets, conditions, blocksOfLocations, rounds, preconditions())
	dir := proxytest.NginxDir(t)
	back, back2 := filepath.Join(dir, "back"), filepath.Join(dir, "back2")
	const common = "types { text/html html; } default_type text/plain; root WWW; log_not_found off; "
	var text strings.Builder
	for i, sd := range sides {
		fmt.Fprintf(&text, "server { LISTEN server_name s%d; %s }\n", i, strings.ReplaceAll(sd.text, "HOST", fmt.Sprintf("s%d", i)))
	}
	local := strings.NewReplacer("WWW", www, "http://BACK2", "http://unix:"+back2, "http://BACK", "http://unix:"+back).Replace(common + text.String())
	theirs := local + fmt.Sprintf(`server { listen unix:%s; return 200 "back $request_uri"; } server { listen unix:%s; return 200 "back2 $request_uri"; }`, back, back2)
	for i := range sides {
		theirs = strings.Replace(theirs, "LISTEN", fmt.Sprintf("listen unix:DIR/s%d;", i), 1)
	}
	proxytest.StartNginx(t, dir, "access_log off;\n"+theirs)
	s := proxytest.New(t, proxytest.Config{Text: strings.ReplaceAll(local, "LISTEN", "listen 80;"),
		Modules: []proxy.Module{Module(), static.Expires(), header.Module(), compress.Module(), passing(), static.Module()}})
	compared := 0
	for i, sd := range sides {
		for _, target := range sd.targets {
			host := fmt.Sprintf("s%d", i)
			res, body := exchange(t, filepath.Join(dir, host), host, target, sd.fields)
			want := "closed"
			if res != nil {
				want = seen(res.StatusCode, res.Header, body)
			}
			if got := answerOf(s, host, target, sd.fields); got != want {
				t.Errorf("%s of %s\nours  %s\nnginx %s", target, sd.text, got, want)
			}
			compared++
		}
	}
	t.Logf("%d servers, %d requests", len(sides), compared)
}

func answerOf(s *proxytest.Server, host, target string, fields []string) string {
	rec := s.Do(proxytest.Request{Host: host, Target: target, Fields: fields})
	if rec.Heads == 0 {
		return "closed"
	}
	h := http.Header{}
	for i := range rec.Header.Len() {
		f := rec.Header.At(i)
		h.Add(f.Name, strings.TrimSpace(f.Value)) // as clients read it
	}
	body := rec.Text()
	if strings.Contains(body, "<center>") {
		body = "a status page"
	}
	return seen(rec.Status, h, body)
}

// seen is the part of a response that is compared.
func seen(status int, h http.Header, body string) string {
	if h.Get("Content-Encoding") != "" {
		body = "compressed"
	}
	return fmt.Sprintf("%d %q %q X-A=%q X-B=%q %q %q", status, h.Get("Location"), h.Get("Content-Type"), h["X-A"], h["X-B"], h.Get("Cache-Control"), body)
}

// passing is proxy_pass, as far as the cases need it.
func passing() proxy.Module {
	k := config.NewKey(func() string { return "" })
	k.Enter = func(_ *config.Scope, c *string) { *c = "" }
	return proxy.Module{Name: "passing", Settings: k,
		Directives: []config.Directive{{Name: "proxy_pass", In: config.Location | config.LocationIf, Args: config.OneArg, Set: config.String(k, func(c *string) *string { return c }), Help: "Passes."}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if to := *k.In(s); to != "" {
				l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
					uri := x.Req.Target
					if x.Internal {
						uri = string(proxy.EscapePath(nil, x.Req.Path))
						if x.Req.Args != "" {
							uri += "?" + x.Req.Args
						}
					}
					return x.Res.Reply(200, "text/plain", []byte(filepath.Base(to)+" "+uri))
				}))
			}
			return nil
		}}
}

// files makes the folder that the cases call WWW.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"a.txt": 0o644, "index.html": 0o644, "run.sh": 0o755, "sub/index.html": 0o644} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("file "+name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("a.txt", filepath.Join(dir, "link")), os.Symlink("nowhere", filepath.Join(dir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	return dir
}
