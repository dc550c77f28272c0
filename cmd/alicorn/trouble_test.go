package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/proxytest"
)

func TestTroubleIsToldWithWhatHelps(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tc := range []struct {
		name string
		st   control.Status
		want string // "": there is none
	}{
		{"nothing", control.Status{Apps: []control.App{{Name: "shop", State: "running"}}}, ""},
		{"an app", control.Status{Apps: []control.App{{Name: "shop", State: "failed", Error: "cannot import x"}}}, `app "shop" is down: cannot import x`},
		{"one worker", control.Status{Apps: []control.App{{Name: "shop", State: "running", Error: "cannot import x"}}}, `app "shop" runs, but the last start of a worker failed: cannot import x`},
		{"requests", control.Status{Apps: []control.App{{Name: "shop", State: "running", Overran: &control.Overran{Times: 3, At: now, Request: "GET /slow"}}}},
			`app "shop": requests have taken longer than timeout: 3 since -, the last at ` + moment(now) + `: GET /slow; the error log has the stack of each`},
		{"requests of yesterday", control.Status{Apps: []control.App{{Name: "shop", State: "running", Overran: &control.Overran{Times: 3, At: now.Add(-time.Hour)}}}}, ""},
		{"workers", control.Status{Apps: []control.App{{Name: "shop", State: "running", Deaths: &control.Deaths{Times: 3, At: now, Exit: "exit code 3"}}}},
			`app "shop": workers have ended unexpectedly, each with the requests that it ran: 3 since -, the last at ` + moment(now) + ` with exit code 3; the error log has their output`},
		{"workers of yesterday", control.Status{Apps: []control.App{{Name: "shop", State: "running", Deaths: &control.Deaths{Times: 3, At: now.Add(-time.Hour)}}}}, ""},
		{"workers that end at once", control.Status{Apps: []control.App{{Name: "shop", State: "failed", Error: "they end", Deaths: &control.Deaths{Times: 3, At: now}}}}, `app "shop" is down: they end`},
		{"a reload", control.Status{Failures: []control.Failure{{What: "reload", Error: "no"}}}, "the last reload failed at -: no"},
		{"an order", control.Status{Certificates: []control.Certificate{{Name: "a.example", Error: "refused"}}}, "certificate of a.example fails: refused; see alicorn cert"},
		{"an expired certificate", control.Status{Overdue: []string{`certificate "/a.pem" expired on 2026-01-01`}},
			`certificate "/a.pem" expired on 2026-01-01; put a renewed one there and run "alicorn reload", or leave ssl_certificate out to have one obtained`},
		{"no space", control.Status{Full: []string{"/var/cache/alicorn"}},
			`no space is left in /var/cache/alicorn, for requests, certificates and logs; "df -h /var/cache/alicorn" and "df -i /var/cache/alicorn" show the file system`},
		{"a folder", control.Status{Barred: []string{"a.conf:1:1: nothing in \"/srv\" can be served"}}, `a.conf:1:1: nothing in "/srv" can be served`},
		{"a priority", control.Status{Refused: "a.conf:1:1: worker_priority 4: it takes root"}, "a.conf:1:1: worker_priority 4: it takes root"},
		{"a full disk", control.Status{Logs: []control.Log{{Path: "/var/log/a.log", Failing: true, Error: "no space left on device", Lost: 7}}},
			`log /var/log/a.log cannot be written: no space left on device; 7 lines lost; "df -h /var/log" shows the space that is left`},
		{"a log that is written again", control.Status{Logs: []control.Log{{Path: "/var/log/a.log", Lost: 7}}}, ""},
	} {
		if got := strings.Join(troubleOf(tc.st, now), "\n"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTheGistOfAFailureIsNoTraceback(t *testing.T) {
	t.Parallel()
	const down = `app "a" did not come up: cannot import a`
	for text, want := range map[string]string{
		"one\ntwo": "one",
		"Traceback (most recent call last):\n  File\nNameError: x\n\n" + down + "\nmore": down,
	} {
		if got := gist(text); got != want {
			t.Errorf("%q has the gist %q, want %q", text, got, want)
		}
	}
}

// Who asks the service manager first reads there what fails, and in its journal.
func TestTheServiceManagerIsToldWhatFails(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		dir := proxytest.PublicDir(t)
		write(t, dir, "bad.py", "import absent_module\n")
		write(t, dir, "alicorn.conf", master+"error_log error.log notice;\napp bad { wsgi bad:app; directory "+dir+"; python /usr/bin/python3; workers 1; }\n"+
			"server { listen unix:"+filepath.Join(dir, "web.sock")+"; location / { app_pass bad; } location = /x { return 200; } }\n")
		m := listenAsManager(t, filepath.Join(dir, "notify.sock"))
		startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify.sock"))
		awaitText(t, m, `STATUS=Serving, but app "bad" is down: cannot import bad: no module named 'absent_module'.*; install it for that interpreter`)
		awaitCondition(t, "standard error does not tell", func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, "stderr"))
			return strings.Contains(string(text), `alicorn: app "bad" is down: cannot import bad: no module named 'absent_module'`)
		})
		write(t, dir, "bad.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n")
		awaitText(t, m, `but app "bad" is down(.*\n)+STATUS=Serving\n`)
	}
}

