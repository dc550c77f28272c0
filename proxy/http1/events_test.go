package http1_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// errand is a Continuation that waits for an event from elsewhere, as that of a request to
// an application does.
type errand struct {
	x     *proxy.Exchange
	waker proxy.Waker
	then  func(x *proxy.Exchange) error
	done  atomic.Bool  // the event has come
	looks atomic.Int32 // how often Continue was called
}

// Continue goes on with then if the event has come.
func (e *errand) Continue(x *proxy.Exchange) error {
	e.looks.Add(1)
	if !e.done.Load() {
		return x.Suspend(e)
	}
	return e.then(x)
}

// finish sends the event. The exchange goes on before it returns if t leads, otherwise on
// another goroutine.
func (e *errand) finish(t *eventloop.Turn) {
	e.done.Store(true)
	e.waker.WakeIn(t)
}

// courier is a Source that finishes errands in a turn of its loop.
type courier struct {
	loop *eventloop.Loop
	mu   sync.Mutex
	bag  []*errand
}

// take adds an errand.
func (c *courier) take(e *errand) {
	c.mu.Lock()
	c.bag = append(c.bag, e)
	c.mu.Unlock()
	c.loop.Wake()
}

// Poll finishes the errands that were taken.
func (c *courier) Poll(t *eventloop.Turn) (worked bool) {
	for !t.Left() {
		c.mu.Lock()
		if len(c.bag) == 0 {
			c.mu.Unlock()
			return worked
		}
		e := c.bag[0]
		c.bag = c.bag[1:]
		c.mu.Unlock()
		worked = true
		e.finish(t)
	}
	return worked
}

// Sleep reports whether there are errands.
func (c *courier) Sleep(bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bag) > 0
}

// Expects reports that errands wake the loop.
func (c *courier) Expects() bool { return false }

// errands is content that suspends its exchange. deliver makes an errand finish.
type errands struct {
	deliver func(e *errand)
	logged  sync.Map               // how often the log phase ran, by target
	last    atomic.Pointer[errand] // the errand that was begun last
}

// run suspends x until its errand has finished, and goes on with then.
func (s *errands) run(x *proxy.Exchange, then func(x *proxy.Exchange) error) error {
	e := &errand{x: x, waker: x.Waker(), then: then}
	err := x.Suspend(e)
	s.last.Store(e)
	s.deliver(e)
	return err
}

// answer is the handler. The path says what it does.
func (s *errands) answer(x *proxy.Exchange) error {
	reply := func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("done "+x.Req.Path)) }
	switch x.Req.Path {
	case "/fail":
		return s.run(x, func(*proxy.Exchange) error { return proxy.Status(503) })
	case "/panic":
		return s.run(x, func(*proxy.Exchange) error { panic("in Continue") })
	case "/again":
		return s.run(x, func(x *proxy.Exchange) error { return s.run(x, reply) })
	case "/body":
		return s.run(x, func(x *proxy.Exchange) error {
			body, err := io.ReadAll(x.Body())
			if err != nil {
				return err
			}
			return x.Res.Reply(200, "text/plain", body)
		})
	case "/cut":
		return s.run(x, func(x *proxy.Exchange) error {
			x.Res.Status, x.Res.Length = 200, 100
			if err := x.Res.Send(); err != nil {
				return err
			}
			x.Res.Write([]byte("begun"))
			return errors.New("broken")
		})
	}
	return s.run(x, reply)
}

func (s *errands) module() proxy.Module {
	return proxy.Module{Name: "errands", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(s.answer))
		l.OnLog(func(x *proxy.Exchange) {
			n, _ := s.logged.LoadOrStore(strings.Clone(x.Req.Target), new(atomic.Int32))
			n.(*atomic.Int32).Add(1)
		})
		return nil
	}}
}

const errandText = "server { listen 127.0.0.1:8000; lingering_timeout 50ms; error_page 503 /sorry; }"

func newErrands(t *testing.T, goroutines bool, deliver func(e *errand)) (*errands, *proxytest.Server) {
	c := &errands{deliver: deliver}
	s := proxytest.New(t, proxytest.Config{Text: errandText, Modules: []proxy.Module{c.module()}, Serve: http1.Serve, Goroutines: goroutines})
	return c, s
}

