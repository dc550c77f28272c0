package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// hostileSite has every feature that a client may try to turn against it.
const hostileSite = `error_log error.log info;
log_format line "$request_method $uri $status";
access_log access.log line;
limit_req_zone $http_x_key zone=slow:1m rate=1r/s;
temp_space 3m;
app web {
    wsgi app:app;
    directory DIR;
    python /usr/bin/python3;
    workers 1;
    threads 4;
    forwarded_allow_ips 192.0.2.1;
}
app one {
    wsgi app:app;
    directory DIR;
    python /usr/bin/python3;
    workers 1;
}
server {
    listen TCP;
    listen TLS ssl;
    listen unix:DIR/web.sock;
    ssl_certificate DIR/a.crt;
    ssl_certificate_key DIR/a.key;
    keepalive_timeout 60s;
    lingering_timeout 200ms;
    app_temp_path DIR/spool;
    client_body_temp_path DIR/spool;
    location / { app_pass web; }
    location /one/ { app_pass one; }
    location /file { root DIR; }
    location /limited { limit_req zone=slow burst=20; app_pass web; }
    location /short/ { client_body_timeout 500ms; app_pass web; }
    location /huge { app_buffers 2 32k; app_max_temp_file_size 100m; app_pass web; }
    location ~ ^/(?!static/)(.*/)*internal/ { return 403; }
}
`

// hostileApp prints what it has seen, and answers with it.
const hostileApp = `import os, sys, time

def stream(name):
    try:
        while True:
            yield b"tick\n"
            time.sleep(0.01)
    finally:
        print("closed %s" % name, flush=True)

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    print("saw %s %s" % (environ["REQUEST_METHOD"], path + "?" + query), flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path.endswith("/stream"):
        return stream(query)
    if path.endswith("/gate"):
        while not os.path.exists(query):
            time.sleep(0.002)
        print("passed %s" % query, flush=True)
        return [b"passed"]
    if path.endswith("/huge"):
        block = bytes(65536)
        return (block for _ in range(int(query)))
    if path.endswith("/body"):
        return [b"%d bytes" % len(environ["wsgi.input"].read())]
    return ["".join("%s=%s\n" % (k, v) for k, v in sorted(environ.items()) if k.startswith("HTTP_")).encode()]
`

// hostileClient tries a server by every way to connect to it.
type hostileClient struct {
	t              *testing.T
	dir, tcp, safe string
	way            string
}

// everyWay runs attack over TCP, TLS and a unix socket.
func (h hostileClient) everyWay(name string, attack func(h hostileClient)) {
	h.t.Run(name, func(t *testing.T) {
		for _, way := range []string{"tcp", "tls", "unix"} {
			t.Run(way, func(t *testing.T) { attack(hostileClient{t, h.dir, h.tcp, h.safe, way}) })
		}
	})
}

