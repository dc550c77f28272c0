package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy/proxytest"
)

const patience = 60 * time.Second

// fakeProgram is a program whose configuration the test decides on, and when
// it is there to be read.
type fakeProgram struct {
	*program
	dir string

	mu    sync.Mutex
	text  string
	reads int
	hold  chan struct{} // when not nil, a read waits until it is closed
	held  chan struct{} // receives when a read waits
}

func newFakeProgram(t *testing.T, text string) *fakeProgram {
	f := &fakeProgram{dir: t.TempDir(), held: make(chan struct{}, 16)}
	f.program = &program{name: "test", folders: folders{run: f.dir, state: f.dir, cache: f.dir}, port: 80,
		options: options{config: filepath.Join(f.dir, "alicorn.conf")}}
	f.program.read = f.readText
	f.set(text)
	return f
}

// set makes text the configuration from now on.
func (f *fakeProgram) set(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = "error_log " + filepath.Join(f.dir, "error.log") + " info;\n" + text
}

// block makes reads wait until the returned function is called.
func (f *fakeProgram) block() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{})
	f.hold = ch
	return func() {
		f.mu.Lock()
		f.hold = nil
		f.mu.Unlock()
		close(ch)
	}
}

func (f *fakeProgram) readText() (*config.Tree, error) {
	f.mu.Lock()
	f.reads++
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		f.held <- struct{}{}
		<-hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	root, err := config.Parse("test.conf", []byte(f.text))
	return &config.Tree{Root: root}, err
}

func (f *fakeProgram) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// serving starts f and returns what stops it; the server has stopped when
// that returns.
func serving(t *testing.T, f *fakeProgram) (s *server, stop func()) {
	t.Helper()
	s, err := newServer(f.program, &keeper.Local{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			s.Stop(false)
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("the server does not stop")
			}
			cancel()
		})
	}
	t.Cleanup(stop)
	return s, stop
}

// The first reading may take as long as a name server does. A stop gives it a
// while to end, a second one none.
func TestAStopEndsTheFirstReadingOfOneProcess(t *testing.T) {
	t.Parallel()
	f := newFakeProgram(t, "server { listen 127.0.0.1:0; return 200 one; }")
	s, err := newServer(f.program, &keeper.Local{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.loops.Close()
	release := f.block()
	ctx, stop := context.WithCancel(context.Background())
	hurry, opened, ran := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		ran <- startUntil(ctx, hurry, func() error {
			err := s.open(ctx)
			opened <- err
			return err
		})
	}()
	<-f.held
	stop()
	close(hurry)
	if err := <-ran; !errors.Is(err, context.Canceled) {
		t.Errorf("the start ends with %v, want %v", err, context.Canceled)
	}
	if len(opened) > 0 {
		t.Error("the stop has waited for the reading")
	}
	release()
	if err := <-opened; !errors.Is(err, context.Canceled) || s.loaded() != nil {
		t.Errorf("what is read too late is served: %v", err)
	}
}

func reload(ctx context.Context, s *server) error {
	_, err := s.Reload(ctx, control.Reload{})
	return err
}

// body returns what the server answers on its first listener.
func body(t *testing.T, s *server) string {
	t.Helper()
	nc, err := net.Dial("tcp4", s.loaded().generation.Listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(answer), "\r\n\r\n")
	return text
}

func answering(text string) string {
	return fmt.Sprintf("server { listen 127.0.0.1:0; return 200 %q; }", text)
}

func TestReloadServesTheNewConfigurationOnTheSameListener(t *testing.T) {
	t.Parallel()
	f := newFakeProgram(t, answering("first"))
	s, _ := serving(t, f)
	before := s.loaded().generation.Listeners[0].Addr().String()
	f.set(answering("second"))
	if err := reload(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := body(t, s); got != "second" {
		t.Errorf(`answer %q, want "second"`, got)
	}
	if after := s.loaded().generation.Listeners[0].Addr().String(); after != before {
		t.Errorf("listens on %s, before on %s", after, before)
	}
	if n := s.Status().Generation; n != 2 {
		t.Errorf("generation %d, want 2", n)
	}
}

func TestABrokenConfigurationChangesNothingAndIsExplained(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"syntax", "server {", "test.conf:2:9: unexpected end of file"},
		{"meaning", "server { listn 80; }", `test.conf:2:10: unknown directive "listn"; did you mean "listen"?`},
		{"resources", "server { listen 192.0.2.1:1; }", "test.conf:2:10: cannot listen on 192.0.2.1:1: this machine has no such address"},
		{"nothing to serve", "", "there is nothing to serve"},
		{"of nginx", "server { grpc_pass x:1; }", "test.conf:2:10: nginx's grpc_pass is not here yet; for Python applications use app_pass"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeProgram(t, answering("first"))
			s, _ := serving(t, f)
			f.set(tc.text)
			err := reload(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q", err, tc.want)
			}
			if got := body(t, s); got != "first" {
				t.Errorf(`answer %q, want "first"`, got)
			}
		})
	}
}

