package static_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestOtherMethodsLearnWhichAreAllowed(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.txt": "a", "d/": ""}), "server { listen 80; root ROOT; }")
	for _, c := range []struct {
		method, target, allow string
		status                int
	}{
		{"PUT", "/a.txt", "GET, HEAD", 405},
		{"POST", "/a.txt", "GET, HEAD", 405},
		{"DELETE", "/nothing", "GET, HEAD", 405},
		{"POST", "/nothing", "", 404},
		{"POST", "/d", "", 301},
	} {
		r := s.Do(proxytest.Request{Method: c.method, Target: c.target})
		if r.Status != c.status || r.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d, Allow %q; want %d and %q", c.method, c.target, r.Status, r.Header.Get("Allow"), c.status, c.allow)
		}
	}
}

// The file that try_files has found under the alias of a regular expression location is not
// used for another URI, or another request.
func TestTheFileOfTryFilesHoldsUntilTheURIChanges(t *testing.T) {
	root := folder(t, map[string]string{"sub/x.txt": "found", "b.txt": "another"})
	s := start(t, root, `server { listen 80; root ROOT;
		location ~ ^/a { alias ROOT/sub; try_files /x.txt =404; error_page 405 =200 /b; }
		location ~ ^/b { alias ROOT/b.txt; } }`)
	for _, c := range []struct{ method, target, want string }{
		{"GET", "/a", "found"}, {"POST", "/a", "another"}, {"GET", "/b", "another"}, {"GET", "/a", "found"}, {"GET", "/b", "another"},
	} {
		if r := s.Do(proxytest.Request{Method: c.method, Target: c.target}); r.Text() != c.want {
			t.Errorf("%s %s: got %d %q, want %q", c.method, c.target, r.Status, r.Text(), c.want)
		}
	}
}

func TestNothingOutsideIsGivenOut(t *testing.T) {
	for _, cache := range []string{"", "open_file_cache max=100; open_file_cache_errors on;"} {
		t.Run(cache, func(t *testing.T) { givesNothingOutside(t, cache) })
	}
}

func givesNothingOutside(t *testing.T, text string) {
	root := folder(t, map[string]string{"files/a.txt": "file a", "secret.txt": "secret"})
	s := start(t, root, text+`server { listen 80; root ROOT/files;
		location /i { alias ROOT/files/; }
		location /j/ { alias ROOT/files; }
		location ~ ^/re(.*)$ { alias ROOT/files/$1; }
		location ~ ^/arg { alias ROOT/files/$arg_f; }
		location /var/ { root ROOT/files/$arg_f; try_files $uri =404; }
		location /try/ { try_files $arg_f =404; }
		location /tryalias { alias ROOT/files/; try_files $uri =404; }
		location /last { try_files $arg_x$arg_f $arg_f; }
		location /idx/ { alias ROOT/files/; index $arg_f; } }`)
	for _, target := range []string{"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/x/../../secret.txt", "/..%5csecret.txt", "/a.txt%00.html",
		"/i../secret.txt", "/i%2e%2e/secret.txt", "/i..%2fsecret.txt", "/ia.txt", "/j/../secret.txt", "/re../secret.txt", "/re%2e%2e/secret.txt", "/re/../secret.txt", "/arg?f=../secret.txt", "/arg?f=..", "/arg?f=x/../../secret.txt",
		"/var/secret.txt?f=../..", "/try/?f=../secret.txt", "/try/?f=/../secret.txt", "/tryalias../secret.txt", "/last?f=../../secret.txt", "/idx/?f=../secret.txt", "//../secret.txt", "/./../secret.txt"} {
		for range 2 {
			r := s.Get(target)
			if strings.Contains(r.Text(), "secret") || r.Status < 400 || r.Status > 404 {
				t.Errorf(`%s: got %d %q; want no "secret" in it, at least 400 and at most 404`, target, r.Status, r.Text())
			}
		}
	}
	for _, target := range []string{"/a.txt", "/i/a.txt", "/j/a.txt", "/re/a.txt", "/arg?f=a.txt", "/try/?f=/a.txt", "/tryalias/a.txt", "/last?f=/a.txt"} {
		if r := s.Get(target); r.Text() != "file a" {
			t.Errorf(`%s: got %d %q; want "file a"`, target, r.Status, r.Text())
		}
	}
}

func TestOnlyRegularFilesAreServed(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "a"})
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(root, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, to := range map[string]string{"null": "/dev/null", "zero": "/dev/zero"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, root, "server { listen 80; root ROOT; location /try/ { try_files /fifo =404; } location /c/ { alias ROOT/; open_file_cache max=10; open_file_cache_errors on; } }")
	for _, target := range []string{"/fifo", "/socket", "/null", "/zero", "/try/", "/c/fifo", "/c/socket", "/c/null", "/c/fifo", "/c/socket", "/c/null"} {
		s.Log.Reset()
		if r := s.Get(target); r.Status != 404 {
			t.Errorf("%s: got %d %q; want 404", target, r.Status, r.Text())
		}
		if !strings.Contains(s.Log.String(), "is not a regular file") {
			t.Errorf(`%s: log %q; want "is not a regular file" in it`, target, s.Log)
		}
	}
}

