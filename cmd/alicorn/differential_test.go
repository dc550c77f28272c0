package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// differentialEnv is how many random requests TestServeIsLikeGunicorn sends, in
// place of a small sample.
const differentialEnv = "ALICORN_DIFFERENTIAL"

// TestServeIsLikeGunicorn sends the same random requests to "alicorn serve" and
// to gunicorn. What the application saw, and what the client got, is alike, but
// for the differences that reviewed names with their reasons.
func TestServeIsLikeGunicorn(t *testing.T) {
	t.Parallel()
	count := 90
	if text := os.Getenv(differentialEnv); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "differential"))); err != nil {
		t.Fatal(err)
	}
	for i, app := range []string{"plain:app", "flasked:app", "djangoed:application"} {
		t.Run(app, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(20240607, uint64(i)))
			ours, theirs := startPair(t, dir, app)
			for range count / 3 {
				r := newRandomRequest(random)
				a, b := r.send(t, ours), r.send(t, theirs)
				if why := r.compare(a, b); why != "" {
					t.Errorf("%.600q\n%s", r.text(), why)
				}
			}
		})
	}
}

// startPair starts both servers with app and returns their addresses.
func startPair(t *testing.T, dir, app string) (ours, theirs string) {
	t.Helper()
	ours, theirs = freeAddress(t), freeAddress(t)
	out, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, _ := os.ReadFile(out.Name()); t.Failed() {
			t.Logf("%s", text)
		}
		out.Close()
	})
	serve := serveOn(t, t.TempDir(), out, "-w", "1", "-b", ours, "--chdir", dir, app)
	if err := prepareFiles(dir, strings.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	gunicorn := exec.Command("/usr/bin/python3", "-m", "gunicorn", "-w", "1", "-b", theirs, "--chdir", dir, "--worker-tmp-dir", "/dev/shm", app)
	gunicorn.Stdout, gunicorn.Stderr = out, out
	if err := gunicorn.Start(); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{serve, gunicorn} {
		t.Cleanup(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		})
	}
	for _, address := range []string{ours, theirs} {
		awaitCondition(t, "nothing answers on "+address, func() bool {
			res, err := http.Get("http://" + address + "/echo/ready")
			if err == nil {
				res.Body.Close()
			}
			return err == nil
		})
	}
	return ours, theirs
}

