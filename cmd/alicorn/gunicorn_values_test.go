package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/appserver"
	"alicorn/proxy/proxytest"
)

// evaluated evaluates text as a gunicorn.conf.py.
func evaluated(t *testing.T, text string) (*confFile, error) {
	t.Helper()
	return evaluatedUntil(t.Context(), t, text)
}

func evaluatedUntil(ctx context.Context, t *testing.T, text string) (*confFile, error) {
	t.Helper()
	dir := proxytest.PublicDir(t)
	c := &confFile{path: filepath.Join(dir, "gunicorn.conf.py")}
	if err := os.WriteFile(c.path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return c, c.evaluate(ctx, appserver.Identity{Directory: dir}, []string{"-w", "1"}, io.Discard)
}

func TestAGunicornConfigurationThatDoesNotEndIsNamed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err := evaluatedUntil(ctx, t, "while True: pass"); err == nil || !strings.Contains(err.Error(), "gunicorn.conf.py: it has not ended after 15s") {
		t.Errorf(`got %v, want an error with "gunicorn.conf.py: it has not ended after 15s"`, err)
	}
}

// A setting's value is what gunicorn's own validators make of it.
func TestValuesOfAGunicornConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		flag string
		want string // "": as if it were not said; "!": refused
	}{
		{`workers = 3`, "workers", "3"},
		{`workers = "3"`, "workers", "3"},
		{`workers = " 0x10 "`, "workers", "16"},
		{`workers = 1_0`, "workers", "10"},
		{`workers = True`, "workers", "1"},
		{`workers = 2.5`, "workers", "!"},
		{`workers = 0`, "workers", "!"},
		{`workers = -1`, "workers", "!"},
		{`workers = "three"`, "workers", "!"},
		{`workers = [3]`, "workers", "!"},
		{`workers = None`, "workers", ""},
		{`timeout = 10**15`, "timeout", "2147483647"},
		{`timeout = 10**400`, "timeout", "!"},
		{`timeout = float("inf")`, "timeout", "!"},
		{`threads = 0`, "threads", "0"},
		{`graceful_timeout = 0`, "graceful-timeout", "0"},
		{`backlog = 0`, "backlog", "0"},
		{`keepalive = "5"`, "keep-alive", "5"},
		{`loglevel = "INFO"`, "log-level", "info"},
		{`loglevel = " Warning"`, "log-level", "warning"},
		{`loglevel = ""`, "log-level", "info"},
		{`loglevel = "chatty"`, "log-level", "info"},
		{`loglevel = 10`, "log-level", "info"},
		{`daemon = "true"`, "daemon", "true"},
		{`daemon = 0`, "daemon", "false"},
		{`daemon = "yes"`, "daemon", "!"},
		{`worker_class = "gunicorn.workers.gthread.ThreadWorker"`, "worker-class", "gthread"},
		{`worker_class = "egg:gunicorn#sync"`, "worker-class", "sync"},
		{`worker_class = "gevent"`, "worker-class", "!"},
		{`class W: pass` + "\nworker_class = W", "worker-class", "!"},
		{`import ssl; cert_reqs = ssl.CERT_OPTIONAL`, "cert-reqs", "1"},
		{`umask = 0o007`, "umask", "07"},
		{`umask = "0o22"`, "umask", "022"},
		{`umask = 4096`, "umask", "!"},
		{`accesslog = " - "`, "access-logfile", "-"},
		{`import pathlib; errorlog = pathlib.Path("/x")`, "error-logfile", "/x"},
		{`errorlog = ["x"]`, "error-logfile", "!"},
		{`user = 1000`, "user", "1000"},
		{`forwarded_allow_ips = None`, "forwarded-allow-ips", ""},
		{`secure_scheme_headers = ["X"]`, schemesFlag, "!"},
	} {
		file, err := evaluated(t, c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		f, err := file.layer()
		switch {
		case c.want == "!" && err == nil:
			t.Errorf("%q was accepted as %q", c.text, f.set.Lookup(c.flag).Value)
		case c.want != "!" && err != nil:
			t.Errorf("%q: %v; want it accepted", c.text, err)
		case c.want != "!" && c.want != "" && f.set.Lookup(c.flag).Value.String() != c.want:
			t.Errorf("%q is %q, want %q", c.text, f.set.Lookup(c.flag).Value, c.want)
		}
	}
}

// A configuration file of gunicorn's is a program with names of its own: what
// they hold keeps no setting from being read.
func TestNamesOfAGunicornConfigurationThatAreNoSettings(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`x = float("nan")`, `x = [10**5000]`, "x = []\nx.append(x)", "globals()[5] = 6", "class S(str): pass\nx = S('s')",
		"import os, sys, multiprocessing as m\nx = m.cpu_count()",
	} {
		c, err := evaluated(t, text+"\nworkers = 2\n")
		if err != nil || c.values["workers"].number != 2 {
			t.Errorf("%q gives %v, %v; want 2", text, c.values, err)
		}
	}
}

