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
		t.Errorf("got %q, want CONTENT_LENGTH=3, 3 bytes and no TRANSFER_ENCODING", got)
	}
	if got := seen(t, mine(), "GET /p HTTP/1.1\r\nHost: site\r\nProxy: x\r\nX-A: a\r\nX-A: b\r\nCookie: c\r\nCookie: d\r\n\r\n"); strings.Contains(got, "HTTP_PROXY") || !strings.Contains(got, "HTTP_X_A=a, b") || !strings.Contains(got, "HTTP_COOKIE=c; d") {
		t.Errorf("got %q, want HTTP_X_A=a, b and HTTP_COOKIE=c; d, and no HTTP_PROXY", got)
	}
}

const flaskApp = `
from flask import Flask, Response, redirect, request, session
app = Flask("site")
app.secret_key = "x"

@app.route("/hello/<name>", methods=["GET", "POST"])
def hello(name):
    return "%s %s %s %s %s\n" % (name, request.method, request.args.get("q"), request.form.get("f"), request.host_url)

@app.route("/moved")
def moved():
    return redirect("/hello/you")

@app.route("/cookie")
def cookie():
    r = Response("set")
    r.set_cookie("a", "b", secure=True)
    r.headers["X-URL"] = request.url
    return r

@app.route("/stream")
def stream():
    return Response((b"x" * 10000 for _ in range(30)), mimetype="text/plain")

@app.route("/upload", methods=["POST"])
def upload():
    return "%d\n" % len(request.get_data())

@app.route("/fails")
def fails():
    raise ValueError("on purpose")
`

const djangoApp = `
import django
from django.conf import settings
settings.configure(DEBUG=False, ALLOWED_HOSTS=["site"], ROOT_URLCONF=__name__, SECRET_KEY="x", MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"])
django.setup()
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

@csrf_exempt
def hello(request, name):
    return HttpResponse("%s %s %s %s %s\n" % (name, request.method, request.GET.get("q"), request.POST.get("f"), request.build_absolute_uri()), content_type="text/plain")

@csrf_exempt
def upload(request):
    return HttpResponse("%d\n" % len(request.body))

def cookie(request):
    r = HttpResponse("set")
    r.set_cookie("a", "b")
    return r

urlpatterns = [
    path("hello/<name>", hello), path("moved", lambda r: redirect("/hello/you")), path("cookie", cookie), path("upload", upload),
    path("stream", lambda r: StreamingHttpResponse((b"x" * 10000 for _ in range(30)), content_type="text/plain")),
    path("fails", lambda r: 1 / 0),
]
from django.core.wsgi import get_wsgi_application
app = get_wsgi_application()
`

// TestFrameworksBehindUWSGIAnswerAsBehindNginx has Flask and Django behind a real uWSGI.
func TestFrameworksBehindUWSGIAnswerAsBehindNginx(t *testing.T) {
	for name, app := range map[string]string{"Flask": flaskApp, "Django": djangoApp} {
		t.Run(name, func(t *testing.T) {
			dir := proxytest.NginxDir(t)
			socket := startUWSGI(t, dir, app, "--processes", "2", "--master", "--no-orphans")
			params := strings.NewReplacer("$server_port", "80", "$server_name", "site", "$remote_addr", "127.0.0.1").Replace(paramsFile(t, "uwsgi_params"))
			theirs, mine := beside(t, "client_max_body_size 0; "+params+" location / { uwsgi_pass unix:"+socket+"; } location = /streamed { uwsgi_request_buffering off; rewrite ^ /upload break; uwsgi_pass unix:"+socket+"; }")
			for _, request := range []string{
				"GET /hello/a%20b?q=c HTTP/1.1\r\nHost: site\r\n\r\n",
				"POST /hello/x HTTP/1.1\r\nHost: site\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\nf=g",
				"HEAD /hello/x HTTP/1.1\r\nHost: site\r\n\r\n",
				"DELETE /hello/x HTTP/1.1\r\nHost: site\r\n\r\n",
				"OPTIONS /hello/x HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /moved HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /cookie HTTP/1.1\r\nHost: site\r\nCookie: c=d; e=f\r\n\r\n",
				"GET /stream HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /stream HTTP/1.0\r\nHost: site\r\n\r\n",
				"GET /fails HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /none HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /hello/x HTTP/1.1\r\nHost: other.example\r\n\r\n",
				"POST /upload HTTP/1.1\r\nHost: site\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("y", 200_000),
				"POST /streamed HTTP/1.1\r\nHost: site\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("y", 200_000),
			} {
				got, want := withoutLength(seen(t, mine(), request)), withoutLength(seen(t, theirs(), request))
				if got != want {
					t.Errorf("%.60q\n ours  %s\n nginx %s", request, got, want)
				}
			}
			// Behind nginx Flask reads no such body: it sees the coding, too.
			if got := seen(t, mine(), "POST /upload HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"); !strings.Contains(got, `"3\n"`) {
				t.Errorf("got %q, want a body of 3 bytes", got)
			}
		})
	}
}