func TestReloadsAskedForDuringAReloadBecomeOne(t *testing.T) {
	t.Parallel()
	f := newFakeProgram(t, answering("first"))
	s, _ := serving(t, f)
	release := f.block()
	results := make(chan error, 4)
	ask := func() { go func() { results <- reload(context.Background(), s) }() }
	ask()
	<-f.held
	for range 3 {
		ask()
	}
	for deadline := time.Now().Add(patience); s.queued.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d reloads wait, want 3", s.queued.Load())
		}
	}
	f.set("broken")
	release()
	failures := 0
	for range 4 {
		select {
		case err := <-results:
			if err != nil {
				failures++
			}
		case <-time.After(patience):
			t.Fatal("a caller got no result")
		}
	}
	if failures != 4 {
		t.Errorf("%d callers were told of the mistake, want all 4", failures)
	}
	if n := f.count(); n != 3 {
		t.Errorf("the configuration was read %d times, want 3: at start, and for two reloads", n)
	}
}

func TestAStopEndsAReloadInProgress(t *testing.T) {
	t.Parallel()
	f := newFakeProgram(t, answering("first"))
	s, stop := serving(t, f)
	release := f.block()
	result := make(chan error, 1)
	go func() { result <- reload(context.Background(), s) }()
	<-f.held
	time.AfterFunc(50*time.Millisecond, release)
	stop()
	select {
	case <-result:
	case <-time.After(patience):
		t.Fatal("the caller of the reload got no result")
	}
	if _, err := net.Dial("tcp4", s.loaded().generation.Listeners[0].Addr().String()); err == nil {
		t.Error("something listens after the stop")
	}
}

// A reload that waits for an application when the server stops says so, to
// who asked and in the log.
func TestAReloadThatAStopEndsNamesTheStop(t *testing.T) {
	t.Parallel()
	for allOrNothing, want := range map[bool]string{
		false: "the reload has not finished: " + errStopping.Error(),
		true:  "reload failed, the old configuration goes on: " + errStopping.Error(),
	} {
		reloadThatAStopEnds(t, control.Reload{AllOrNothing: allOrNothing}, want)
	}
}

func reloadThatAStopEnds(t *testing.T, o control.Reload, want string) {
	t.Helper()
	dir := proxytest.PublicDir(t)
	if err := os.Chmod(dir, 0o777); err != nil { // for the application's user
		t.Fatal(err)
	}
	write(t, dir, "app.py", "import time\nopen('importing', 'w')\ntime.sleep(600)\n")
	f := newFakeProgram(t, answering("first"))
	s, stop := serving(t, f)
	f.set(`app web { wsgi app:app; directory ` + dir + `; python /usr/bin/python3; workers 1; }
server { listen 127.0.0.1:0; location / { app_pass web; } }`)
	result := make(chan error, 1)
	go func() {
		_, err := s.Reload(context.Background(), o)
		result <- err
	}()
	eventually(t, "the application is imported", func() bool { return isRegular(filepath.Join(dir, "importing")) })
	stop()
	select {
	case err := <-result:
		if !errors.Is(err, errStopping) {
			t.Errorf("the caller is told %v, want %v", err, errStopping)
		}
	case <-time.After(patience):
		t.Fatal("the caller of the reload got no result")
	}
	log, err := os.ReadFile(filepath.Join(f.dir, "error.log"))
	if err != nil || !strings.Contains(string(log), want) {
		t.Errorf("the log has %q (%v), want %q", log, err, want)
	}
}

func TestStartFailsWithTheRightExitCode(t *testing.T) {
	t.Parallel()
	app := `app web { wsgi missing:app; python /usr/bin/python3; workers 1; }
server { listen 127.0.0.1:0; location / { app_pass web; } }`
	for _, tc := range []struct {
		name, text string
		want       int
	}{
		{"a mistake", "server { listn 80; }", exitFailed},
		{"an address", "server { listen 192.0.2.1:1; }", exitFailed},
		{"an application", app, exitApp},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, err := newServer(newFakeProgram(t, tc.text).program, &keeper.Local{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err = s.open(t.Context()); err == nil {
				err = s.run(t.Context())
			}
			err = startError(err)
			var exit *exitError
			if !errors.As(err, &exit) || exit.code != tc.want {
				t.Errorf("%v, want exit code %d", err, tc.want)
			}
		})
	}
}

// A stop while applications still import is a stop like any other: what runs
// ends, and the exit code is 0.
func TestAServerCanBeStoppedWhileItStarts(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	f := newFakeProgram(t, `app web { wsgi app:app; directory `+dir+`; python /usr/bin/python3; workers 1; }
server { listen 127.0.0.1:0; location / { return 200 "served"; } location /app { app_pass web; } }`)
	f.single = true
	write(t, dir, "app.py", "import time\ntime.sleep(600)\n")
	s, err := newServer(f.program, &keeper.Local{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.first.serving = func() error { return errors.New("the application is ready") }
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(t.Context()) }()
	if got := body(t, s); got != "served" {
		t.Errorf(`while the application starts the answer is %q, want "served"`, got)
	}
	s.Stop(false)
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the stop ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
}