// Who waits for a start that takes long reads what it waits for.
func TestTheServiceManagerIsToldWhatAStartWaitsFor(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	write(t, dir, "slow.py", "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n")
	write(t, dir, "alicorn.conf", "error_log error.log notice;\napp slow { wsgi slow:app; directory "+dir+"; python /usr/bin/python3; workers 1; }\n"+
		"server { listen unix:"+filepath.Join(dir, "web.sock")+"; location / { app_pass slow; } }\n")
	m := listenAsManager(t, filepath.Join(dir, "notify.sock"))
	startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify.sock"))
	awaitText(t, m, `STATUS=Starting: app "slow" is not ready yet; after startup_timeout the error log shows its stacks\n`)
	write(t, dir, "go", "")
	awaitText(t, m, `READY=1\nSTATUS=Serving`)
	awaitText(t, m, `STATUS=Serving\n`)
}

// A start that fails leaves its reason where it is looked for: with the service
// manager, also while an address is tried again, and with the verbs.
func TestAStartThatFailsSaysWhyWhereItIsLookedFor(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, master := range masters {
		dir := proxytest.PublicDir(t)
		conf := master + "error_log error.log notice;\nserver { listen " + taken.Addr().String() + "; return 200; }\n"
		write(t, dir, "alicorn.conf", conf)
		m := listenAsManager(t, filepath.Join(dir, "notify.sock"))
		cmd := startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify.sock"))
		const why = `alicorn\.conf:3:10: cannot listen on 127\.0\.0\.1:\d+: the port is in use by \S+ \(pid \d+\); `
		awaitText(t, m, `STATUS=Starting: cannot listen on .*: the port is in use by`)
		if err := cmd.Wait(); err == nil {
			t.Error("it starts on a port that is taken")
		}
		awaitText(t, m, `STATUS=Cannot start: \S*`+why)
		status := func() string {
			cmd := prepareCommand(t, dir, nil, []string{ownProgram(t), "status", "-c", "alicorn.conf"})
			cmd.Stdout, cmd.Stderr = nil, nil
			out, _ := cmd.CombinedOutput() // it fails: no server runs
			return string(out)
		}
		if text := status(); !strings.Contains(text, "; the last start failed at 2") || !strings.Contains(text, "cannot listen on 127.0.0.1:") {
			t.Errorf(`alicorn status says %s, want "; the last start failed at 2" and "cannot listen on 127.0.0.1:" in it`, text)
		}
		write(t, dir, "alicorn.conf", strings.Replace(conf, taken.Addr().String(), "unix:"+filepath.Join(dir, "web.sock"), 1))
		cmd = startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify.sock"))
		awaitText(t, m, `READY=1\n`)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the end: %v", err)
		}
		if text := status(); strings.Contains(text, "the last start failed") {
			t.Errorf(`after a start that succeeded alicorn status says %s, want no "the last start failed" in it`, text)
		}
	}
}

// TestAnUpstreamFailsWhereNoneOfItsServersAnswers judges by the last requests. The sentence has
// no time, as it would be another one with each request.
func TestAnUpstreamFailsWhereNoneOfItsServersAnswers(t *testing.T) {
	now := time.Now()
	bad, worse := control.Peer{Address: "a", State: "up", Error: "refused", Row: 2, Ended: now}, control.Peer{Address: "b", State: "resting", Error: "timed out", Row: 1, Ended: now}
	good, down := control.Peer{Address: "c", State: "up"}, control.Peer{Address: "d", State: "down"}
	old := bad
	old.Row, old.Ended = 9, now.Add(-time.Hour)
	for _, c := range []struct {
		peers []control.Peer
		fails bool
	}{
		{[]control.Peer{bad}, false}, {[]control.Peer{bad, worse}, true}, {[]control.Peer{bad, worse, down}, true}, {[]control.Peer{bad, worse, good}, false},
		{[]control.Peer{old}, false}, {[]control.Peer{down}, false}, {nil, false},
	} {
		const text = "upstream u has no server that answers: a: refused; the error log has each request"
		want := ""
		if c.fails {
			want = text
		}
		if got := unanswered(control.Upstream{Name: "u", Peers: c.peers}, now); got != want {
			t.Errorf("%+v: %q, want %q", c.peers, got, want)
		}
	}
	gone := control.Upstream{Name: "u", Lookups: []string{"a.test could not be resolved (3: Host not found)"}}
	if got, want := unanswered(gone, now), "upstream u has no server: a.test could not be resolved (3: Host not found)"; got != want {
		t.Errorf("no address: got %q, want %q", got, want)
	}
}
