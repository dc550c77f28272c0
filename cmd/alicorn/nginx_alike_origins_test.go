package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
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

	"alicorn/proxy/proxytest"
)

// places are the addresses that stand for the words of a file, and the folder of files
// that all servers give out.
type places struct {
	dir   string
	words map[string]string
}

// startPlaces starts what files pass requests on to: an origin in Go, gunicorn, uWSGI
// and php-fpm, each on a unix socket and on a port.
func startPlaces(t *testing.T) *places {
	t.Helper()
	dir := proxytest.NginxDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &places{dir: dir, words: map[string]string{}}
	p.fill(t)
	dead := reservePort(t, false)
	p.words["DEAD_TCP"] = "127.0.0.1:" + strconv.Itoa(dead)
	p.goOrigin(t)
	python := []string{"/usr/bin/python3", "-m", "gunicorn", "--threads", "4", "--keep-alive", "75", "--chdir", dir, "app:app", "-b"}
	p.program(t, "GUNICORN", append(slices.Clone(python), "unix:"+dir+"/gunicorn.sock", "-b", p.tcp(t, "GUNICORN")))
	p.program(t, "UWSGI", []string{"/usr/bin/uwsgi", "--plugins", "python3", "--need-app", "--disable-logging", "--die-on-term", "--master", "--processes", "2", "--chdir", dir, "--module", "app:app", "--chmod-socket=666",
		"--socket", dir + "/uwsgi.sock", "--socket", p.tcp(t, "UWSGI")})
	p.phpFPM(t)
	for _, name := range []string{"GO", "GUNICORN", "UWSGI", "PHP"} {
		socket := filepath.Join(dir, strings.ToLower(name)+".sock")
		p.words[name+"_UNIX"] = socket
		awaitCondition(t, name+" does not start", func() bool {
			nc, err := net.Dial("unix", socket)
			if err == nil {
				nc.Close()
			}
			other, otherErr := net.Dial("tcp", p.words[name+"_TCP"])
			if otherErr == nil {
				other.Close()
			}
			return err == nil && otherErr == nil
		})
	}
	return p
}

// tcp gives a name an address on loopback.
func (p *places) tcp(t *testing.T, name string) string {
	p.words[name+"_TCP"] = freeAddress(t)
	return p.words[name+"_TCP"]
}

// program starts an origin that ends with the test.
func (p *places) program(t *testing.T, name string, command []string) {
	t.Helper()
	log, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s: %.3000s", name, text)
		}
	})
}

// phpFPM starts php-fpm with two pools, as one listens at one place.
func (p *places) phpFPM(t *testing.T) {
	t.Helper()
	programs, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(programs) == 0 {
		t.Fatal("php-fpm is not installed")
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user = www-data\n"
	}
	pool := "[%s]\n" + user + "listen = %s\nlisten.mode = 0666\npm = static\npm.max_children = 8\nphp_admin_flag[expose_php] = off\ncatch_workers_output = yes\n"
	conf := "[global]\nerror_log = " + p.dir + "/fpm.log\n" + fmt.Sprintf(pool, "one", p.dir+"/php.sock") + fmt.Sprintf(pool, "two", p.tcp(t, "PHP"))
	write(t, p.dir, "fpm.conf", conf)
	p.program(t, "PHP", []string{programs[0], "--nodaemonize", "--fpm-config", filepath.Join(p.dir, "fpm.conf")})
}

// goOrigin starts the origin in Go.
func (p *places) goOrigin(t *testing.T) {
	t.Helper()
	for _, place := range [][2]string{{"unix", filepath.Join(p.dir, "go.sock")}, {"tcp", "127.0.0.1:0"}} {
		l, err := net.Listen(place[0], place[1])
		if err != nil {
			t.Fatal(err)
		}
		if place[0] == "tcp" {
			p.words["GO_TCP"] = l.Addr().String()
		}
		s := &http.Server{Handler: http.HandlerFunc(answerAlike)}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
	}
}

