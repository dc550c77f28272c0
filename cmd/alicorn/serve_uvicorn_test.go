package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestFlagsOfUvicornStandForDirectives(t *testing.T) {
	for _, c := range []struct {
		kind, args string
		want       string // lines that the configuration has, separated by |
		lacks      string
	}{
		{"asgi", "", "asgi m:app;|timeout off;|stall_timeout 30s;|set_real_ip_from 127.0.0.0/8;|real_ip_header X-Forwarded-For;", "wsgi|concurrency|threads"},
		{"wsgi", "", "wsgi m:app;", "asgi|set_real_ip_from|stall_timeout"},
		{"asgi", "--limit-concurrency 50 --loop uvloop --lifespan on --root-path /api/", "concurrency 50;|loop uvloop;|lifespan on;|root_path /api stripped;", "SCRIPT_NAME"},
		{"wsgi", "--root-path /api --loop uvloop --limit-concurrency 5", "env SCRIPT_NAME=/api;", "loop|concurrency|root_path"},
		{"asgi", "--limit-max-requests 9 --timeout-keep-alive 7 --timeout-graceful-shutdown 8", "max_requests 9;|keepalive_timeout 7s;|graceful_timeout 8s;|worker_shutdown_timeout 8s;", ""},
		{"asgi", "--threads 4 -w 3", "workers 3;", "threads"},
		{"asgi", "--no-proxy-headers", "forwarded_allow_ips none;", "set_real_ip_from"},
		{"asgi", "--no-proxy-headers --proxy-headers", "set_real_ip_from ::1;", "forwarded_allow_ips"},
		{"asgi", "--forwarded-allow-ips 192.0.2.1", "forwarded_allow_ips 192.0.2.1;|set_real_ip_from 192.0.2.1;|set_real_ip_from unix:;", "127.0.0.0"},
		{"asgi", "--forwarded-allow-ips *", "forwarded_allow_ips *;|set_real_ip_from 0.0.0.0/0;|set_real_ip_from ::/0;", ""},
		{"wsgi", "--proxy-headers", "set_real_ip_from ::1;", ""},
		{"asgi", "--host 0.0.0.0 --port 81", "listen 0.0.0.0:81;", ""},
		{"asgi", "--access-log", "access_log /dev/stdout;", ""},
		{"asgi", "--access-log --no-access-log", "", "access_log"},
		{"asgi", "--port 82", "listen 127.0.0.1:82;", ""},
		{"asgi", "--host ::1", "listen [::1]:8000;", ""},
		{"asgi", "--host [::1] --port 83", "listen [::1]:83;|underscores_in_headers on;", ""},
		{"asgi", "--uds /run/x.sock --port 83", "listen unix:/run/x.sock;", "83"},
		{"asgi", "", "startup_timeout 600s;", ""},
		{"wsgi", "-t 300", "startup_timeout 300s;", "underscores"},
		{"wsgi", "-t 30", "timeout 30s;", "startup_timeout"},
		{"asgi", "--uds /run/x.sock", "listen unix:/run/x.sock;", ""},
		{"asgi", "--ws-max-size 1000 --ws-ping-interval 2.5 --ws-ping-timeout 3", "websocket_max_message 1000;|websocket_ping_interval 2500ms;|websocket_ping_timeout 3000ms;", ""},
		{"asgi", "--ssl-certfile c.pem --ssl-keyfile k.pem --app-dir src", "ssl_certificate c.pem;|ssl_certificate_key k.pem;|pythonpath /w/src;", ""},
		{"asgi", "--env-file a.env", "env_file a.env defaults;", ""},
	} {
		text, err := configurationOf(nil, c.kind, strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		for line := range strings.SplitSeq(c.want, "|") {
			if c.want != "" && !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s %q lacks %q:%s", c.kind, c.args, line, text)
			}
		}
		for name := range strings.SplitSeq(c.lacks, "|") {
			if c.lacks != "" && strings.Contains(text, "\n"+name) {
				t.Errorf("%s %q has %q:%s", c.kind, c.args, name, text)
			}
		}
	}
}

// configurationOf returns the lines of what serve makes of flags, above those of the environment
// where there is one.
func configurationOf(environment *serveFlags, kind string, args []string) (string, error) {
	f := newLayer("serve", "")
	if err := f.set.Parse(args); err != nil {
		return "", err
	}
	if environment != nil {
		environment.yieldPlace(f)
		if err := environment.merge(f); err != nil {
			return "", err
		}
		f = environment
	}
	if err := f.bindAsUvicorn(); err != nil {
		return "", err
	}
	app := found{app: "m:app", kind: kind, directory: "/w"}
	f.defaultBind(app)
	tree, err := f.tree(app, nil)
	if err != nil {
		return "", err
	}
	return "\n" + strings.ReplaceAll(string(tree.Contents[tree.Files[0]]), "    ", ""), nil
}

func TestMistakesInUvicornsFlagsAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"--loop trio":               "it takes one of auto, asyncio, uvloop",
		"--lifespan maybe":          "it takes one of auto, on, off",
		"--interface rsgi":          "it takes one of auto, asgi3, asgi2, wsgi",
		"--limit-concurrency 0":     "at least 1",
		"--ws-ping-interval 0":      "a number of seconds above 0",
		"--ws-ping-timeout soon":    "a number of seconds above 0",
		"--ws-ping-timeout nan":     "a number of seconds above 0",
		"--ws-ping-interval inf":    "a number of seconds above 0",
		"--ws-ping-interval 1e300":  "a number of seconds above 0",
		"--host ::1 -b :80":         "--bind and --host both say where to listen",
		"--port 1 --uds /x":         "",
		"--uds /x --fd 3":           "--fd and --uds both say where to listen",
		"--fd 3 --daemon":           "--fd and --daemon exclude each other",
		"--fd 900":                  "--fd 900: this process has no listening socket of that number",
		"--fd 1":                    "--fd 1: this process has no listening socket of that number",
		"-k tornado":                "it takes sync, gthread or uvicorn.workers.UvicornWorker",
		"--ssl-keyfile-password x":  "ssl-keyfile-password has no equivalent here",
		"--http h11 --ws wsproto":   "",
		"-k uvicorn.workers.Foobar": "a worker class of one's own is uvicorn.workers.UvicornWorker with its CONFIG_KWARGS as flags",
		"--ssl-keyfile k.pem":       "--keyfile needs --certfile",
	} {
		f := newLayer("serve", "")
		err := f.set.Parse(strings.Fields(args))
		if err == nil {
			err = f.bindAsUvicorn()
		}
		if err == nil {
			_, err = f.offered()
		}
		if err == nil {
			err = f.judgeNotes()
		}
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestTheKindOfAnApplicationIsSaidByFlags(t *testing.T) {
	for _, c := range []struct{ args, name, app, kind string }{
		{"", "m:app", "m:app", ""},
		{"-k uvicorn.workers.UvicornWorker", "m:app", "m:app", "asgi"},
		{"-k uvicorn_worker.UvicornWorker", "m:app", "m:app", "asgi"},
		{"-k gthread", "m:app", "m:app", "wsgi"},
		{"-k sync --interface asgi3", "m:app", "m:app", "asgi"},
		{"--interface wsgi", "m:app", "m:app", "wsgi"},
		{"--factory", "m:make", "m:make()", ""},
		{"--factory", "m:make('a')", "m:make('a')", ""},
	} {
		f, app := newLayer("serve", ""), found{app: c.name}
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		if app.take(f); app.app != c.app || app.kind != c.kind {
			t.Errorf("%s %s: got %q, %q, want %q, %q", c.args, c.name, app.app, app.kind, c.app, c.kind)
		}
	}
}

func TestFlagsOfTheOtherKindGetANote(t *testing.T) {
	for _, c := range []struct{ kind, args, want string }{
		{"asgi", "--threads 4", "--threads: it has no effect on an ASGI application"},
		{"asgi", "--threads 1 --loop uvloop", ""},
		{"wsgi", "--loop uvloop", "--loop: it has an effect on ASGI applications only"},
		{"wsgi", "--threads 4", ""},
	} {
		f := newLayer("serve", "")
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		f.notes = f.foreign(c.kind)
		var said strings.Builder
		f.sayNotes(&said)
		if got := said.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: said %q, want %q", c.kind, c.args, got, c.want)
		}
	}
}

// A supervisor that opens the socket itself names its descriptor.
func TestServeListensOnTheDescriptorThatItIsTold(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	file := listeningFile(t, sock)
	write(t, dir, "app.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n")
	cmd := startCommand(t, dir, []*os.File{file}, []string{ownProgram(t), "serve", "-w", "1", "--fd", "3", "--error-logfile", "error.log", "app:app"})
	if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "served") {
		t.Errorf(`answered %q, want "served" at its end`, answer)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestUvicornsVariables(t *testing.T) {
	for _, c := range []struct {
		env, args string
		want      string // what the configuration has
		lacks     string
	}{
		{"UVICORN_HOST=0.0.0.0 UVICORN_PORT=8123", "", "listen 0.0.0.0:8123;", ""},
		{"UVICORN_HOST=0.0.0.0 UVICORN_PORT=8123", "--port 9000", "listen 0.0.0.0:9000;", "8123"},
		{"UVICORN_HOST=0.0.0.0", "--bind 127.0.0.1:9001", "listen 127.0.0.1:9001;", "listen 0.0.0.0"},
		{"UVICORN_UDS=/run/u", "--host 127.0.0.1", "listen 127.0.0.1:8000;", "/run/u"},
		{"UVICORN_WORKERS=3 WEB_CONCURRENCY=2", "", "workers 3;", ""},
		{"UVICORN_ROOT_PATH=/api UVICORN_LIFESPAN=off", "", "root_path /api stripped;", ""},
		{"UVICORN_LIMIT_MAX_REQUESTS=50", "", "max_requests 50", ""},
		{"UVICORN_PROXY_HEADERS=no", "", "", "real_ip_header"},
		{"UVICORN_HEADERS=x UVICORN_NONE=1 UVICORN_PORT=", "", "listen 127.0.0.1:8000;", ""},
		{"FOO=outer", "--env-file x.env", "env_file x.env defaults;", ""},
	} {
		t.Run(c.env+" "+c.args, func(t *testing.T) {
			for pair := range strings.FieldsSeq(c.env) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			environment, err := fromEnvironment()
			if err != nil {
				t.Fatal(err)
			}
			text, err := configurationOf(environment, "asgi", strings.Fields(c.args))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, c.want) || c.lacks != "" && strings.Contains(text, c.lacks) {
				t.Errorf("the configuration is to have %q and lack %q:\n%s", c.want, c.lacks, text)
			}
		})
	}
	t.Setenv("UVICORN_PORT", "many")
	if _, err := fromEnvironment(); err == nil || !strings.Contains(err.Error(), "UVICORN_PORT: invalid value \"many\"") {
		t.Errorf("got %v for a port that is none, want an error with %q", err, "UVICORN_PORT: invalid value \"many\"")
	}
}