func (h hostileClient) dial() net.Conn {
	h.t.Helper()
	var nc net.Conn
	var err error
	switch h.way {
	case "tls":
		nc, err = tls.Dial("tcp", h.safe, &tls.Config{InsecureSkipVerify: true})
	case "unix":
		nc, err = net.Dial("unix", filepath.Join(h.dir, "web.sock"))
	default:
		nc, err = net.Dial("tcp", h.tcp)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// begin sends text and returns the connection.
func (h hostileClient) begin(format string, args ...any) net.Conn {
	h.t.Helper()
	nc := h.dial()
	if _, err := fmt.Fprintf(nc, format, args...); err != nil {
		h.t.Fatal(err)
	}
	return nc
}

// ask sends a request with fields and returns status and body.
func (h hostileClient) ask(target string, fields ...string) (int, string) {
	h.t.Helper()
	nc := h.begin("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", target, strings.Join(append(fields, ""), "\r\n"))
	defer nc.Close()
	return h.answer(bufio.NewReader(nc))
}

func (h hostileClient) answer(r *bufio.Reader) (int, string) {
	h.t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// others checks that another client is answered meanwhile.
func (h hostileClient) others() {
	h.t.Helper()
	if status, _ := (hostileClient{h.t, h.dir, h.tcp, h.safe, "tcp"}).ask("/other"); status != 200 {
		h.t.Errorf("another client is answered %d, want 200", status)
	}
}

// log waits until a file of the server's has pattern.
func (h hostileClient) log(file, pattern string) {
	h.t.Helper()
	re := regexp.MustCompile(pattern)
	awaitCondition(h.t, fmt.Sprintf("%s does not get %q", file, pattern), func() bool { return re.MatchString(h.read(file)) })
}

func (h hostileClient) read(file string) string {
	text, _ := os.ReadFile(filepath.Join(h.dir, file))
	return string(text)
}

// mark names something that only this attack by this way has.
func (h hostileClient) mark(name string) string { return name + "-" + h.way }

func (h hostileClient) gate(name string) (path string, open func()) {
	path = filepath.Join(h.dir, h.mark(name))
	return path, func() {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			h.t.Error(err)
		}
	}
}

// One server takes all of it, and is the same process in the end.
func TestAHostileClientHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	h := hostileClient{t: t, dir: dir, tcp: freeAddress(t), safe: freeAddress(t)}
	write(t, dir, "alicorn.conf", strings.NewReplacer("DIR", dir, "TCP", h.tcp, "TLS", h.safe).Replace(hostileSite))
	write(t, dir, "app.py", hostileApp)
	write(t, dir, "file", strings.Repeat("0123456789", 100))
	cmd := startCommand(t, dir, nil, []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, hostileDescriptors), ownProgram(t), "run", "-c", "alicorn.conf"})
	listenersOf(t, dir)
	awaitCondition(t, "the application does not start", func() bool {
		status, _ := h.ask("/one/")
		return status == 200
	})
	before := processes(cmd.Process.Pid)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("errors:\n%s", strings.Join(regexp.MustCompile(`(?m)^.*\[(warn|error|crit|alert)\].*$`).FindAllString(h.read("error.log"), -1), "\n"))
		}
	})
	h.everyWay("ranges", hostileClient.ranges)
	h.everyWay("names", hostileClient.names)
	h.everyWay("pattern", hostileClient.pattern)
	h.everyWay("forwarded", hostileClient.forwarded)
	h.everyWay("half a body", hostileClient.halfBodies)
	h.everyWay("leaving", hostileClient.leaving)
	h.everyWay("delays", hostileClient.delays)
	h.everyWay("slow readers", hostileClient.slowReaders)
	h.everyWay("idle", hostileClient.idle)
	after := processes(cmd.Process.Pid)
	for _, kind := range []string{"front", "worker"} {
		if !slices.Equal(before[kind], after[kind]) {
			t.Errorf("%s processes %v, before %v", kind, after[kind], before[kind])
		}
	}
	for _, sign := range []string{"internal error", "panic", "Traceback", "ended unexpectedly"} {
		if strings.Contains(h.read("error.log")+h.read("stderr"), sign) {
			t.Errorf("the log says %q", sign)
		}
	}
}

// hostileDescriptors is as many as each process of that server may have.
const hostileDescriptors = 128

// RFC 9110 section 14.1.2: a last position past the end is the end, a first one
// past the end cannot be satisfied; section 14.2: what is malformed is ignored.
func (h hostileClient) ranges() {
	for _, c := range []struct {
		set    string
		status int
		bytes  int
	}{
		{"bytes=9223372036854775807-", 416, 0}, {"bytes=9223372036854775808-", 416, 0}, {"bytes=18446744073709551616-", 416, 0},
		{"bytes=99999999999999999999-", 416, 0}, {"bytes=0-9223372036854775808", 206, 1000}, {"bytes=990-99999999999999999999", 206, 10},
		{"bytes=-9223372036854775808", 206, 1000}, {"bytes=-99999999999999999999", 206, 1000}, {"bytes=-0", 416, 0},
		{"bytes=1000-", 416, 0}, {"bytes=999-", 206, 1}, {"bytes=-9223372036854775807", 206, 1000},
	} {
		status, body := h.ask("/file", "Range: "+c.set)
		if status != c.status || status == 206 && len(body) != c.bytes {
			h.t.Errorf("%s: %d, %d bytes; want %d, %d", c.set, status, len(body), c.status, c.bytes)
		}
	}
	h.others()
}