// randomRequest is a request as its parts.
type randomRequest struct {
	method, target, proto string
	fields                []string // lines
	body                  string
	chunked               bool
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

var (
	someMethods  = []string{"GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE"}
	someSegments = []string{"a", "b.txt", "%20", "a%20b", "%2F", "x%2fy", "", "", ".", "..", "%2e%2e", "+", "a+b", "a;v=1", "a:b", "@", "~u", "%C3%A9",
		"caf\xc3\xa9", "%E2%82%AC", "%FF", "%25", "%2525", "%3F", "%23", "a=b", "a&b", "!$'()*,", "https:", "12", "%41", "a|b", "\"q\"", "<x>", "[1]", "{y}", "^", "`", "\\"}
	someStarts = []string{"/", "/echo/", "/echo/", "/echo/", "/echo/", "/echo//", "/slashed", "/slashed/", "//slashed/", "/a/12", "/a/x", "/away", "/denied", "/gone", "/none",
		"/static/site.css", "/static/a%20b.txt", "/static/none", "/static/", "/static", "/static//site.css", "/static/./site.css", "/static/x/../site.css", "//static/site.css", "//", "/./"}
	someQueries = []string{"", "", "", "?", "?a=b", "?a=%20b&c", "?x=1&x=2", "??", "?a?b", "?\xc3\xa9", "?%zz", "?teapot", "?created", "?odd", "?gone", "?nothing", "?stream", "?a#b", "#f", "?a=/../b//c"}
	someFields  = []string{"X-One: 1", "x-one: 2", "X-ONE: three", "X-Empty:", "X-Spaced:   a b  ", "X-Tab:\ta\t", "X-Latin: caf\xe9", "X-Utf: caf\xc3\xa9", "X-Long: " + strings.Repeat("l", 2000),
		"Accept: */*", "Accept-Encoding: gzip, br", "User-Agent: test/1 (x; y)", "Referer: http://a/b?c", "Cookie: a=1; b=2", "Cookie: c=3", "Authorization: Basic YTpi", "Content-Language: de",
		"If-None-Match: \"x\"", "X-Quote: \"a\\\"b\"", "X-1.2: dots", "Accept-Language: de-DE,de;q=0.9", "X_Under: 1", "Date: now", "Via: 1.1 x", "Expect-Ct: x", "Range: bytes=0-1"}
	someTypes = []string{"application/x-www-form-urlencoded", "application/json", "text/plain; charset=latin-1", "multipart/form-data; boundary=x", "image/png"}
)

func newRandomRequest(random *rand.Rand) *randomRequest {
	r := &randomRequest{method: pick(random, someMethods...), proto: pick(random, "1.1", "1.1", "1.1", "1.1", "1.0")}
	r.target = pick(random, someStarts...)
	if random.IntN(2) == 0 {
		for range 1 + random.IntN(4) {
			if !strings.HasSuffix(r.target, "/") || random.IntN(8) == 0 {
				r.target += "/"
			}
			r.target += pick(random, someSegments...)
		}
	}
	r.target += pick(random, someQueries...)
	if random.IntN(20) == 0 {
		r.target = "http://named.example" + r.target
	}
	r.fields = append(r.fields, "Host: "+pick(random, "localhost", "shop.example", "shop.example:8080", "UPPER.example", "[::1]:80"))
	for range random.IntN(6) {
		if f := pick(random, someFields...); !r.refused(f) {
			r.fields = append(r.fields, f)
		}
	}
	if random.IntN(3) == 0 && r.method != "HEAD" && r.method != "GET" || random.IntN(25) == 0 {
		r.body = strings.Repeat(pick(random, "a=1&", "\x00\xff", "body "), random.IntN(pick(random, 2, 100, 40000)))
		r.fields = append(r.fields, "Content-Type: "+pick(random, someTypes...))
		if r.chunked = r.proto == "1.1" && random.IntN(3) == 0; r.chunked {
			r.fields = append(r.fields, "Transfer-Encoding: chunked")
		} else {
			r.fields = append(r.fields, "Content-Length: "+strconv.Itoa(len(r.body)))
		}
	}
	return r
}

// refused reports whether r has the field f already, and is refused with it twice: as by
// nginx, but not by gunicorn.
func (r *randomRequest) refused(f string) bool {
	return (strings.HasPrefix(f, "Authorization:") || strings.HasPrefix(f, "If-None-Match:")) && slices.Contains(r.fields, f)
}

func (r *randomRequest) text() string {
	body := r.body
	if r.chunked {
		var b strings.Builder
		for rest := r.body; rest != ""; {
			n := min(len(rest), 1+len(r.body)/3)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		body = b.String() + "0\r\n\r\n"
	}
	return r.method + " " + r.target + " HTTP/" + r.proto + "\r\n" + strings.Join(r.fields, "\r\n") + "\r\nConnection: close\r\n\r\n" + body
}

// answered is what a client gets.
type answered struct {
	status string // with its reason
	header http.Header
	body   []byte
	app    map[string]any // what the application saw, where it says so
}

func (r *randomRequest) send(t *testing.T, address string) *answered {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	go io.WriteString(nc, r.text())
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: r.method})
	if err != nil {
		return &answered{status: "no answer: " + err.Error()}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return &answered{status: "no whole answer: " + err.Error()}
	}
	a := &answered{status: res.Status, header: res.Header, body: body}
	if res.Header.Get("Content-Type") == "application/json" {
		json.Unmarshal(body, &a.app)
	}
	return a
}

// compare says in what ours differs from gunicorn's answer, but for what was
// reviewed; "" for nothing.
func (r *randomRequest) compare(ours, theirs *answered) string {
	if r.reviewed(ours, theirs) {
		return ""
	}
	var b strings.Builder
	if ours.status != theirs.status {
		fmt.Fprintf(&b, "status %q, gunicorn's %q\n", ours.status, theirs.status)
	}
	if ours.app != nil && theirs.app != nil {
		r.compareSeen(&b, ours.app, theirs.app)
	} else if !bytes.Equal(ours.body, theirs.body) {
		fmt.Fprintf(&b, "body %.200q, gunicorn's %.200q\n", ours.body, theirs.body)
	}
	for _, name := range slices.Sorted(maps.Keys(merged(ours.header, theirs.header))) {
		if !r.reviewedField(name, ours, theirs) && !slices.Equal(ours.header[name], theirs.header[name]) {
			fmt.Fprintf(&b, "field %s: %q, gunicorn's %q\n", name, ours.header[name], theirs.header[name])
		}
	}
	return b.String()
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

func (r *randomRequest) compareSeen(b *strings.Builder, ours, theirs map[string]any) {
	if ours["bytes"] != theirs["bytes"] || ours["sha"] != theirs["sha"] {
		fmt.Fprintf(b, "the application read %v bytes, and under gunicorn %v\n", ours["bytes"], theirs["bytes"])
	}
	a, _ := ours["environ"].(map[string]any)
	c, _ := theirs["environ"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(merged(a, c))) {
		if r.reviewedKey(name, a[name], c[name]) {
			continue
		}
		if a[name] != c[name] {
			fmt.Fprintf(b, "environ %s: %q, gunicorn's %q\n", name, a[name], c[name])
		}
	}
}

// serveOn starts "alicorn serve" in dir with out as its output.
func serveOn(t *testing.T, dir string, out *os.File, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := prepareFiles(dir, strings.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{"serve"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+dir+"/run", "STATE_DIRECTORY="+dir+"/state", "CACHE_DIRECTORY="+dir+"/cache")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}
