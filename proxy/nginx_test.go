package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// nginx is a real nginx, which shows over unix sockets what is right.
type nginx struct{ dir string }

// startNginx runs servers (the text of server blocks that listen on
// unix:DIR/NAME) until the test ends.
func startNginx(t *testing.T, servers string) nginx {
	t.Helper()
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; default_type text/plain; root DIR/none; absolute_redirect off;\n"+servers)
	return nginx{dir}
}

type answer struct {
	status                 int
	location, label, where string
}

// get asks nginx's server on unix:DIR/name for target, whatever it looks like.
func (n nginx) get(t *testing.T, name, host, target string) answer {
	t.Helper()
	nc, err := net.Dial("unix", filepath.Join(n.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result(res.StatusCode, string(body), res.Header.Get("Location"))
}

func ours(s *proxytest.Server, host, target string) answer {
	r := s.Do(proxytest.Request{Host: host, Target: target})
	return result(r.Status, r.Text(), r.Header.Get("Location"))
}

// result returns the part of an answer that is compared: pages of redirects and errors differ.
func result(status int, body, location string) answer {
	switch {
	case status == 200:
		return answer{status: 200, label: body}
	case status == 404 || status == 403:
		return answer{status: 404} // an empty root makes "/" 403 in nginx
	}
	return answer{status: status, location: location}
}

func TestPathsAreThoseOfNginx(t *testing.T) {
	const text = `server { listen unix:DIR/on; location / { SAY "$uri|$args|$is_args|$request_uri"; } }
		server { listen unix:DIR/off; merge_slashes off; location / { SAY "$uri|$args|$is_args|$request_uri"; } }`
	n := startNginx(t, strings.ReplaceAll(text, "SAY", "return 200"))
	words := []string{"a", "b", ".", "..", "...", "/", "/", "/", "//", "/.", "/..", "/../", "/./", "%2e", "%2E%2e", "%2f", "%2F",
		"%41", "%25", "%20", "%c3%a9", "\xc3\xa9", "%3f", "%23", "?", "?x=1", "&", "#", "%", "%4", "%zz", "%00", "~", "+", ":", "a.b", ".a", "a..", "..a", "%5c", "\\", ";v=1"}
	r := rand.New(rand.NewPCG(1, 2))
	targets := []string{"/..", "/../", "/a/..", "/a/../..", "//..", "///../a", "/a//..", "/a//../b", "/a/b//..//", "/.%2e/", "/a%2f..%2fb", "/%", "/%2", "/?%zz", "/a?", "/#", "/a#b?c", "/a?b#c", "/a/...", "/a/....//x"}
	for len(targets) < 300 {
		var b strings.Builder
		b.WriteByte('/')
		for range 1 + r.IntN(7) {
			b.WriteString(words[r.IntN(len(words))])
		}
		targets = append(targets, b.String())
	}
	for _, name := range []string{"on", "off"} {
		server := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "SAY", "say"), "DIR", t.TempDir()), "\n")[map[string]int{"on": 0, "off": 1}[name]]
		s := start(t, server)
		for _, target := range targets {
			if got, want := ours(s, "h", target), n.get(t, name, "h", target); got != want {
				t.Errorf("merge_slashes %s, %q:\n ours  %+v\n nginx %+v", name, target, got, want)
			}
		}
	}
}

// forest writes random locations in both languages.
type forest struct {
	r       *rand.Rand
	count   int
	alicorn strings.Builder
	nginx   strings.Builder
	paths   []string
}

var regexes = []string{`^/a`, `b$`, `\.php$`, `^/(a+)/(b*)`, `/c/`, `^/a/b/(.*)$`, `x|y`, `^/[ab]/?$`}

func (f *forest) grow(outer string, depth int, inRegex bool) {
	exact, prefix := map[string]bool{}, map[string]bool{}
	for range 2 + f.r.IntN(4) {
		f.one(outer, depth, inRegex, exact, prefix)
	}
}

