package proxypass

import (
	"bufio"
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
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// seen is what a client sees of an answer, without the fields about the server itself.
func seen(t *testing.T, nc net.Conn, request string) string {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, request)
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode >= 500 || res.StatusCode == 404 && res.Header.Get("Content-Type") == "text/html" {
		return strconv.Itoa(res.StatusCode) // the pages name the server
	}
	var fields []string
	for name, values := range res.Header {
		if name != "Date" && name != "Server" && name != "Connection" {
			fields = append(fields, name+": "+strings.Join(values, "|"))
		}
	}
	for name := range res.Trailer { // of a chunked body
		fields = append(fields, "Trailer: "+name)
	}
	slices.Sort(fields)
	return fmt.Sprintf("%d %q length %d %.2000q %v", res.StatusCode, fields, len(body), body, err)
}

// beside starts nginx and this program with the same locations.
func beside(t *testing.T, locations string) (theirs func() net.Conn, mine func() net.Conn) {
	t.Helper()
	return besideWith(t, "", locations)
}

// besideWith is beside with directives of the http block.
func besideWith(t *testing.T, http, locations string) (theirs func() net.Conn, mine func() net.Conn) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	text := "absolute_redirect off; proxy_http_version 1.1; proxy_set_header Connection ''; " + locations
	proxytest.StartNginx(t, dir, "access_log off; default_type text/plain; "+http+" server { listen unix:DIR/s; "+text+" }")
	s := site(t, proxytest.Config{Text: http + " server { listen 127.0.0.1:80; default_type text/plain; " + text + " }", Modules: []proxy.Module{rewrite.Module(), header.Module(), static.Module()}})
	theirs = func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	return theirs, func() net.Conn { return s.Dial("") }
}

// TestAnswersAreThoseThatNginxPassesOn makes both pass on the answers of a scripted origin.
func TestAnswersAreThoseThatNginxPassesOn(t *testing.T) {
	answers := []string{
		"200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nok",
		"200 OK\r\nContent-Length: 2\r\n\r\nok",
		"404 Not Here\r\nContent-Length: 2\r\nX-A: b\r\nX-A: c\r\n\r\nok",
		"204 No Content\r\nX-A: b\r\n\r\n",
		"304 Not Modified\r\nETag: \"a\"\r\n\r\n",
		"301 Moved\r\nLocation: http://ORIGIN/a/b\r\nContent-Length: 0\r\n\r\n",
		"302 Found\r\nLocation: /a/b\r\nContent-Length: 0\r\n\r\n",
		"302 Found\r\nLocation: http://elsewhere.example/a\r\nContent-Length: 0\r\n\r\n",
		"200 OK\r\nRefresh: 5; url=http://ORIGIN/a/b\r\nContent-Length: 0\r\n\r\n",
		"200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
		"200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nServer: x\r\nX-Pad: y\r\nX-Accel-Expires: 5\r\nContent-Length: 0\r\n\r\n",
		"200 OK\r\nX-Accel-Redirect: /files/x\r\nContent-Disposition: inline\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: /files/x\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: /files/x\r\nX-Accel-Redirect: /files/y\r\nX-Accel-Expires: 5\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect:\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: \r\nX-Accel-Redirect: /files/y\r\nContent-Length: 3\r\n\r\nabc",
		"500 Oops\r\nX-Accel-Redirect: /files/y\r\nX-Accel-Redirect:\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: ?a=b\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: files/x\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: @\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: /files/../x\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Redirect: /files/x%3fy?a=b\r\nContent-Length: 3\r\n\r\nabc",
		"200 OK\r\nX-Accel-Expires: 5\r\nX-Accel-Limit-Rate: 0\r\nX-Accel-Buffering: no\r\nX-Accel-Other: x\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc",
		"401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
		"407 No\r\nProxy-Authenticate: Basic realm=x\r\nProxy-Authorization: x\r\nContent-Length: 0\r\n\r\n",
		"426 No\r\nConnection: upgrade\r\nUpgrade: websocket\r\nKeep-Alive: timeout=5\r\nTrailers: x\r\nContent-Length: 0\r\n\r\n",
		"200 OK\r\nTrailer: X-T\r\nContent-Length: 2\r\n\r\nok",
		"403 No\r\nContent-Length: 4\r\n\r\nnope",
		"403 No\r\nX-Accel-Redirect: /files/x\r\nContent-Length: 4\r\n\r\nnope",
		"500 Oops\r\nContent-Length: 2\r\n\r\nno",
		"299\r\nContent-Length: 2\r\n\r\nok",
	}
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			var i int
			fmt.Sscanf(r.URL.Path, "/o/%d", &i)
			answer := answers[i]
			if head, _, _ := strings.Cut(answer, "\r\n\r\n"); r.Method == "HEAD" {
				answer = head + "\r\n\r\n"
			}
			io.WriteString(pc, "HTTP/1.1 "+strings.ReplaceAll(answer, "ORIGIN", pc.LocalAddr().String()))
		}
	})
	theirs, mine := beside(t, "location /p/ { proxy_pass http://"+o.addr+"/o/; } location /files/ { internal; return 200 $uri; } "+
		"location /hidden/ { proxy_pass http://"+o.addr+"/o/; proxy_hide_header X-Accel-Redirect; proxy_hide_header X-Accel-Other; } "+
		"location /typeless/ { proxy_pass http://"+o.addr+"/o/; proxy_hide_header content-type; proxy_hide_header Content-Length; } "+
		"location /shown/ { proxy_pass http://"+o.addr+"/o/; proxy_pass_header X-Accel-Redirect; proxy_pass_header X-Accel-Expires; proxy_pass_header X-Accel-Buffering; proxy_pass_header X-Accel-Limit-Rate; } "+
		"location /o/ { proxy_pass http://"+o.addr+"; error_page 403 /files/no; proxy_intercept_errors on; proxy_redirect http://"+o.addr+"/a/ /q/; proxy_hide_header X-A; proxy_pass_header X-Pad; }")
	for i := range answers {
		requests := []string{"GET /p/%d", "GET /o/%d", "GET /hidden/%d", "GET /shown/%d", "HEAD /p/%d", "POST /p/%d"}
		if !strings.Contains(answers[i], "X-Accel-Redirect") { // nginx 1.22 hides nothing of those
			requests = append(requests, "GET /typeless/%d")
		}
		for _, request := range requests {
			request = fmt.Sprintf(request, i) + " HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n\r\n"
			if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
				t.Errorf("%q\nto %.40q\n ours  %s\n nginx %s", answers[i], request, got, want)
			}
		}
	}
}