// A head of 32 KB has room for 6,400 names, of which max_headers lets 1,000
// through; each of those reaches the application once, however it is spelled.
func (h hostileClient) names() {
	fields := func(n int, format string) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return all
	}
	if status, _ := h.ask("/seen", fields(6400, "%x:")...); status != 400 {
		h.t.Errorf("6,400 names: %d, want 400", status)
	}
	status, body := h.ask("/seen", fields(990, "N%d: v")...)
	if got := strings.Count(body, "HTTP_N"); status != 200 || got != 990 {
		h.t.Errorf("990 names: %d, the application saw %d; want 200 and 990", status, got)
	}
	status, body = h.ask("/seen", fields(990, "same: %d")...)
	if got := strings.Count(body, "HTTP_SAME="); status != 200 || got != 1 || !strings.Contains(body, "0,1,2") {
		h.t.Errorf(`one name 990 times: %d, the application saw %d: %.60s; want 200, 1 and "0,1,2" in it`, status, got, body)
	}
	_, body = h.ask("/seen", "X-Real: 1", "x_real: 2", "X_Real: 3", "X-REAL: 4", "x.real: 5")
	if !strings.Contains(body, "HTTP_X_REAL=1,4\n") {
		h.t.Errorf("spellings of X-Real: the application saw %q; want %q in it", body, "HTTP_X_REAL=1,4\n")
	}
	h.others()
}

// A path for which the pattern's time runs out gets no answer, rather than one
// that the pattern bars.
func (h hostileClient) pattern() {
	if status, _ := h.ask("/x/internal/y"); status != 403 {
		h.t.Errorf("a path that matches: %d, want 403", status)
	}
	long := "/" + h.mark("long") + "/" + strings.Repeat("a/", 30) + strings.Repeat("b", 30)
	if status, _ := h.ask(long + "/internal/y"); status != 403 && status != 500 {
		h.t.Errorf("a long path that matches: %d, want 403 or 500", status)
	}
	if status, _ := h.ask(strings.Repeat("/a", 1500) + "/internalx"); status != 500 {
		h.t.Errorf("a path that takes the pattern too long: %d, want 500", status)
	}
	h.log("error.log", `alicorn.conf:\d+`)
	if strings.Contains(h.read("stderr")+h.read("error.log"), "saw GET /"+h.mark("long")) {
		h.t.Error("a path that the pattern bars has reached the application")
	}
	h.others()
}

// What an untrusted peer says of itself does not reach the application in any
// spelling. Peers on unix sockets are trusted, as gunicorn does it.
func (h hostileClient) forwarded() {
	names := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
		"X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Real-IP", "Forwarded"}
	var fields []string
	for _, name := range names {
		under := strings.ReplaceAll(name, "-", "_")
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name), under, strings.ToLower(under), strings.Replace(name, "-", "_", 1)} {
			fields = append(fields, n+": for=evil, evil, evil")
		}
	}
	fields = append(fields, "Connection: X-Forwarded-For, X-Real-IP")
	status, body := h.ask("/seen", fields...)
	if status != 200 || strings.Contains(body, "evil") != (h.way == "unix") {
		h.t.Errorf("%d; the application saw:\n%s", status, body)
	}
	if h.way != "unix" && !strings.Contains(body, "HTTP_X_FORWARDED_FOR=127.0.0.1\n") {
		h.t.Errorf("the application does not see the peer:\n%s", body)
	}
}

// A body that stops is answered 408, and the application never runs.
func (h hostileClient) halfBodies() {
	stopped := map[string]net.Conn{}
	for name, body := range map[string]string{
		"length": "Content-Length: 9\r\n\r\nabc", "chunk": "Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
		"size": "Transfer-Encoding: chunked\r\n\r\n9", "trailer": "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
		"spooled": "Content-Length: 900000\r\n\r\n" + strings.Repeat("b", 300000),
	} {
		stopped[name] = h.begin("POST /short/%s HTTP/1.1\r\nHost: a\r\n%s", h.mark(name), body)
	}
	h.others()
	for name, nc := range stopped {
		r := bufio.NewReader(nc)
		if status, _ := h.answer(r); status != 408 {
			h.t.Errorf("%s: %d, want 408", name, status)
		}
		if b, err := r.ReadByte(); err == nil {
			h.t.Errorf("%s: %q behind the answer", name, b)
		}
		if strings.Contains(h.read("error.log"), "saw POST /short/"+h.mark(name)) {
			h.t.Errorf("%s: the application ran", name)
		}
	}
}

// leave ends a connection: with a reset or by a close.
func (h hostileClient) leave(nc net.Conn, reset bool) {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	if c, ok := nc.(*net.TCPConn); ok && reset {
		c.SetLinger(0)
	}
	nc.Close()
}