// answerAlike answers as the applications in Python and PHP do.
func answerAlike(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h := w.Header()
	h.Set("Server", "origin/1")
	h.Set("Content-Type", "text/plain")
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path[strings.LastIndex(path, "/")+1:] {
	case "redirect":
		h.Set("Location", "http://"+r.Host+"/a/b?c=d")
		w.WriteHeader(302)
	case "cookie":
		h.Add("Set-Cookie", "a=b; Path=/a; Domain=localhost; HttpOnly")
		h.Add("Set-Cookie", "session=x")
		fmt.Fprint(w, "set")
	case "missing":
		http.Error(w, "not here", 404)
	case "error":
		http.Error(w, "it broke", 500)
	case "unavailable":
		h.Set("Retry-After", "10")
		http.Error(w, "later", 503)
	case "big":
		for i := range 20 {
			fmt.Fprint(w, strings.Repeat(string(rune('a'+i)), 10_000))
		}
	case "cached":
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("Expires", "Thu, 01 Jan 2037 00:00:00 GMT")
		h.Set("Last-Modified", alikeTime.Format(http.TimeFormat))
		h.Set("ETag", `"v1"`)
		h.Set("Vary", "Cookie")
		h.Set("Content-Length", "2000")
		fmt.Fprint(w, strings.Repeat("cached ", 400)[:2000])
	case "accel":
		h.Set("X-Accel-Redirect", "/protected/file.txt")
	case "nocontent":
		w.WriteHeader(204)
	case "typed":
		h.Set("Content-Type", "text/css")
		fmt.Fprint(w, strings.Repeat("a { b: c }\n", 300))
	default:
		var fields []string
		for name, values := range r.Header {
			fields = append(fields, name+": "+strings.Join(values, "|")+"\n")
		}
		slices.Sort(fields)
		fmt.Fprintf(w, "%s %s\nHost: %s\n%s%d bytes %q\n", r.Method, r.RequestURI, r.Host, strings.Join(fields, ""), len(body), body[:min(64, len(body))])
	}
}