func TestSuspendedExchangesGoOnWhenTheirEventComes(t *testing.T) {
	carrier := &courier{}
	for _, c := range []struct {
		name    string
		deliver func(e *errand)
	}{
		{"before it is parked", func(e *errand) { e.finish(nil) }},
		{"in a turn", carrier.take},
		{"at any time", func(e *errand) { go e.finish(nil) }},
		{"too early, then at any time", func(e *errand) {
			go func() {
				e.waker.Wake()
				e.finish(nil)
			}()
		}},
		{"after the lead was given away", func(e *errand) { e.x.Offload(func() { go e.finish(nil) }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			errands, s := newErrands(t, false, c.deliver)
			if c.name == "in a turn" {
				carrier.loop = s.Loops.Next()
				carrier.loop.AddSource(carrier)
			}
			errands.check(t, s)
			if errands.last.Load().looks.Load() == 0 {
				t.Error("got no exchange suspended, want all")
			}
		})
	}
	t.Run("over TLS", func(t *testing.T) {
		errands := &errands{deliver: func(e *errand) { go e.finish(nil) }}
		module := errands.module()
		module.Generation = proxytest.SecureSites(t)
		text := strings.Replace(errandText, ":8000", ":8000 ssl", 1)
		s := proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{module}, Serve: http1.Serve})
		errands.checkBy(t, s, func(request string) string {
			nc := tls.Client(s.Dial("127.0.0.1:8000"), &tls.Config{InsecureSkipVerify: true})
			defer nc.Close()
			io.WriteString(nc, request)
			answer, _ := io.ReadAll(nc)
			return string(answer)
		})
		if errands.last.Load().looks.Load() == 0 {
			t.Error("got no exchange suspended, want all")
		}
	})
	t.Run("without a loop", func(t *testing.T) {
		errands, s := newErrands(t, true, func(e *errand) { go e.finish(nil) })
		errands.check(t, s)
	})
}

// linesOf returns how often the log phase of a request ran.
func (s *errands) linesOf(target string) int32 {
	n, ok := s.logged.Load(target)
	if !ok {
		return 0
	}
	return n.(*atomic.Int32).Load()
}

// check sends requests of all kinds on one connection and compares answers and log lines.
func (s *errands) check(t *testing.T, server *proxytest.Server) { s.checkBy(t, server, server.Raw) }

// checkBy is check with requests that raw sends.
func (s *errands) checkBy(t *testing.T, server *proxytest.Server, raw func(request string) string) {
	s.logged.Clear()
	var request, want strings.Builder
	for i, c := range []struct{ path, want string }{
		{"/reply", "200 done /reply"}, {"/fail", "503"}, {"/again", "200 done /again"}, {"/reply", "200 done /reply"},
		{"/body", "200 abc"}, {"/reply", "200 done /reply"}, {"/panic", "500"}, {"/reply", "200 done /reply"},
	} {
		fmt.Fprintf(&request, "POST %s?%d HTTP/1.1\r\n%sContent-Length: 3\r\n\r\nabc", c.path, i, host)
		fmt.Fprintf(&want, "%s ", c.want)
	}
	got := summary(raw(request.String() + next))
	if want := want.String() + "200 done /next"; got != want {
		t.Errorf("got the answers %q, want %q", got, want)
	}
	for _, target := range []string{"/reply?0", "/fail?1", "/again?2", "/reply?3", "/body?4", "/reply?5", "/panic?6", "/reply?7", "/next"} {
		// The log phase of the last request may come after the client has read the end.
		proxytest.Eventually(t, func() bool { return s.linesOf(target) > 0 }, "%s: not logged", target)
		if n := s.linesOf(target); n != 1 {
			t.Errorf("%s: got %d log lines, want 1", target, n)
		}
	}
	server.Log.Wait(t, "in Continue")
	if answer := raw("GET /cut HTTP/1.1\r\n" + host + "\r\n" + next); !strings.HasSuffix(answer, "\r\n\r\nbegun") {
		t.Errorf("a response cut short: got %q, want %q at its end", answer, "\r\n\r\nbegun")
	}
	if n := server.Engine.Connections(); n > 0 {
		proxytest.Eventually(t, func() bool { return server.Engine.Connections() == 0 }, "%d connections are left", n)
	}
}

// suspend begins a request that waits until its errand e has finished.
func suspend(t *testing.T) (s *proxytest.Server, nc net.Conn, e *errand) {
	t.Helper()
	c, s := newErrands(t, false, func(*errand) {})
	nc = s.Dial("127.0.0.1:8000")
	io.WriteString(nc, get+"\r\n")
	proxytest.Eventually(t, func() bool { e = c.last.Load(); return e != nil }, "the exchange is not suspended")
	return s, nc, e
}

