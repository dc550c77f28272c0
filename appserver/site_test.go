package appserver

import (
	"errors"
	"fmt"
	"os"
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

	"alicorn/appserver/pool"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// site is a server whose app `web` is testdata/app.py.
type site struct {
	*proxytest.Server
	rt   *Runtime
	last *atomic.Pointer[request] // that the app was given, where it is watched
}

func configText(t testing.TB, settings string) string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
app web { wsgi app:app; directory %s; python /usr/bin/python3; user root; env PYTHONDONTWRITEBYTECODE=1; %s }
server { listen 127.0.0.1:8080; client_max_body_size 200m; app_buffers 4 32k; location / { app_pass web; } }`, dir, settings)
}

func newSite(t testing.TB, settings string) *site {
	t.Helper()
	rt := NewRuntime(Options{})
	return &site{Server: proxytest.New(t, proxytest.Config{Text: configText(t, settings), Modules: []proxy.Module{Module(rt, nil)}}), rt: rt}
}

func (s *site) pool(t testing.TB) *pool.Pool {
	t.Helper()
	pools := s.rt.Pools()
	if len(pools) == 0 {
		t.Fatal("got no pool, want one")
	}
	return pools[len(pools)-1]
}

func expect(t testing.TB, r *proxytest.Recorder, status int, body string) {
	t.Helper()
	if r.Status != status || !strings.Contains(r.Text(), body) {
		t.Errorf("got %d %.200q, want %d with %q", r.Status, r.Text(), status, body)
	}
}

func TestARequestIsAnswered(t *testing.T) {
	s := newSite(t, "workers 2;")
	r := s.Get("/")
	expect(t, r, 200, "hello")
	if r.Length != 5 || !r.Finished {
		t.Errorf("length %d, finished %v; want 5 and true", r.Length, r.Finished)
	}
}

func TestTheEnvironIsCGIs(t *testing.T) {
	s := newSite(t, "workers 1;")
	r := s.Do(proxytest.Request{Method: "POST", Target: "/environ?x=%20", Host: "shop.example:81", Body: "abc",
		Fields: []string{"X-Thing: 1", "X-Other: caf\xe9", "x-thing: 2", "X_Spoof: 3", "Proxy: evil", "Cookie: a=1", "Cookie: b=2",
			"Connection: close", "Transfer-Encoding: chunked", "Content-Type: text/x", "Content-Length: 3"}})
	for _, line := range []string{
		"HTTP_X_THING='1,2'", "HTTP_X_OTHER='caf\\xe9'", "HTTP_COOKIE='a=1; b=2'", "HTTP_HOST='shop.example:81'", "CONTENT_TYPE='text/x'",
		"CONTENT_LENGTH='3'", "PATH_INFO='/environ'", "QUERY_STRING='x=%20'", "REQUEST_URI='/environ?x=%20'", "RAW_URI='/environ?x=%20'",
		"SCRIPT_NAME=''", "REMOTE_ADDR='127.0.0.1'", "SERVER_PORT='80'", "wsgi.url_scheme='http'", "SERVER_NAME='shop.example'",
	} {
		if !strings.Contains("\n"+r.Text()+"\n", "\n"+line+"\n") {
			t.Errorf("got no %s, want it", line)
		}
	}
	for _, name := range []string{"SPOOF", "HTTP_PROXY", "HTTP_CONNECTION", "HTTP_TRANSFER", "HTTP_CONTENT"} {
		if strings.Contains(r.Text(), name) {
			t.Errorf("got %s in the environ, want none", name)
		}
	}
	if t.Failed() {
		t.Log(r.Text())
	}
	for text, fields := range map[string][]string{"CONTENT_LENGTH='0'": {"Content-Length: 0"}, "": nil} {
		r := s.Do(proxytest.Request{Target: "/environ", Fields: fields})
		if has := strings.Contains(r.Text(), "CONTENT_LENGTH"); has != (text != "") || !strings.Contains(r.Text(), text) {
			t.Errorf("no body, with %q: got CONTENT_LENGTH %v, want %q", fields, has, text)
		}
	}
}

func TestBodiesOfAllSizesArriveWhole(t *testing.T) {
	s := newSite(t, "workers 1;")
	for _, size := range []int{0, 1, 16 << 10, 16<<10 + 1, 48 << 10, 64 << 10, 64<<10 + 1, 300 << 10, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			body := strings.Repeat("b", size)
			r := s.Do(proxytest.Request{Method: "POST", Target: "/echo", Body: body, Chunked: chunked})
			if r.Status != 200 || r.Text() != body || size > 0 && r.Header.Get("X-Length") != strconv.Itoa(size) {
				t.Errorf("size %d, chunked %v: got %d, %d bytes back, CONTENT_LENGTH %s, want 200 and all", size, chunked, r.Status, r.Body.Len(), r.Header.Get("X-Length"))
			}
		}
	}
}

func TestAHugeEnvironTravelsByDescriptor(t *testing.T) {
	s := newSite(t, "workers 1;")
	var fields []string
	for i := range 100 {
		fields = append(fields, fmt.Sprintf("X-Field-%d: %s", i, strings.Repeat("v", 1000)))
	}
	r := s.Do(proxytest.Request{Method: "POST", Target: "/environ", Fields: fields, Body: "abc"})
	expect(t, r, 200, "HTTP_X_FIELD_99='vvv")
}

func TestResponsesOfAllKindsArrive(t *testing.T) {
	s := newSite(t, "workers 1;")
	self, err := os.ReadFile("testdata/app.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, target string
		status, size   int
	}{
		{"GET", "/whole?0", 200, 0}, {"GET", "/whole?5000", 200, 5000}, {"GET", "/whole?300000", 200, 300000},
		{"GET", "/big?40", 200, 40 << 16}, {"GET", "/file", 200, len(self) - 3}, {"HEAD", "/whole?5000", 200, 0},
		{"HEAD", "/file", 200, 0}, {"GET", "/none", 204, 0}, {"GET", "/generate", 200, 6}, {"GET", "/raise", 500, 22},
		{"GET", "/length?5", 200, 5}, {"GET", "/length?3", 200, 3},
	} {
		r := s.Do(proxytest.Request{Method: c.method, Target: c.target})
		if r.Status != c.status || r.Body.Len() != c.size || !r.Finished {
			t.Errorf("%s %s: status %d, %d bytes, finished %v; want %d, %d bytes", c.method, c.target, r.Status, r.Body.Len(), r.Finished, c.status, c.size)
		}
	}
	if r := s.Get("/length?9"); !r.Aborted {
		t.Errorf("a response shorter than its Content-Length: got %d %q, want that it is cut", r.Status, r.Text())
	}
	if r := s.Get("/generate"); r.Flushes < 3 {
		t.Errorf("a generator's response was flushed %d times, want at least 3", r.Flushes)
	}
	s.Log.Wait(t, "closed the response")
}

// What the application prints is not ours to judge: it has no level.
func TestOutputGoesToTheLogAsItIs(t *testing.T) {
	for _, c := range []struct{ settings, want string }{
		{"", "print: "},
		{"output error_log;", "print: "},
		{"output error_log prefix;", "print: web:1: "},
	} {
		t.Run(c.settings, func(t *testing.T) {
			s := newSite(t, "workers 1; "+c.settings)
			expect(t, s.Get("/print"), 200, "printed")
			s.Log.Wait(t, c.want+"to stdout")
			s.Log.Wait(t, c.want+"to stderr")
		})
	}
}

func TestADeathCostsTheStartedRequestOnly(t *testing.T) {
	s := newSite(t, "workers 2;")
	r := s.Get("/die")
	if r.Status != 502 {
		t.Errorf("status %d, want 502", r.Status)
	}
	s.Log.Wait(t, "SIGKILL")
	s.Log.Wait(t, "GET /die")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i == 5 {
				s.Get("/die")
				return
			}
			expect(t, s.Get("/sleep?0.01"), 200, "slept")
		})
	}
	wg.Wait()
}

func TestADeathAfterTheHeadCutsTheResponse(t *testing.T) {
	s := newSite(t, "workers 1;")
	if r := s.Get("/die-later"); !r.Aborted || r.Text() != "begun" {
		t.Errorf(`aborted %v, body %q; want true and "begun"`, r.Aborted, r.Text())
	}
	expect(t, s.Get("/"), 200, "hello")
}

func TestSysExitCostsOneWorker(t *testing.T) {
	s := newSite(t, "workers 1;")
	if r := s.Get("/exit"); r.Status != 500 {
		t.Errorf("status %d, want 500", r.Status)
	}
	expect(t, s.Get("/"), 200, "hello")
}

func TestATimeoutIsA504WithTheStack(t *testing.T) {
	s := newSite(t, "workers 1; timeout 1s; graceful_timeout 1s;")
	if r := s.Get("/sleep?20"); r.Status != 504 {
		t.Errorf("status %d, want 504", r.Status)
	}
	s.Log.Wait(t, "in stuck_here")
	proxytest.Eventually(t, func() bool { return s.Get("/").Text() == "hello" }, "nothing is answered after a timeout")
}

func TestNoRequestWaitsBehindASlowOne(t *testing.T) {
	for _, balance := range []string{"least_conn;", "round_robin;"} {
		s := newSite(t, "workers 2;"+balance)
		release := s.hold(t)
		for range 50 { // answered while the slow one is not, or never
			var batch sync.WaitGroup
			for range 4 {
				batch.Go(func() { expect(t, s.Get("/"), 200, "hello") })
			}
			batch.Wait()
		}
		release()
	}
}

// hold has a worker run a request until release is called, at the latest when the
// test ends. release waits for the answer.
func (s *site) hold(t *testing.T) (release func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "release")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		expect(t, s.Get("/held?"+file), 200, "released")
	}()
	release = sync.OnceFunc(func() {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Error(err)
		}
		<-answered
	})
	t.Cleanup(release)
	proxytest.Eventually(t, func() bool {
		return slices.ContainsFunc(s.pool(t).Status().Workers, func(w pool.WorkerStatus) bool { return w.State == "busy" })
	}, "a worker runs the request")
	return release
}

func TestAStoppedWorkerGetsNoRequests(t *testing.T) {
	s := newSite(t, "workers 2;")
	pid := s.pool(t).Status().Workers[0].PID
	syscall.Kill(pid, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	proxytest.Eventually(t, func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(b), ") T ")
	}, "the worker is stopped")
	for range 200 {
		expect(t, s.Get("/"), 200, "hello")
	}
	if w := s.pool(t).Status().Workers[0]; w.PID != pid || w.Requests > 0 {
		t.Errorf("the stopped worker: got %d requests, want none", w.Requests)
	}
}

// A worker that a busy machine does not let run gets fewer requests, so some
// round must be even, not each.
func TestRoundRobinIsEven(t *testing.T) {
	s := newSite(t, "workers 2; round_robin;")
	var counts [][2]uint64
	for range 50 {
		before := s.pool(t).Status().Workers
		for range 100 {
			s.Get("/")
		}
		after := s.pool(t).Status().Workers
		a, b := after[0].Requests-before[0].Requests, after[1].Requests-before[1].Requests
		if a+b == 100 && max(a, b)-min(a, b) <= 4 {
			return
		}
		counts = append(counts, [2]uint64{a, b})
	}
	t.Errorf("got %v of 100 requests, want equally many for each worker", counts)
}

func TestRecyclingLosesNothing(t *testing.T) {
	s := newSite(t, "workers 2; max_requests 50 10;")
	var mu sync.Mutex
	pids := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				r := s.Get("/pid")
				if r.Status != 200 {
					t.Errorf("status %d, want 200", r.Status)
				}
				mu.Lock()
				pids[r.Text()] = true
				enough := len(pids) >= 5
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(pids) < 5 {
		t.Errorf("the requests saw %d workers, want at least 5", len(pids))
	}
}

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	s := newSite(t, "workers 1;")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					expect(t, s.Get("/"), 200, "hello")
				}
			}
		})
	}
	for i := range 3 {
		if err := s.Reload(configText(t, fmt.Sprintf("workers 1; threads %d;", i+1))); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if n := len(s.rt.Pools()); n != 1 {
		t.Errorf("%d pools run, want 1", n)
	}
}

func TestTheBacklogIsBounded(t *testing.T) {
	s := newSite(t, "workers 1; backlog 2; queue_timeout 10m;")
	var wg sync.WaitGroup
	release := s.hold(t)
	for range 2 {
		wg.Go(func() { expect(t, s.Get("/"), 200, "hello") })
	}
	proxytest.Eventually(t, func() bool { return s.pool(t).Status().Queue == 2 }, "two wait")
	if r := s.Get("/"); r.Status != 503 || r.Header.Get("Retry-After") != "1" {
		t.Errorf(`status %d, Retry-After %q past the backlog; want 503 and "1"`, r.Status, r.Header.Get("Retry-After"))
	}
	release()
	wg.Wait()
}

func TestARequestThatWaitsPastQueueTimeoutIsRefused(t *testing.T) {
	s := newSite(t, "workers 1; queue_timeout 200ms;")
	s.hold(t)
	if r := s.Get("/"); r.Status != 503 {
		t.Errorf("status %d after queue_timeout, want 503", r.Status)
	}
}

func TestAnApplicationThatCannotImportIsABootError(t *testing.T) {
	rt := NewRuntime(Options{})
	err := func() (err error) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "broken.py"), []byte("import nosuchmodule\n"), 0o644)
		s := newSiteWith(t, rt, "")
		return s.Reload(fmt.Sprintf("app web { wsgi broken:app; directory %s; python /usr/bin/python3; user root; }", dir))
	}()
	var boot *pool.BootError
	if !errors.As(err, &boot) || !strings.Contains(boot.Message+boot.Traceback, "nosuchmodule") {
		t.Errorf("got %v, want a BootError about nosuchmodule", err)
	}
}

func newSiteWith(t testing.TB, rt *Runtime, text string) *site {
	if text == "" {
		text = "server { listen 127.0.0.1:8080; }"
	}
	return &site{Server: proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(rt, nil)}}), rt: rt}
}

func TestAStartThatHangsShowsWhere(t *testing.T) {
	rt := NewRuntime(Options{})
	dir := t.TempDir()
	reached := filepath.Join(dir, "reached")
	os.WriteFile(filepath.Join(dir, "hangs.py"), []byte("import time\ndef hangs_here():\n    open('reached', 'w').close()\n    time.sleep(300)\nhangs_here()\n"), 0o644)
	s := newSiteWith(t, rt, "")
	for limit := 1; limit < 100; limit *= 4 { // where it takes longer to begin with the import, that is not what hangs
		err := s.Reload(fmt.Sprintf("app web { wsgi hangs:app; workers 1; directory %s; python /usr/bin/python3; user root; startup_timeout %ds; }", dir, limit))
		if err == nil || !strings.Contains(err.Error(), "calls app.run()") {
			t.Errorf(`got %v, want an error with "calls app.run()"`, err)
		}
		if _, err := os.Stat(reached); err == nil {
			break
		}
	}
	s.Log.Wait(t, "hangs_here")
}

func TestScalingChangesTheNumberOfWorkers(t *testing.T) {
	s := newSite(t, "workers 1;")
	p := s.pool(t)
	ready := func(n int) {
		t.Helper()
		proxytest.Eventually(t, func() bool { return len(p.Status().Workers) == n }, "%d workers", n)
	}
	p.Scale(+2)
	ready(3)
	p.Scale(-2)
	ready(1)
	expect(t, s.Get("/"), 200, "hello")
}

func TestGarbageCostsTheWorkerOnly(t *testing.T) {
	s := newSite(t, "workers 1;")
	s.Get("/print?frame")
	s.Log.Wait(t, "broke the worker protocol")
	expect(t, s.Get("/"), 200, "hello")
}

func TestAWorkerRunsAsTheDirectorysOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can change users")
		return
	}
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.WriteFile(filepath.Join(dir, "who.py"), []byte(`import os
def app(environ, start_response):
    start_response("200 OK", [])
    status = open("/proc/self/status").read()
    return [(" ".join(l for l in status.splitlines() if l.startswith(("Uid", "Gid", "Groups"))) + os.environ["HOME"]).encode()]
`), 0o644)
	os.Chown(dir, 1234, 1234)
	s := newSiteWith(t, NewRuntime(Options{}), fmt.Sprintf("app web { wsgi who:app; directory %s; workers 1; python /usr/bin/python3; } server { listen 127.0.0.1:8080; location / { app_pass web; } }", dir))
	expect(t, s.Get("/"), 200, "Uid:\t1234\t1234\t1234\t1234 Gid:\t1234\t1234\t1234\t1234 Groups:\t1234 /")
}

// A process that a dead worker leaves behind may hold its output open: the
// worker is replaced at once, and the process's lines go to the log still.
func TestAChildThatHoldsTheOutputDelaysNoReplacement(t *testing.T) {
	s := newSite(t, "workers 1;")
	expect(t, s.Get("/die-with-a-child"), 502, "")
	expect(t, s.Get("/"), 200, "hello")
	later := regexp.MustCompile(`(?s)exited: SIGKILL.*printed by the child`)
	proxytest.Eventually(t, func() bool { return later.MatchString(s.Log.String()) }, "a line of the child after the worker's end")
}
