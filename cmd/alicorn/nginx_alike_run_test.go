package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

// A configuration written for nginx loads here, and both give clients the same
// answers. The whole is compared by
//
//	NGINX_CASES=500 go test ./cmd/alicorn -run TestAConfigurationForNginx -timeout 60m
//
// and NGINX_SEED makes other ones. Directives that alicorn does not have are left out.
func TestAConfigurationForNginxDoesAlike(t *testing.T) {
	t.Parallel()
	number := func(variable string, usual int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return usual
	}
	seed, cases := uint64(number("NGINX_SEED", 12)), number("NGINX_CASES", 40)
	frequencies, p := readFrequencies(t), startPlaces(t)
	known := map[string]bool{}
	for _, d := range testSchema().Directives() {
		known[d.Name] = true
	}
	var refused atomic.Int64
	t.Run("files", func(t *testing.T) {
		for n := range cases {
			f := newNginxFile(seed, n, frequencies, hasIPv6())
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				if !f.compareServers(t, p, known) {
					refused.Add(1)
				}
			})
		}
	})
	if n := int(refused.Load()); n > cases/5+1 {
		t.Errorf("nginx refuses %d of %d files: the generator makes nonsense", n, cases)
	} else {
		t.Logf("nginx refuses %d of %d files", n, cases)
	}
}