func TestASuspendedExchangeKeepsItsGeneration(t *testing.T) {
	s, nc, e := suspend(t)
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.Reload(errandText) }()
	old := e.x.Generation
	proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "the reload has not begun")
	select {
	case err := <-reloaded:
		t.Errorf("got the reload's end, %v, want it to wait for the suspended exchange", err)
	case <-time.After(30 * time.Millisecond):
	}
	e.finish(nil)
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	if got := readAnswer(t, nc); got != "200 done /" {
		t.Errorf(`got the answer %q, want "200 done /"`, got)
	}
}

// readAnswer reads one answer.
func readAnswer(t *testing.T, nc net.Conn) string {
	t.Helper()
	var all []byte
	for buf := make([]byte, 4096); ; {
		n, err := nc.Read(buf)
		all = append(all, buf[:n]...)
		if got := summary(string(all)); err != nil || strings.HasPrefix(got, "200 done") {
			return got
		}
	}
}

func TestShutdownWaitsForSuspendedExchanges(t *testing.T) {
	s, nc, e := suspend(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Engine.Shutdown(t.Context(), lastWait) }()
	proxytest.Eventually(t, s.Engine.Draining, "not draining")
	select {
	case err := <-ended:
		t.Errorf("got the shutdown's end, %v, want it to wait for the suspended exchange", err)
	case <-time.After(30 * time.Millisecond):
	}
	e.finish(nil)
	answer, err := io.ReadAll(nc)
	if !strings.Contains(string(answer), "Connection: close") || err != nil {
		t.Errorf(`got the answer %q, %v, want "Connection: close" in it`, answer, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestASuspendedExchangeOfACutConnectionEndsWithItsEvent(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(s *proxytest.Server, nc net.Conn)
	}{
		{"by the client", func(_ *proxytest.Server, nc net.Conn) { nc.(*net.TCPConn).SetLinger(0); nc.Close() }},
		{"by the server", func(s *proxytest.Server, _ net.Conn) {
			cut, cancel := contextCut()
			defer cancel()
			s.Engine.Shutdown(cut, lastWait)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, nc, e := suspend(t)
			c.cut(s, nc)
			proxytest.Eventually(t, e.x.Gone, "Gone is still false")
			if n := s.Engine.Connections(); n != 1 {
				t.Errorf("got %d connections while the exchange is suspended, want 1", n)
			}
			e.finish(nil)
			proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "the connection is still registered")
		})
	}
}

// The Engine recovers from panics of handlers. This panic is outside of the handler.
func TestAPanicInAConnectionEndsItAlone(t *testing.T) {
	s := serve(t, "", func(x *proxy.Exchange) error {
		if x.Req.Path == "/unsound" {
			x.Conn = nil
		}
		return x.Res.Reply(200, "text/plain", []byte("sound"))
	})
	s.Raw("GET /unsound HTTP/1.1\r\n" + host + "\r\n")
	s.Log.Wait(t, "internal error: runtime error: invalid memory address")
	if got := summary(s.Raw(next)); got != "200 sound" {
		t.Errorf(`the next connection: got %q, want "200 sound"`, got)
	}
}

// A handler that waits without giving the lead away blocks its loop.
func TestLocationsThatBlockTheirLoopAreCounted(t *testing.T) {
	open := make(chan bool)
	module := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			if x.Req.Path == "/blocks" {
				<-open
			}
			return x.Res.Reply(200, "text/plain", []byte(x.Req.Path))
		}))
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{module}, Serve: http1.Serve, Watched: true,
		Text: "server { listen 127.0.0.1:8000; location /blocks { } location / { } }"})
	for range 2 {
		nc := s.Dial("127.0.0.1:8000")
		io.WriteString(nc, "GET /blocks HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n")
		s.Serves("/") // another goroutine leads
		open <- true
		if answer, err := io.ReadAll(nc); err != nil || summary(string(answer)) != "200 /blocks" {
			t.Errorf(`got %q, %v, want "200 /blocks"`, answer, err)
		}
	}
	// Other locations may be counted, too, on a busy machine.
	counted := func() (n uint64) {
		for _, o := range s.Engine.Current().Overruns() {
			if o.Location.Name == "/blocks" {
				n = o.Times
			}
		}
		return n
	}
	proxytest.Eventually(t, func() bool { return counted() == 2 }, "/blocks was not counted twice")
}
