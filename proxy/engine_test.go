package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// mortal is content that knows whether its Generation was stopped while it
// was serving.
type mortal struct{ stopped, served atomic.Int64 }

func (m *mortal) module() proxy.Module {
	var locations []*atomic.Bool
	return proxy.Module{
		Name: "mortal",
		Compile: func(_ *config.Scope, l *proxy.Location) error {
			dead := &atomic.Bool{}
			locations = append(locations, dead)
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				for range 10 {
					if dead.Load() {
						return errors.New("the generation was stopped under a request")
					}
					runtime.Gosched()
				}
				m.served.Add(1)
				return x.Res.Reply(200, "text/plain", []byte(x.Server.Name))
			}))
			return nil
		},
		Generation: func(_ *config.Scope, g *proxy.Generation) error {
			mine := locations
			locations = nil
			g.OnStop(func(context.Context) {
				m.stopped.Add(1)
				for _, dead := range mine {
					dead.Store(true)
				}
			})
			return nil
		},
	}
}

// client is one keep-alive connection.
type client struct {
	nc net.Conn
	r  *bufio.Reader
}

func connect(s *proxytest.Server, listen string) *client {
	nc := s.Dial(listen)
	return &client{nc, bufio.NewReader(nc)}
}

func (c *client) get(target string) (*http.Response, string, error) {
	if _, err := fmt.Fprintf(c.nc, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target); err != nil {
		return nil, "", err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestReloadsUnderLoadFailNoRequestAndStopNothingInUse(t *testing.T) {
	m := &mortal{}
	text := func(i int) string { return fmt.Sprintf("server { listen 80; server_name g%d; }", i) }
	s := proxytest.New(t, proxytest.Config{Text: text(0), Modules: []proxy.Module{m.module()}, Serve: http1.Serve})
	var done atomic.Bool
	var clients sync.WaitGroup
	for range 8 {
		c := connect(s, "")
		clients.Go(func() {
			for !done.Load() {
				if _, body, err := c.get("/"); err != nil || !strings.HasPrefix(body, "g") {
					t.Errorf(`got %q, %v; want "g" at its beginning`, body, err)
					return
				}
			}
		})
	}
	const atLeast = 200
	reloads := 0
	for i := 0; i < atLeast || m.served.Load() < atLeast; i++ {
		reloads++
		if err := s.Reload(text(i + 1)); err != nil {
			t.Error(err)
			break
		}
	}
	done.Store(true)
	clients.Wait()
	if n := m.stopped.Load(); int(n) != reloads {
		t.Errorf("%d of %d generations were stopped", n, reloads)
	}
}

// gate is content that waits until it is opened.
func gate(entered chan<- struct{}, open <-chan struct{}) proxy.Module {
	return proxy.Module{Name: "gate", Compile: func(_ *config.Scope, l *proxy.Location) error {
		if l.Name == "/wait" {
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				x.Offload(func() {
					entered <- struct{}{}
					<-open
				})
				return x.Res.Reply(200, "text/plain", []byte("waited"))
			}))
		}
		return nil
	}}
}

func startGate(t *testing.T) (s *proxytest.Server, entered chan struct{}, open chan struct{}) {
	entered, open = make(chan struct{}, 8), make(chan struct{})
	s = proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: []proxy.Module{gate(entered, open), words()},
		Text: `server { listen 127.0.0.1:80; listen 127.0.0.1:81; location /wait { } location / { say old; } }`})
	return s, entered, open
}

func TestARequestInProgressEndsOnItsOwnGeneration(t *testing.T) {
	s, entered, open := startGate(t)
	slow := connect(s, "127.0.0.1:80")
	answer := make(chan string, 1)
	go func() {
		_, body, err := slow.get("/wait")
		answer <- fmt.Sprint(body, err)
	}()
	<-entered
	reloaded := make(chan error, 1)
	go func() {
		reloaded <- s.Reload(`server { listen 127.0.0.1:80; listen 127.0.0.1:81; location / { say new; } }`)
	}()
	fast := connect(s, "127.0.0.1:81")
	proxytest.Eventually(t, func() bool {
		_, body, err := fast.get("/")
		if err != nil {
			t.Fatal(err)
		}
		return body == "new"
	}, "the new generation does not serve while the old one drains")
	select {
	case err := <-reloaded:
		t.Fatalf("drained while a request was in progress: %v", err)
	default:
	}
	close(open)
	if got := <-answer; got != "waited<nil>" {
		t.Errorf(`got %s, want "waited<nil>"`, got)
	}
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	if _, body, err := slow.get("/"); body != "new" || err != nil {
		t.Errorf(`the connection did not go on: %q, %v; want "new"`, body, err)
	}
}

func TestADrainThatTakesTooLongCutsTheConnections(t *testing.T) {
	s, entered, open := startGate(t)
	slow, idle := connect(s, "127.0.0.1:80"), connect(s, "127.0.0.1:80")
	if _, _, err := idle.get("/"); err != nil {
		t.Fatal(err)
	}
	// its response may be here before its exchange has ended over there
	if err := s.Engine.Drain(context.Background(), s.Engine.Current()); err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	go func() {
		_, _, err := slow.get("/wait")
		cut <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Engine.Drain(ctx, s.Engine.Current()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := <-cut; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection was not cut: %v", err)
	}
	if _, body, err := idle.get("/"); body != "old" || err != nil {
		t.Errorf("an idle connection was cut too: %v", err)
	}
	close(open)
}

func TestConnectionsOfARemovedListenerEndAfterTheirNextResponse(t *testing.T) {
	s, _, open := startGate(t)
	close(open)
	stays, goes := connect(s, "127.0.0.1:80"), connect(s, "127.0.0.1:81")
	addr := s.Addr("127.0.0.1:81")
	for _, c := range []*client{stays, goes} {
		if res, _, err := c.get("/"); err != nil || res.Close {
			t.Fatalf("closed before the reload: %v; want Close false", err)
		}
	}
	if err := s.Reload(`server { listen 127.0.0.1:80; location / { say new; } }`); err != nil {
		t.Fatal(err)
	}
	if res, body, err := goes.get("/"); err != nil || body != "new" || !res.Close {
		t.Errorf(`removed listener: got %q, %v, close %v; want "new" and Close true`, body, err, res != nil && res.Close)
	}
	if res, body, err := stays.get("/"); err != nil || body != "new" || res.Close {
		t.Errorf(`kept listener: got %q, %v; want "new" and Close false`, body, err)
	}
	if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		nc.Close()
		t.Error("the removed listener still accepts")
	}
}