// Whatever stage a client leaves at, its thread is free, what it asked for and no
// worker had begun is never run, and who waits behind it is served.
func (h hostileClient) leaving() {
	for _, reset := range []bool{false, true} {
		tag := h.mark(map[bool]string{false: "fin", true: "rst"}[reset])
		for _, part := range []string{"", "GE", "GET /left-" + tag + " HTTP/1.1\r\nHo", "POST /left-" + tag + " HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
			"POST /left-" + tag + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "POST /left-" + tag + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"} {
			h.leave(h.begin("%s", part), reset)
		}
		nc := h.begin("GET /one/stream?%s HTTP/1.1\r\nHost: a\r\n\r\n", tag)
		if _, err := nc.Read(make([]byte, 100)); err != nil {
			h.t.Fatal(err)
		}
		h.leave(nc, reset)
		h.log("error.log", "closed "+tag)

		gate, open := h.gate(tag)
		h.leave(h.afterSeen("/one/gate?"+gate), reset)
		queued := h.begin("GET /one/queued-%s HTTP/1.1\r\nHost: a\r\n\r\n", tag)
		h.queue("one", 1)
		next := h.begin("GET /one/next-%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", tag)
		h.queue("one", 2)
		h.leave(queued, reset)
		h.queue("one", 1)
		h.others()
		open()
		if status, _ := h.answer(bufio.NewReader(next)); status != 200 {
			h.t.Errorf("%s: who waited behind is answered %d; want 200", tag, status)
		}
		for _, never := range []string{"GET /left-" + tag, "POST /left-" + tag, "GET /one/queued-" + tag} {
			if strings.Contains(h.read("error.log"), "saw "+never) {
				h.t.Errorf("the application has run %s", never)
			}
		}
	}
}

// afterSeen sends a request and returns once the application runs it.
func (h hostileClient) afterSeen(target string) net.Conn {
	h.t.Helper()
	nc := h.begin("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
	h.log("error.log", regexp.QuoteMeta("saw GET "+target))
	return nc
}

// queue waits until n requests wait for a worker of app.
func (h hostileClient) queue(app string, n int) {
	h.t.Helper()
	want := regexp.MustCompile(fmt.Sprintf(`(?s)"name": ?"%s".*?"queue": ?%d\b`, app, n))
	awaitCondition(h.t, fmt.Sprintf("%d requests do not wait", n), func() bool {
		out, _ := verbIn(h.t, h.dir, "status", "--json").Output()
		return want.Match(out)
	})
}

// Clients that are delayed hold up nobody, and one that leaves is never served.
func (h hostileClient) delays() {
	var delayed []net.Conn
	for i := range 6 {
		delayed = append(delayed, h.begin("GET /limited-%s-%d HTTP/1.1\r\nHost: a\r\nX-Key: %s\r\n\r\n", h.way, i, h.way))
	}
	h.log("error.log", "delaying request.*limited-"+h.way)
	h.others()
	for _, nc := range delayed[1:] {
		h.leave(nc, true)
	}
	if status, _ := h.answer(bufio.NewReader(delayed[0])); status != 200 {
		h.t.Errorf("the first is answered %d, want 200", status)
	}
	h.others()
}

// Responses that nobody reads fill no more of the disk than temp_space.
func (h hostileClient) slowReaders() {
	var stalled []net.Conn
	for range 3 { // one thread is left: there is no room to keep what these are sent
		nc := h.begin("GET /huge?200 HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := nc.Read(make([]byte, 10)); err != nil {
			h.t.Fatal(err)
		}
		stalled = append(stalled, nc)
	}
	var blocks int64
	filepath.Walk(filepath.Join(h.dir, "spool"), func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			blocks += info.Size()
		}
		return nil
	})
	if blocks > 4<<20 {
		h.t.Errorf("%d bytes of temporary files, want at most 4<<20", blocks)
	}
	h.others()
	for _, nc := range stalled {
		h.leave(nc, true)
	}
	awaitCondition(h.t, "temporary files stay", func() bool {
		out, _ := verbIn(h.t, h.dir, "status").Output()
		return bytes.Contains(out, []byte("temporary     0 bytes of 3 MiB"))
	})
}

// Idle connections take no descriptor from who asks for something.
func (h hostileClient) idle() {
	var idle []net.Conn
	for range hostileDescriptors {
		nc, err := net.Dial("tcp", h.tcp)
		if h.way == "unix" {
			nc, err = net.Dial("unix", filepath.Join(h.dir, "web.sock"))
		}
		if err != nil {
			break
		}
		idle = append(idle, nc)
		h.others()
	}
	for _, nc := range idle {
		nc.Close()
	}
	h.others()
}