// TestAnAnswerMaySendARequestOnSeveralTimes has an origin send requests on to itself, with
// other arguments each time.
func TestAnAnswerMaySendARequestOnSeveralTimes(t *testing.T) {
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			if n, _ := strconv.Atoi(r.URL.RawQuery); n > 0 {
				fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: %s?%d\r\nContent-Length: 2\r\n\r\nno", r.URL.Path, n-1)
				continue
			}
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	theirs, mine := beside(t, "location / { proxy_pass http://"+o.addr+"; }")
	for _, target := range []string{"/?1", "/a?2", "/a?10", "/a?11"} {
		if got, want := seen(t, mine(), get(target)), seen(t, theirs(), get(target)); got != want {
			t.Errorf("%s\n ours  %s\n nginx %s", target, got, want)
		}
	}
}

// TestTheLastDirectiveOfABlockGivesItsContent has blocks with several directives that give
// content, and blocks inside others with another one.
func TestTheLastDirectiveOfABlockGivesItsContent(t *testing.T) {
	web := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.RequestURI), r.RequestURI)
		}
	})
	gateway := func(name string) string {
		g := gatewayProtocols[slices.IndexFunc(gatewayProtocols, func(g *gatewayProtocol) bool { return g.name == name })]
		return startOrigin(t, "tcp", func(pc *peerConn) {
			if g.read(pc.r) != nil {
				io.WriteString(pc, g.answer(g.status+"200 OK\r\nContent-Type: text/plain\r\nContent-Length: "+strconv.Itoa(len(name))+"\r\n\r\n"+name))
			}
		}).addr
	}
	proxy, uwsgi, fastcgi := "proxy_pass http://"+web.addr+"; ", "uwsgi_pass "+gateway("uwsgi")+"; ", "fastcgi_pass "+gateway("fastcgi")+"; "
	theirs, mine := beside(t, "location /a { "+proxy+uwsgi+"} location /b { "+uwsgi+proxy+"} location /c { "+fastcgi+proxy+uwsgi+"} location /d { "+uwsgi+fastcgi+"} "+
		"location /e { "+proxy+"if ($arg_x) { "+uwsgi+"} if ($arg_y) { set $z 1; } } location /f { "+fastcgi+"if ($arg_x) { "+proxy+"} if ($arg_y) { "+uwsgi+"} } "+
		"location /g { if ($arg_x) { "+uwsgi+"} "+proxy+"} location /h { "+fastcgi+"limit_except GET { "+proxy+"} } location /i { "+proxy+"location /i/j { "+uwsgi+"} location /i/k { return 204; } } "+
		"location /l { "+proxy+"empty_gif; } location /m { empty_gif; "+proxy+"} location /n { empty_gif; if ($arg_x) { "+proxy+"} }")
	for place := range strings.FieldsSeq("/a /b /c /d /e /f /g /h /i /i/j /i/k /l /m /n") {
		for _, form := range []string{"GET %s", "GET %s?x=1", "GET %s?y=1", "PUT %s"} {
			request := fmt.Sprintf(form, place) + " HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n\r\n"
			if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want && (got[:3] != "405" || want[:3] != "405") {
				t.Errorf("%.40q\n ours  %s\n nginx %s", request, got, want)
			}
		}
	}
}

