package proxypass

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// paramsFile is a file of nginx's package, in place of its include.
func paramsFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("/etc/nginx/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "REDIRECT", "RE-D-IRECT") // "DIR" is a word of proxytest's
}

const dumpApp = `
def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if path == "/gone":
        start_response("302 Found", [("Location", "/a/b"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")])
        return [b""]
    if path == "/odd":
        start_response("404 Not Here", [("Content-Type", "text/x-odd"), ("X-A", "1"), ("X-A", "2"), ("Date", "Mon, 02 Jan 2006 15:04:05 GMT"), ("Server", "own")])
        return [b"odd"]
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/accel":
        start_response("200 OK", [("X-Accel-Redirect", "/files/x"), ("Set-Cookie", "a=b")])
        return [b"unseen"]
    if path == "/short":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
        return [b"short"]
    if path == "/chunks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"x" * 100000, b"y" * 100000])
    names = sorted(k for k in environ if k.startswith(("HTTP_", "CONTENT_", "REQUEST_", "PATH_", "QUERY_", "SERVER_PROTOCOL", "HTTPS", "DOCUMENT_ROOT", "SCRIPT", "UWSGI")))
    text = "".join("%s=%s\n" % (k, environ[k]) for k in names) + "%d bytes %s\n" % (len(body), body[:20])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
`

// startUWSGI starts Debian's uWSGI with an application, on a socket in dir.
func startUWSGI(t *testing.T, dir, app string, args ...string) (socket string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "u")
	args = append([]string{"--plugins", "python3", "--socket", socket, "--chmod-socket=666", "--chdir", dir, "--module", "app:app", "--need-app", "--die-on-term", "--disable-logging"}, args...)
	cmd := exec.Command("/usr/bin/uwsgi", args...)
	log, err := os.Create(filepath.Join(dir, "uwsgi.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s", text)
		}
	})
	proxytest.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, "uWSGI does not start")
	return socket
}

// gatewayRequests are requests that applications behind a gateway see alike.
var gatewayRequests = []string{
	"GET /a%20b?c=d HTTP/1.1\r\nHost: site\r\nX-A: b\r\nCookie: e=f\r\n\r\n",
	"GET /c HTTP/1.1\r\nHost: site:80\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: Basic YTpi\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /a HTTP/1.0\r\nHost: site\r\nContent-Length: 0\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nabc",
	"PUT /p HTTP/1.1\r\nHost: site\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("y", 300_000),
	"OPTIONS /p HTTP/1.1\r\nHost: site\r\nConnection: close\r\nKeep-Alive: 5\r\nTE: trailers\r\nIf-Modified-Since: x\r\nRange: bytes=0-1\r\n\r\n",
	"GET /gone HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /odd HTTP/1.1\r\nHost: site\r\n\r\n",
	"HEAD /odd HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /none HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /accel HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /chunks HTTP/1.1\r\nHost: site\r\n\r\n",
	"GET /chunks HTTP/1.0\r\nHost: site\r\n\r\n",
	"GET /bare/a HTTP/1.1\r\nHost: site\r\nX-A: b\r\n\r\n",
	"POST /bare/a HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n\r\nabc",
	"GET /own/a HTTP/1.1\r\nHost: site\r\nX-A: b\r\nX-B: c\r\n\r\n",
	"GET /intercepted HTTP/1.1\r\nHost: site\r\n\r\n",
}

// TestUWSGISeesWhatItSeesBehindNginx has both pass requests on to a real uWSGI.
func TestUWSGISeesWhatItSeesBehindNginx(t *testing.T) {
	dir := proxytest.NginxDir(t)
	socket := startUWSGI(t, dir, dumpApp)
	theirs, mine := beside(t, "client_max_body_size 0; root /srv; "+paramsFile(t, "uwsgi_params")+
		" location / { uwsgi_pass unix://"+socket+"; } location /files/ { internal; return 200 $uri; }"+
		" location /bare/ { uwsgi_pass unix:"+socket+"; uwsgi_pass_request_headers off; uwsgi_pass_header Status; }"+
		" location /own/ { uwsgi_pass uwsgi://unix:"+socket+"; uwsgi_param PATH_INFO /x; uwsgi_param REQUEST_METHOD GET; uwsgi_param HTTP_X_A own; uwsgi_param HTTP_X_B '' if_not_empty; uwsgi_param SERVER_NAME a; uwsgi_param SERVER_PORT 1; uwsgi_param REQUEST_URI ''; }"+
		" location /intercepted { uwsgi_pass unix:"+socket+"; rewrite ^ /odd break; uwsgi_intercept_errors on; error_page 404 /files/no; }")
	for _, request := range gatewayRequests {
		if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
			t.Errorf("%.60q\n ours  %s\n nginx %s", request, got, want)
		}
	}
	// A body of unknown length has a length when it comes; the coding is not the application's.
	request := "POST /p HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	if got := seen(t, mine(), request); !strings.Contains(got, `CONTENT_LENGTH=3\n`) || !strings.Contains(got, "3 bytes") || strings.Contains(got, "TRANSFER_ENCODING") {
		t.Error(got)
	}
	if got := seen(t, mine(), "GET /p HTTP/1.1\r\nHost: site\r\nProxy: x\r\nX-A: a\r\nX-A: b\r\nCookie: c\r\nCookie: d\r\n\r\n"); strings.Contains(got, "HTTP_PROXY") || !strings.Contains(got, "HTTP_X_A=a, b") || !strings.Contains(got, "HTTP_COOKIE=c; d") {
		t.Error(got)
	}
}