// alikeTime is when all files were changed.
var alikeTime = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// fill writes the files of the sites and the applications.
func (p *places) fill(t *testing.T) {
	t.Helper()
	css := strings.Repeat("body { color: black }\n", 40)
	for name, text := range map[string]string{
		"www/index.html": "<h1>front</h1>\n", "www/index.php": alikePHP, "www/info.php": alikePHP, "www/404.html": "not found here\n", "www/500.html": "broken\n", "www/50x.html": "broken\n",
		"www/static/site.css": css, "www/static/app.js": "alert(1)\n", "www/static/a b.txt": "spaced\n", "www/media/pic.png": "\x89PNG", "www/favicon.ico": "icon", "www/robots.txt": "User-agent: *\n",
		"www/.htaccess": "secret", "www/.git/config": "secret", "www/docs/a.txt": "a\n", "www/docs/b & c.html": "b\n", "www/protected/file.txt": "protected\n", "hidden/file.txt": "hidden\n", "www/hidden/file.txt": "hidden\n",
		"www/blog/index.html": "<h1>blog</h1>\n", "www/page.html": "a page\n", "www/big.txt": strings.Repeat("0123456789abcdef\n", 7000), "www/admin/index.html": "admin\n", "app.py": alikeWSGI,
		"htpasswd": "ann:{PLAIN}secret\nbob:$apr1$x$xxxxxxxxxxxxxxxxxxxxxx\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, p.dir, name, text)
	}
	for _, name := range []string{"www/static/site.css.gz", "www/static/app.js.gz"} {
		plain, _ := os.ReadFile(filepath.Join(p.dir, strings.TrimSuffix(name, ".gz")))
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		zw.Write(plain)
		zw.Close()
		write(t, p.dir, name, b.String())
	}
	err := filepath.WalkDir(filepath.Join(p.dir, "www"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, alikeTime, alikeTime)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// alikeWSGI is the application that gunicorn and uWSGI run.
const alikeWSGI = `
def app(environ, start_response):
    answer = answer_to(environ, start_response)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else answer


def answer_to(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    path = environ["PATH_INFO"].rstrip("/")
    last = path[path.rfind("/") + 1:]
    fields = [("Content-Type", "text/plain")]
    host = environ.get("HTTP_HOST", "")
    if last == "redirect":
        start_response("302 Found", [("Location", "http://%s/a/b?c=d" % host), ("Content-Length", "0")])
        return [b""]
    if last == "cookie":
        start_response("200 OK", fields + [("Set-Cookie", "a=b; Path=/a; Domain=localhost; HttpOnly"), ("Set-Cookie", "session=x")])
        return [b"set"]
    if last in ("missing", "error", "unavailable"):
        start_response({"missing": "404 Nothing Here", "error": "500 Broken", "unavailable": "503 Later"}[last], fields)
        return [last.encode()]
    if last == "big":
        start_response("200 OK", fields)
        return (bytes([97 + i]) * 10000 for i in range(20))
    if last == "cached":
        start_response("200 OK", fields + [("Cache-Control", "public, max-age=60"), ("Expires", "Thu, 01 Jan 2037 00:00:00 GMT"), ("Last-Modified", "Tue, 02 Jan 2024 03:04:05 GMT"), ("ETag", '"v1"'), ("Vary", "Cookie"), ("Content-Length", "2000")])
        return [(b"cached " * 400)[:2000]]
    if last == "accel":
        start_response("200 OK", [("X-Accel-Redirect", "/protected/file.txt")])
        return [b"unseen"]
    if last == "nocontent":
        start_response("204 No Content", [])
        return []
    if last == "typed":
        start_response("200 OK", [("Content-Type", "text/css")])
        return [b"a { b: c }\n" * 300]
    names = sorted(k for k in environ if k.startswith(("HTTP_", "CONTENT_", "REQUEST_M", "PATH_", "QUERY_", "SCRIPT_NAME", "wsgi.url_scheme", "UWSGI_SCHEME", "X-")))
    text = "".join("%s=%s\n" % (k, environ[k]) for k in names) + "%d bytes %r\n" % (len(body), body[:64])
    start_response("200 OK", fields)
    return [text.encode("latin-1")]
`

// alikePHP is the front controller of sites in PHP.
const alikePHP = `<?php
header('Content-Type: text/plain');
$body = file_get_contents('php://input');
$path = rtrim(parse_url($_SERVER['REQUEST_URI'] ?? '', PHP_URL_PATH) ?: '', '/');
switch (substr($path, strrpos($path, '/') + 1)) {
case 'redirect': header('Location: http://' . ($_SERVER['HTTP_HOST'] ?? '') . '/a/b?c=d'); exit;
case 'cookie': setcookie('a', 'b', 0, '/a', 'localhost', false, true); setcookie('session', 'x'); exit('set');
case 'missing': http_response_code(404); exit('not here');
case 'error': http_response_code(500); exit('it broke');
case 'big': for ($i = 0; $i < 20; $i++) { echo str_repeat(chr(97 + $i), 10000); } exit;
case 'accel': header('X-Accel-Redirect: /protected/file.txt'); exit('unseen');
case 'typed': header('Content-Type: text/css'); exit(str_repeat("a { b: c }\n", 300));
}
$names = array_filter(array_keys($_SERVER), fn($k) => preg_match('/^(HTTP_|HTTPS|CONTENT_|REQUEST_[MUS]|PATH_INFO|QUERY|SCRIPT_|PHP_SELF|SERVER_NAME)/', $k));
sort($names);
foreach ($names as $name) {
    echo "$name=", $_SERVER[$name], "\n";
}
echo strlen($body), ' bytes ', substr($body, 0, 64), "\n";
`