// TestAnAnswerThatLeadsElsewhereIsKnownThere has answers lead to another location before
// their bodies have ended.
func TestAnAnswerThatLeadsElsewhereIsKnownThere(t *testing.T) {
	answers := map[string]string{
		"ended":   "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
		"open":    "HTTP/1.1 404 No\r\n\r\nbody",
		"begun":   "HTTP/1.1 404 No\r\nContent-Length: 10\r\n\r\nbody",
		"chunked": "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
		"accel":   "HTTP/1.1 203 Yes\r\nX-Accel-Redirect: /said\r\nContent-Length: 10\r\n\r\nbody",
	}
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			io.WriteString(pc, answers[r.URL.Path[1:]])
			if r.URL.Path == "/open" {
				return
			}
		}
	})
	theirs, mine := beside(t, "location / { proxy_pass HTTP://"+o.addr+"; proxy_intercept_errors on; error_page 404 = /said; } location = /said { return 200 '$upstream_status $upstream_addr'; }")
	for name := range answers {
		request := "GET /" + name + " HTTP/1.1\r\nHost: site\r\n\r\n"
		if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want || strings.Contains(got, "- ") {
			t.Errorf("%s\n ours  %s\n nginx %s", name, got, want)
		}
	}
}

// TestThePlaceOfAPassIsKnownWhereItIs has $proxy_host and $proxy_port behind internal redirects.
func TestThePlaceOfAPassIsKnownWhereItIs(t *testing.T) {
	o := startOrigin(t, "tcp", says("HTTP/1.1 404 No\r\nContent-Length: 0\r\nX-A: b\r\n\r\n"))
	said := "return 200 '[$proxy_host] [$proxy_port] [$upstream_status] [$upstream_http_x_a]'; "
	theirs, mine := beside(t, "proxy_intercept_errors on; add_header X-Place [$proxy_host]; location /a { proxy_pass http://"+o.addr+"; error_page 404 = /said; } location /b { proxy_pass http://"+o.addr+"; error_page 404 = @said; } "+
		"location /said { "+said+"} location @said { "+said+"} location /c { proxy_pass http://"+o.addr+"; error_page 404 = /d; } location /d { recursive_error_pages on; proxy_pass http://localhost:"+o.addr[strings.LastIndexByte(o.addr, ':')+1:]+"; error_page 404 =200 /e; } location /e { return 200 '$proxy_host'; }")
	for target := range strings.FieldsSeq("/a /b /c /said") {
		if got, want := seen(t, mine(), get(target)), seen(t, theirs(), get(target)); got != want {
			t.Errorf("%s\n ours  %s\n nginx %s", target, got, want)
		}
	}
}

const gunicornApp = `
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    names = sorted(k for k in environ if k.startswith(("HTTP_", "CONTENT_", "REQUEST_", "PATH_", "QUERY_", "SERVER_PROTOCOL")))
    text = "".join("%s=%s\n" % (k, environ[k]) for k in names) + "%d bytes %s\n" % (len(body), body[:20])
    if environ["PATH_INFO"].endswith("/chunks"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([text.encode(), b"x" * 100000])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
`

// TestGunicornSeesWhatItSeesBehindNginx has both pass requests on to a real gunicorn.
func TestGunicornSeesWhatItSeesBehindNginx(t *testing.T) {
	if exec.Command("/usr/bin/python3", "-c", "import gunicorn").Run() != nil {
		t.Fatal("gunicorn is not installed")
	}
	dir := proxytest.NginxDir(t)
	os.WriteFile(filepath.Join(dir, "app.py"), []byte(gunicornApp), 0o644)
	cmd := exec.Command("/usr/bin/python3", "-m", "gunicorn", "-b", "unix:"+dir+"/g", "--chdir", dir, "app:app")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	proxytest.Eventually(t, func() bool { _, err := os.Stat(dir + "/g"); return err == nil }, "gunicorn does not start")
	theirs, mine := beside(t, "client_max_body_size 0; proxy_set_header Host $http_host; location / { proxy_pass http://unix:"+dir+"/g; } location /u/ { proxy_pass http://unix:"+dir+"/g:/v/; }")
	large := strings.Repeat("y", 300_000)
	for _, request := range []string{
		"GET /a%20b?c=d HTTP/1.1\r\nHost: site\r\nX-A: b\r\nCookie: e=f\r\n\r\n",
		"GET /u/x HTTP/1.1\r\nHost: site:80\r\nAccept-Encoding: gzip\r\n\r\n",
		"HEAD /u/x HTTP/1.1\r\nHost: site\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nabc",
		"POST /p HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"PUT /p HTTP/1.1\r\nHost: site\r\nContent-Length: 300000\r\n\r\n" + large,
		"GET /chunks HTTP/1.1\r\nHost: site\r\nIf-Modified-Since: x\r\nRange: bytes=0-1\r\n\r\n",
		"OPTIONS /p HTTP/1.1\r\nHost: site\r\nConnection: close\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
	} {
		if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
			t.Errorf("%.60q\n ours  %s\n nginx %s", request, got, want)
		}
	}
}