func TestAChangedFileIsSeenAtOnce(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "one"})
	s := start(t, root, "server { listen 80; root ROOT; }")
	name := filepath.Join(root, "a.txt")
	etag := s.Get("/a.txt").Header.Get("ETag")
	if err := os.WriteFile(name, []byte("three"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := s.Get("/a.txt", "If-None-Match: "+etag); r.Status != 200 || r.Text() != "three" || r.Header.Get("ETag") == etag {
		t.Errorf(`got %d %q, ETag %q; want 200, "three" and another ETag than %q`, r.Status, r.Text(), r.Header.Get("ETag"), etag)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if r := s.Get("/a.txt"); r.Status != 404 {
		t.Errorf("got %d %q; want 404", r.Status, r.Text())
	}
}

// during returns a module whose header filter runs f after a file was opened and before it is
// read.
func during(f func()) proxy.Module {
	return proxy.Module{Name: "during", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.FilterHeader(func(*proxy.Exchange) error { f(); return nil })
		return nil
	}}
}

func TestAFileThatChangesWhileItIsSent(t *testing.T) {
	for _, cache := range []string{"", "open_file_cache max=10; open_file_cache_memory off;"} {
		t.Run(cache, func(t *testing.T) { changesWhileSent(t, cache) })
	}
}

func changesWhileSent(t *testing.T, cache string) {
	for _, size := range []int{1000, 200_000} {
		for _, c := range []struct {
			name   string
			change func(name string) error
			cut    bool
		}{
			{"shrinks", func(name string) error { return os.Truncate(name, int64(size/2)) }, true},
			{"is emptied", func(name string) error { return os.Truncate(name, 0) }, true},
			{"grows", func(name string) error { return os.Truncate(name, int64(2*size)) }, false},
			{"disappears", os.Remove, false},
		} {
			t.Run(fmt.Sprint(c.name, size), func(t *testing.T) {
				root := folder(t, map[string]string{"a.bin": strings.Repeat("x", size)})
				asked := 0
				change := func() {
					if asked++; asked == 1 {
						return
					}
					if err := c.change(filepath.Join(root, "a.bin")); err != nil {
						t.Error(err)
					}
				}
				s := startWith(t, root, cache+"server { listen 80; root ROOT; }", during(change))
				s.Get("/a.bin")
				nc := s.Dial("")
				io.WriteString(nc, "GET /a.bin HTTP/1.1\r\nHost: h\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil || res.ContentLength != int64(size) {
					t.Fatalf("got %+v, %v; want ContentLength %v", res, err, int64(size))
				}
				body, err := io.ReadAll(res.Body)
				if c.cut {
					if !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("got %d bytes and %v; the connection should have been closed; want %v", len(body), err, io.ErrUnexpectedEOF)
					}
					s.Log.Wait(t, "shrank")
				} else if err != nil || len(body) != size || strings.Trim(string(body), "x") != "" {
					t.Errorf("got %d bytes, %v; want %d of x", len(body), err, size)
				}
			})
		}
	}
}

func TestLogLinesSayWhyAFileIsNotGiven(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "a", "d/": "", "loop": ""})
	os.Remove(filepath.Join(root, "loop"))
	if err := os.Symlink("loop", filepath.Join(root, "loop")); err != nil {
		t.Fatal(err)
	}
	s := start(t, root, "server { listen 80; root ROOT; location /quiet/ { log_not_found off; } location /i { alias ROOT/d/; } }")
	for _, c := range []struct {
		target string
		status int
		line   string
	}{
		{"/nothing", 404, `error: open() "ROOT/nothing" failed (2: No such file or directory), client:`},
		{"/no/such/file", 404, `error: open() "ROOT/no/such/file" failed (2: No such file or directory): "ROOT/no" does not exist, client:`},
		{"/a.txt/x", 404, `error: open() "ROOT/a.txt/x" failed (20: Not a directory): "ROOT/a.txt" is not a directory, client:`},
		{"/no/", 404, `error: "ROOT/no/index.html" is not found (2: No such file or directory): "ROOT/no" does not exist, client:`},
		{"/d/", 403, `error: directory index of "ROOT/d/" is forbidden, client:`},
		{"/loop", 403, `error: open() "ROOT/loop" failed (40: Too many levels of symbolic links), client:`},
		{"/" + strings.Repeat("x", 300), 404, `(36: File name too long), client:`},
		{"/i../www/a.txt", 404, `error: "/i../www/a.txt" leads out of the alias or root "ROOT/d/", client:`},
		{"/quiet/x", 404, ""},
	} {
		s.Log.Reset()
		r := s.Get(c.target)
		want := strings.ReplaceAll(c.line, "ROOT", root)
		if got := s.Log.String(); r.Status != c.status || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %d, log %q, want %q", c.target, r.Status, got, want)
		}
	}
}

func TestSmallAndLargeFilesArriveWhole(t *testing.T) {
	files := map[string]string{}
	for _, n := range []int{0, 1, 1000, 16 << 10, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 1 << 20} {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%d,", b.Len())
		}
		files[fmt.Sprint(n)] = b.String()[:n]
	}
	s := start(t, folder(t, files), "server { listen 80; root ROOT; }")
	nc := s.Dial("")
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	br := bufio.NewReader(nc)
	for name, content := range files {
		for _, method := range []string{"GET", "HEAD"} {
			fmt.Fprintf(nc, "%s /%s HTTP/1.1\r\nHost: h\r\n\r\n", method, name)
			res, err := http.ReadResponse(br, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			want := content
			if method == "HEAD" {
				want = ""
			}
			if err != nil || string(body) != want || res.ContentLength != int64(len(content)) {
				t.Errorf("%s %s: got %d bytes of %d, %v; want %d of %d, as in the file", method, name, len(body), res.ContentLength, err, len(want), len(content))
			}
		}
	}
}