// reservePort returns a port that nobody else gets before the test ends, though servers
// that say SO_REUSEADDR, as all do, may listen on it one after the other.
func reservePort(t *testing.T, ipv6 bool) (port int) {
	t.Helper()
	hold := func(domain int, at unix.Sockaddr) int {
		syscall.ForkLock.RLock()
		fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
		if err == nil {
			unix.CloseOnExec(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if domain == unix.AF_INET6 {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		}
		if unix.Bind(fd, at) != nil {
			return 0
		}
		name, err := unix.Getsockname(fd)
		if v4, ok := name.(*unix.SockaddrInet4); ok && err == nil {
			return v4.Port
		}
		return port
	}
	for range 100 {
		if port = hold(unix.AF_INET, &unix.SockaddrInet4{}); port != 0 && (!ipv6 || hold(unix.AF_INET6, &unix.SockaddrInet6{Port: port}) != 0) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// compareServers runs both servers with the file and compares their answers; false:
// nginx refuses it.
func (f *nginxFile) compareServers(t *testing.T, p *places, known map[string]bool) bool {
	dir := proxytest.NginxDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	words := []string{"DIR/www", p.dir + "/www", "DIR/htpasswd", p.dir + "/htpasswd", "DIR", dir}
	ports := map[string]int{"TPORT": reservePort(t, f.ipv6), "PORT": reservePort(t, f.ipv6)}
	words = append(words, "TPORT", strconv.Itoa(ports["TPORT"]), "SERVER_PORT", "SERVER_PORT", "PORT", strconv.Itoa(ports["PORT"]))
	for word, address := range p.words {
		words = append(words, word, address)
	}
	fill := strings.NewReplacer(words...)
	proxytest.WriteCertificate(t, dir, "tls", proxytest.Certificate{Names: []string{"example.com"}, RSA: true})
	write(t, dir, "alicorn.conf", fill.Replace(f.text(f.wrapped, known)))
	theirConf := f.nginxConf(t, dir, p, fill.Replace(f.text(true, known)))
	if out, err := exec.Command("nginx", "-t", "-p", dir, "-c", theirConf).CombinedOutput(); err != nil {
		t.Logf("nginx refuses it: %s", out)
		return false
	}
	requests := f.requests(ports)
	theirs, err := f.answers(t, requests, dir, ports["PORT"], []string{"/usr/sbin/nginx", "-p", dir, "-c", theirConf})
	if err != nil {
		t.Logf("nginx does not start: %v", err)
		return false
	}
	conf, _ := os.ReadFile(filepath.Join(dir, "alicorn.conf"))
	ours, err := f.answers(t, requests, dir, ports["PORT"], []string{ownProgram(t), "run", "-c", filepath.Join(dir, "alicorn.conf")})
	if err != nil && strings.Contains(err.Error(), " is not here yet") {
		t.Logf("%.500s", err)
		return true
	}
	if err != nil {
		t.Errorf("nginx runs it, and alicorn does not: %v\n%s", err, conf)
		return true
	}
	for i, r := range requests {
		if why := differences(r, ours[i], theirs[i]); why != "" {
			t.Errorf("%.300q\n%s", r.text, why)
		}
	}
	if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
		t.Logf("%s\n%s", conf, log)
	}
	return true
}

// debianHost is what Debian adds to nginx's files of parameters. The built-in ones are
// nginx's own.
var debianHost = regexp.MustCompile(`(?m)^.*_param +HTTP_HOST .*$`)

// nginxConf writes the file for nginx, beside the files that nginx has in its folder,
// which alicorn has built in.
func (f *nginxFile) nginxConf(t *testing.T, dir string, p *places, text string) string {
	t.Helper()
	etc := filepath.Join(dir, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(etc, os.DirFS("/etc/nginx")); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{dir, etc} {
		if err := os.Symlink(filepath.Join(p.dir, "htpasswd"), filepath.Join(place, "htpasswd")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"fastcgi_params", "fastcgi.conf", "uwsgi_params", "scgi_params"} {
		params, err := os.ReadFile(filepath.Join(etc, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, etc, name, debianHost.ReplaceAllString(string(params), ""))
	}
	write(t, etc, "nginx.conf", text)
	return filepath.Join(etc, "nginx.conf")
}

// answers runs a server, sends it the requests, and ends it.
func (f *nginxFile) answers(t *testing.T, requests []alikeRequest, dir string, port int, command []string) ([]alikeAnswer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+dir+"/run", "STATE_DIRECTORY="+dir+"/state", "CACHE_DIRECTORY="+dir+"/cache")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	stop := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-exited
			t.Errorf("%s does not end", command[0])
		}
	})
	defer stop()
	if !listens(port, exited) {
		stop()
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return nil, fmt.Errorf("it does not listen: %s\n%s", out.String(), log)
	}
	var all []alikeAnswer
	for _, r := range requests {
		all = append(all, r.send())
	}
	return all, nil
}

// listens waits until something listens on the port; false: the server has ended.
func listens(port int, exited chan struct{}) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		nc, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			nc.Close()
			return true
		}
		select {
		case <-exited:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

// alikeRequest is a request to both servers.
type alikeRequest struct {
	method, text string
	port         int
	secure       bool
}

// alikeAnswer is what a client gets.
type alikeAnswer struct {
	failed string // why there is no answer; "" if there is
	status string
	header http.Header
	body   []byte
}

// requests makes twenty requests that fit the file.
func (f *nginxFile) requests(ports map[string]int) (all []alikeRequest) {
	r := rand.New(rand.NewPCG(f.r.Uint64(), 20))
	hosts := []string{"example.com", "example.com", "example.com", "www.example.com", "EXAMPLE.com", "example.com:8080", "example.com.", "a.example.net", "www.other.org", "api.example.com", "127.0.0.1", "localhost", "unknown.test", "secure.example.com", "[::1]:80"}
	targets := slices.Compact(slices.Sorted(slices.Values(f.targets)))
	odd := []string{"//static//site.css", "/./", "/static/./x/../site.css", "/%2e%2e/", "/a%00b", "/..", "/%zz", "/caf%C3%A9", "/caf\xc3\xa9", "/a+b?c=%20", "/?debug=42", "/%2Fx", "/index.html?a=b", "*", "/a;b=c", "/a\\b", "/none/at/all", "/?x=/../y", "http://example.com/static/site.css", "/page"}
	for range 20 {
		q := alikeRequest{method: pick(r, "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"), port: ports["PORT"]}
		if q.secure = f.secure && r.IntN(3) == 0; q.secure {
			q.port = ports["TPORT"]
		}
		target := pick(r, targets...)
		if r.IntN(4) == 0 {
			target = pick(r, odd...)
		}
		lines := []string{fmt.Sprintf("%s %s HTTP/%s", q.method, target, pick(r, "1.1", "1.1", "1.1", "1.1", "1.1", "1.0")), "Host: " + pick(r, hosts...)}
		for _, field := range alikeFields {
			if r.IntN(100) < field.percent {
				lines = append(lines, pick(r, field.lines...))
			}
		}
		body := ""
		if q.method == "POST" || q.method == "PUT" || q.method == "PATCH" {
			body = strings.Repeat("a=b&", pick(r, 0, 1, 10, 1000, 20_000))
			if r.IntN(4) == 0 && !strings.HasSuffix(lines[0], "1.0") {
				lines = append(lines, "Transfer-Encoding: chunked")
				if body != "" {
					body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
				}
				body += "0\r\n\r\n"
			} else {
				lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
			}
			lines = append(lines, "Content-Type: application/x-www-form-urlencoded")
		}
		if r.IntN(3) > 0 {
			lines = append(lines, "Connection: close")
		}
		q.text = strings.Join(lines, "\r\n") + "\r\n\r\n" + body
		all = append(all, q)
	}
	return all
}

// alikeFields are header fields of requests, and how many of 100 have them.
var alikeFields = []struct {
	percent int
	lines   []string
}{
	{40, []string{"Accept-Encoding: gzip", "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: gzip;q=0", "Accept-Encoding: identity"}},
	{40, []string{"User-Agent: Mozilla/5.0 (X11)", "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)", "User-Agent: curl/8", "User-Agent: GoogleBot/1.0 (crawler)", "User-Agent:"}},
	{15, []string{"Range: bytes=0-3", "Range: bytes=-5", "Range: bytes=2-", "Range: bytes=0-1,4-5", "Range: bytes=900000-", "Range: x=1", "Range: bytes=5-2"}},
	{12, []string{"If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT", "If-Modified-Since: Tue, 02 Jan 2025 03:04:05 GMT", "If-Modified-Since: x", "If-None-Match: *", `If-None-Match: "x", W/"y"`, "If-Unmodified-Since: Tue, 02 Jan 2020 03:04:05 GMT", `If-Range: "x"`, `If-Match: "x"`}},
	{12, []string{"Authorization: Basic YW5uOnNlY3JldA==", "Authorization: Basic YW5uOndyb25n", "Authorization: Basic !", "Authorization: Bearer x"}},
	{20, []string{"Cookie: session=abc; theme=dark", "Cookie: nocache=1", "Cookie: a=b"}},
	{10, []string{"X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.7, 10.0.0.1", "X-Real-IP: 203.0.113.8", "X-Forwarded-Proto: https"}},
	{6, []string{"Upgrade: websocket", "Upgrade: h2c"}},
	{15, []string{"Referer: http://example.com/x", "Origin: https://example.org", "X_Under: 1", "X-Empty:", "Accept: text/html", "Via: 1.1 x", "Expect: 100-continue"}},
}

// send sends the request on a connection of its own.
func (q alikeRequest) send() (a alikeAnswer) {
	nc, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", q.port), patience)
	if err != nil {
		return alikeAnswer{failed: "no connection"}
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if q.secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"})
	}
	go io.WriteString(nc, q.text)
	reader := bufio.NewReader(nc)
	res, err := http.ReadResponse(reader, &http.Request{Method: q.method})
	for err == nil && res.StatusCode == 100 {
		res, err = http.ReadResponse(reader, &http.Request{Method: q.method})
	}
	if err != nil {
		return alikeAnswer{failed: "no answer"}
	}
	a.status, a.header = res.Status, res.Header
	if a.body, err = io.ReadAll(res.Body); err != nil {
		a.failed = "a part of the body is missing"
	}
	if a.header.Get("Content-Encoding") == "gzip" && len(a.body) > 0 {
		zr, err := gzip.NewReader(bytes.NewReader(a.body))
		if err == nil {
			a.body, err = io.ReadAll(zr)
		}
		if err != nil {
			a.failed = "not gzip: " + err.Error()
		}
	}
	return a
}