func (f *forest) one(outer string, depth int, inRegex bool, exact, prefix map[string]bool) {
	f.count++
	label := fmt.Sprintf("L%d", f.count)
	name := outer
	for range 1 + f.r.IntN(2) {
		name += []string{"/", "a", "b", "c", "/a", "/b", "/a/"}[f.r.IntN(7)]
	}
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	f.paths = append(f.paths, name, strings.TrimSuffix(name, "/"))
	kind := []string{"", "", "", "=", "^~", "~", "~*"}[f.r.IntN(7)]
	if inRegex { // nginx takes nothing else inside a regular expression
		kind = "~"
	}
	switch kind {
	case "=":
		if exact[name] {
			return
		}
		exact[name] = true
	case "", "^~":
		if prefix[name] {
			return
		}
		prefix[name] = true
	default:
		name = regexes[f.r.IntN(len(regexes))]
		label += ":$1:$2"
	}
	head := fmt.Sprintf("location %s %q {", kind, name)
	// only locations with a handler of nginx's proxy add the slash
	if (kind == "" || kind == "^~") && strings.HasSuffix(name, "/") && name != "/" && f.r.IntN(2) == 0 {
		fmt.Fprintf(&f.alicorn, "%s slash; fail 502; }\n", head)
		fmt.Fprintf(&f.nginx, "%s proxy_pass http://unix:DIR/nobody:; }\n", head)
		return
	}
	fmt.Fprintf(&f.alicorn, "%s say %s;\n", head, label)
	fmt.Fprintf(&f.nginx, "%s return 200 %s;\n", head, label)
	if depth > 0 && kind != "=" && f.r.IntN(2) == 0 {
		f.grow(name, depth-1, strings.HasPrefix(kind, "~"))
	}
	f.alicorn.WriteString("}\n")
	f.nginx.WriteString("}\n")
}

func TestLocationsAreThoseThatNginxChooses(t *testing.T) {
	const servers = 24
	forests := make([]*forest, servers)
	var all strings.Builder
	for i := range forests {
		f := &forest{r: rand.New(rand.NewPCG(7, uint64(i)))}
		f.grow("", 2, false)
		forests[i] = f
		fmt.Fprintf(&all, "server { listen unix:DIR/s%d; %s }\n", i, f.nginx.String())
	}
	n := startNginx(t, all.String())
	compared := 0
	for i, f := range forests {
		s := start(t, fmt.Sprintf("server { listen unix:%s/s; absolute_redirect off; %s }", t.TempDir(), f.alicorn.String()))
		paths := append(f.paths, "/", "/a", "/b", "/a/b", "/a/b/c", "/a.php", "/x/y", "/ab/", "/A/B", "/c/b")
		for _, p := range slices.Clone(paths) {
			paths = append(paths, p+"x", p+"/b", p+"a/")
		}
		slices.Sort(paths)
		for _, p := range slices.Compact(paths) {
			if p == "" || p[0] != '/' {
				continue
			}
			compared++
			got, want := ours(s, "h", p), n.get(t, fmt.Sprintf("s%d", i), "h", p)
			if got != want {
				t.Errorf("%q:\n ours  %+v\n nginx %+v\n%s", p, got, want, f.alicorn.String())
				break
			}
		}
	}
	if compared < 600 {
		t.Errorf("only %d paths were compared, want at least 600", compared)
	}
}

func TestServersAreThoseThatNginxChooses(t *testing.T) {
	names := []string{"a.example", "*.a.example", ".b.example", "*.x.a.example", "www.*", "www.a.*", `~^(?<who>.+)\.re\.example$`, `~^www\.re`,
		"*.example", "c.example d.example", "A-Upper.example", "192.0.2.1", `""`, "xn--e1afmkfd.example"}
	var theirs, mine strings.Builder
	for i, name := range names {
		fmt.Fprintf(&theirs, "server { listen unix:DIR/names; server_name %s; location / { return 200 \"%d:$who:$host\"; } }\n", name, i)
		fmt.Fprintf(&mine, "server { listen 80; server_name %s; location / { say \"%d:$who:$host\"; } }\n", name, i)
	}
	theirs.WriteString(`server { listen unix:DIR/names default_server; server_name _; location / { return 200 "default:$who:$host"; } }`)
	mine.WriteString(`server { listen 80 default_server; server_name _; location / { say "default:$who:$host"; } }`)
	n, s := startNginx(t, theirs.String()), start(t, mine.String())
	for _, host := range []string{"a.example", "A.EXAMPLE", "a.example:8080", "a.example.", "x.a.example", "y.x.a.example", "x.y.a.example", "b.example",
		"q.b.example", "www.com", "www.a.com", "www.a.b.com", "www.re.example", "bob.re.example", "z.example", "example", "c.example", "d.example",
		"a-upper.example", "192.0.2.1", "192.0.2.1:80", "www.re", "[::1]", "[::1]:80", "unknown", "www", "xn--e1afmkfd.example", "_", "a.example.x"} {
		if got, want := ours(s, host, "/"), n.get(t, "names", host, "/"); got != want {
			t.Errorf("%q:\n ours  %+v\n nginx %+v", host, got, want)
		}
	}
}