func TestListsOfAGunicornConfiguration(t *testing.T) {
	t.Parallel()
	c, err := evaluated(t, `
bind = ["127.0.0.1:1", " unix:x "]
raw_env = "A=b"
secure_scheme_headers = {"X-Proto": "https", "X_SSL": "on"}
`)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.layer()
	if err != nil || !slices.Equal(f.binds, []string{"127.0.0.1:1", "unix:x"}) || !slices.Equal(f.env, []string{"A=b"}) || !slices.Equal(f.schemes, []string{"X-Proto=https", "X_SSL=on"}) {
		t.Errorf("bind %q, raw_env %q, secure_scheme_headers %q, %v; want %q, %q and %q", f.binds, f.env, f.schemes, err, []string{"127.0.0.1:1", "unix:x"}, []string{"A=b"}, []string{"X-Proto=https", "X_SSL=on"})
	}
}

func TestWhatAGunicornConfigurationDoesToItsProcessIsKept(t *testing.T) {
	t.Setenv("DOOMED", "1")
	c, err := evaluated(t, `
import os, sys
assert sys.argv == ["gunicorn", "-w", "1"] and sys.path[0] == os.getcwd()
os.environ["MADE"] = "a b\n\udcff"
del os.environ["DOOMED"]
sys.path.insert(0, "/first")
sys.path.append("/last")
`)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.environ, []string{"MADE=a b\n\xff"}) || !slices.Equal(c.removed, []string{"DOOMED"}) ||
		!slices.Equal(c.first, []string{"/first"}) || !slices.Equal(c.last, []string{"/last"}) {
		t.Errorf("environ %q, removed %q, first %q, last %q", c.environ, c.removed, c.first, c.last)
	}
}

func TestSettingsThatDoNothingAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want string // in what is said; "": nothing is said
	}{
		{`preload_app = True`, `preload_app in .*gunicorn.conf.py has no equivalent here`},
		{`preload_app = False; spew = None; proc_name = None; umask = 0; worker_connections = 1000; sendfile = None; reload_extra_files = []; statsd_prefix = ""`, ""},
		{`suppress_ragged_eofs = True; logconfig_dict = {}; syslog_addr = "udp://localhost:514"`, ""},
		{`logconfig_dict = {"version": 1}`, `logconfig_dict in .* has no equivalent here: .*; other loggers are configured by the application`},
		{"def post_fork(server, worker): pass\ndef when_ready(server): pass", `hooks in .*gunicorn.conf.py are not called, since this version has none: post_fork, when_ready; a later version calls them`},
		{`max_request = 5`, `gunicorn.conf.py:1 sets "max_request", which is none .*; did you mean "max_requests"\?`},
		{"\nworker_timeout = 5", `gunicorn.conf.py:2 sets "worker_timeout", which is none`},
		{`access_logfile = "-"`, `did you mean "accesslog"`},
		{`BIND = "x"`, `did you mean "bind"`},
		{"cores = 4\nworkers = cores * 2\nimport os\nDEBUG = 1\n_x = 2\nclass A: pass", ""},
		{"def post_forks(server, worker): pass", `sets "post_forks", .* did you mean "post_fork"`},
		{"def size(): return 2\nworkers = size()", ""},
		{"n = 1\nn += 1\nfor i in range(2): workers = i + 1", ""},
		{`loglevel = "chatty"`, `loglevel in \S+: "chatty" is none of debug, info, warning, error, critical; info is used`},
	} {
		file, err := evaluated(t, c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		f, err := file.layer()
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		checkSaid(t, f, c.text, c.want)
	}
}

// checkSaid compares what is said of a layer with an expression; "": nothing is.
func checkSaid(t *testing.T, f *serveFlags, of, want string) {
	t.Helper()
	var said bytes.Buffer
	f.say(&said)
	if want == "" && said.Len() > 0 || want != "" && !regexp.MustCompile(want).MatchString(said.String()) {
		t.Errorf("%q: said %q, want %q", of, said.String(), want)
	}
}

func TestSettingsOfSecurityAreNotPassedOver(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`ciphers = "HIGH"`, `header_map = "dangerous"`, "def ssl_context(c, d): pass",
	} {
		file, err := evaluated(t, text)
		if err != nil {
			t.Fatal(err)
		}
		f, err := file.layer()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.judgeNotes(); err == nil || !strings.Contains(err.Error(), "gunicorn.conf.py has no equivalent here") {
			t.Errorf(`%q: %v; want an error with "gunicorn.conf.py has no equivalent here"`, text, err)
		}
	}
}

// What the file and the command line may say is one table, and treated alike.
func TestFlagsThatDoNothingAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string
	}{
		{"--preload", "--preload has no equivalent here"},
		{"-n shop --no-sendfile -R", "--name has no equivalent here.*\n.*--no-sendfile has.*\n.*--enable-stdio-inheritance has"},
		{"--worker-connections 1000 --log-syslog-to udp://localhost:514", ""},
		{"--worker-connections 10", "--worker-connections has"},
		{"--log-level Chatty", `--log-level: "Chatty" is none of debug, info, .* info is used`},
		{"--log-level=DEBUG --thread 3 --error-log -", ""},
	} {
		f := newLayer("serve", "")
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		checkSaid(t, f, c.args, c.want)
	}
}

func TestFlagsAreAbbreviatedAsInGunicorn(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--thread 3": "threads", "--error-log x": "error-logfile", "--keep 3": "keep-alive", "--https": "https", "--static /a=.": "static",
		"--access-l -": "!", "--work 3": "!", "--nonsense": "!",
	} {
		f := newLayer("serve", "")
		err := f.set.Parse(strings.Fields(args))
		if want == "!" && err == nil || want != "!" && (err != nil || !f.has(want)) {
			t.Errorf("%q: want %s, got %v", args, want, err)
		}
	}
}