func TestAReloadToNoServerAtAllClosesConnections(t *testing.T) {
	s, _, open := startGate(t)
	close(open)
	c := connect(s, "127.0.0.1:80")
	if _, _, err := c.get("/"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.get("/"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want another error than a timeout", err)
	}
}

func TestShutdownLetsRequestsEndAndClosesIdleConnections(t *testing.T) {
	s, entered, open := startGate(t)
	before := runtime.NumGoroutine()
	slow, idle := connect(s, "127.0.0.1:80"), connect(s, "127.0.0.1:80")
	if _, _, err := idle.get("/"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		res, body, err := slow.get("/wait")
		answer <- fmt.Sprint(body, err, res != nil && res.Close)
	}()
	<-entered
	down := make(chan error, 1)
	go func() { down <- s.Engine.Shutdown(context.Background(), 50*time.Millisecond) }()
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection was not closed: %v; want %v", err, io.EOF)
	}
	if !s.Engine.Draining() {
		t.Error("Draining is false")
	}
	close(open)
	if got := <-answer; got != "waited<nil> true" {
		t.Errorf(`got %s, want "waited<nil> true"`, got)
	}
	if err := <-down; err != nil || s.Engine.Connections() != 0 {
		t.Errorf("got %v, %d connections; want 0", err, s.Engine.Connections())
	}
	proxytest.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+s.Loops.Spare() }, "goroutines are left over")
}

func TestAStartThatFailsStopsWhatHadStarted(t *testing.T) {
	var stopped atomic.Bool
	fails := proxy.Module{Name: "fails", Generation: func(s *config.Scope, g *proxy.Generation) error {
		g.OnStop(func(context.Context) { stopped.Store(true) })
		if len(s.Blocks) > 1 {
			g.OnStart(func(context.Context) error { return errors.New("the pool does not come up") })
		}
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 80; say old; }", Modules: []proxy.Module{words(), fails}})
	if err := s.Reload("server { listen 80; say new; } server { listen 81; }"); err == nil || err.Error() != "the pool does not come up" {
		t.Errorf(`got %v, want the error "the pool does not come up"`, err)
	}
	if got := s.Get("/").Text(); got != "old" || !stopped.Load() {
		t.Errorf(`got %q, stopped %v; want "old" and true`, got, stopped.Load())
	}
}

// broken panics in the log phase, where no response can be saved any more.
func TestAPanicInTheLogPhaseIsContained(t *testing.T) {
	broken := proxy.Module{Name: "broken", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.OnLog(func(*proxy.Exchange) { panic("broken log") })
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 80; say fine; }", Modules: []proxy.Module{words(), broken}})
	if got := s.Get("/").Text(); got != "fine" {
		t.Errorf(`got %q, want "fine"`, got)
	}
	if got := s.Log.String(); !strings.Contains(got, "alert: internal error in the log phase: broken log") {
		t.Errorf(`log: %s; want "alert: internal error in the log phase: broken log" in it`, got)
	}
}

// A request may be on its way on an idle connection, even if that had none before: it is
// answered, and is the last one. A silent connection ends when its time is over.
func TestShutdownAnswersOneMoreRequest(t *testing.T) {
	s, _, open := startGate(t)
	close(open)
	fresh, kept := connect(s, "127.0.0.1:80"), connect(s, "127.0.0.1:80")
	if _, _, err := kept.get("/"); err != nil {
		t.Fatal(err)
	}
	proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 2 }, "the connections were not accepted")
	down := make(chan error, 1)
	go func() { down <- s.Engine.Shutdown(context.Background(), time.Minute) }()
	proxytest.Eventually(t, s.Engine.Draining, "Draining is false")
	for name, c := range map[string]*client{"fresh": fresh, "kept": kept} {
		if res, _, err := c.get("/"); err != nil || !res.Close {
			t.Errorf("%s: got %v, %v; want Close true", name, res, err)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("%s: not closed after its last answer: %v; want %v", name, err, io.EOF)
		}
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownClosesWhatStaysSilent(t *testing.T) {
	for _, last := range []time.Duration{0, 50 * time.Millisecond} {
		s, _, open := startGate(t)
		close(open)
		fresh, kept := connect(s, "127.0.0.1:80"), connect(s, "127.0.0.1:80")
		if _, _, err := kept.get("/"); err != nil {
			t.Fatal(err)
		}
		proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 2 }, "the connections were not accepted")
		if err := s.Engine.Shutdown(context.Background(), last); err != nil {
			t.Error(err)
		}
		for name, c := range map[string]*client{"fresh": fresh, "kept": kept} {
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Errorf("%s: not closed: %v; want %v", name, err, io.EOF)
			}
		}
	}
}
