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

// errand is a Continuation as an application's: somebody else says when what it
// waits for is there.
type errand struct {
	x     *proxy.Exchange
	waker proxy.Waker
	then  func(x *proxy.Exchange) error
	done  atomic.Bool // what it waits for is there
	looks atomic.Int32
}

// Continue does what the handler would have, once it is time.
func (e *errand) Continue(x *proxy.Exchange) error {
	e.looks.Add(1)
	if !e.done.Load() {
		return x.Suspend(e)
	}
	return e.then(x)
}

// tell has x go on: inline where t leads, else on a goroutine.
func (e *errand) tell(t *eventloop.Turn) {
	e.done.Store(true)
	e.waker.WakeIn(t)
}

// courier is a Source that tells errands in a turn of their loop.
type courier struct {
	loop *eventloop.Loop
	mu   sync.Mutex
	bag  []*errand
}

func (c *courier) take(e *errand) {
	c.mu.Lock()
	c.bag = append(c.bag, e)
	c.mu.Unlock()
	c.loop.Wake()
}

// Poll tells the errands it holds.
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
		e.tell(t)
	}
	return worked
}

// Sleep reports whether there are errands.
func (c *courier) Sleep(bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bag) > 0
}

// errands is content that suspends where it can. deliver has an errand told.
type errands struct {
	deliver func(e *errand)
	logged  sync.Map // how often the log phase ran, by path
	last    atomic.Pointer[errand]
}

func (s *errands) run(x *proxy.Exchange, then func(x *proxy.Exchange) error) error {
	e := &errand{x: x, waker: x.Waker(), then: then}
	err := x.Suspend(e)
	s.last.Store(e)
	s.deliver(e)
	return err
}

// answer does what the path says.
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

func TestSuspendedExchangesGoOnHoweverTheyAreTold(t *testing.T) {
	carrier := &courier{}
	for _, c := range []struct {
		name    string
		deliver func(e *errand)
	}{
		{"before it is parked", func(e *errand) { e.tell(nil) }},
		{"in a turn", carrier.take},
		{"at any time", func(e *errand) { go e.tell(nil) }},
		{"for nothing, then at any time", func(e *errand) {
			go func() {
				e.waker.Wake()
				e.tell(nil)
			}()
		}},
		{"detached", func(e *errand) { e.x.Offload(func() { go e.tell(nil) }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			errands, s := newErrands(t, false, c.deliver)
			if c.name == "in a turn" {
				carrier.loop = s.Loops.Next()
				carrier.loop.AddSource(carrier)
			}
			errands.check(t, s)
			if errands.last.Load().looks.Load() == 0 {
				t.Error("nothing was suspended")
			}
		})
	}
	t.Run("over TLS", func(t *testing.T) {
		errands := &errands{deliver: func(e *errand) { go e.tell(nil) }}
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
			t.Error("nothing was suspended")
		}
	})
	t.Run("without a loop", func(t *testing.T) {
		errands, s := newErrands(t, true, func(e *errand) { go e.tell(nil) })
		errands.check(t, s)
	})
}

// linesOf returns how often a request's end was logged.
func (s *errands) linesOf(target string) int32 {
	n, ok := s.logged.Load(target)
	if !ok {
		return 0
	}
	return n.(*atomic.Int32).Load()
}

// check sends requests of all kinds by one connection and compares answers and
// log lines.
func (s *errands) check(t *testing.T, server *proxytest.Server) { s.checkBy(t, server, server.Raw) }

// checkBy is check where raw sends the requests.
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
		t.Errorf("answers %q, want %q", got, want)
	}
	for _, target := range []string{"/reply?0", "/fail?1", "/again?2", "/reply?3", "/body?4", "/reply?5", "/panic?6", "/reply?7", "/next"} {
		// The last one's line may follow the end that its client read.
		proxytest.Eventually(t, func() bool { return s.linesOf(target) > 0 }, "%s: not logged", target)
		if n := s.linesOf(target); n != 1 {
			t.Errorf("%s: logged %d times, want once", target, n)
		}
	}
	server.Log.Wait(t, "in Continue")
	if answer := raw("GET /cut HTTP/1.1\r\n" + host + "\r\n" + next); !strings.HasSuffix(answer, "\r\n\r\nbegun") {
		t.Errorf("a response cut short: %q; want %q at its end", answer, "\r\n\r\nbegun")
	}
	if n := server.Engine.Connections(); n > 0 {
		proxytest.Eventually(t, func() bool { return server.Engine.Connections() == 0 }, "%d connections are left", n)
	}
}

// suspend starts a request that waits until the returned function is called.
func suspend(t *testing.T) (s *proxytest.Server, nc net.Conn, e *errand) {
	t.Helper()
	c, s := newErrands(t, false, func(*errand) {})
	nc = s.Dial("127.0.0.1:8000")
	io.WriteString(nc, get+"\r\n")
	proxytest.Eventually(t, func() bool { e = c.last.Load(); return e != nil }, "it is not suspended")
	return s, nc, e
}

func TestASuspendedExchangeKeepsItsGeneration(t *testing.T) {
	s, nc, e := suspend(t)
	reloaded := make(chan error, 1)
	go func() { reloaded <- s.Reload(errandText) }()
	old := e.x.Generation
	proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "no new generation")
	select {
	case err := <-reloaded:
		t.Errorf("drained although an exchange is suspended: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	e.tell(nil)
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	if got := readAnswer(t, nc); got != "200 done /" {
		t.Errorf(`answer %q, want "200 done /"`, got)
	}
}

// readAnswer reads the one answer that is on its way.
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
		t.Errorf("ended although an exchange is suspended: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	e.tell(nil)
	answer, err := io.ReadAll(nc)
	if !strings.Contains(string(answer), "Connection: close") || err != nil {
		t.Errorf(`answer %q, %v; want "Connection: close" in it`, answer, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestASuspendedExchangeOfACutConnectionEndsOnceItIsTold(t *testing.T) {
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
			proxytest.Eventually(t, e.x.Gone, "the stream does not say that the client has gone")
			if n := s.Engine.Connections(); n != 1 {
				t.Errorf("%d connections while the exchange is suspended, want 1", n)
			}
			e.tell(nil)
			proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "the connection is not ended")
		})
	}
}

// The Engine rescues what handlers do; this is a mistake around it.
func TestAMistakeInAConnectionCostsItAlone(t *testing.T) {
	s := serve(t, "", func(x *proxy.Exchange) error {
		if x.Req.Path == "/unsound" {
			x.Conn = nil
		}
		return x.Res.Reply(200, "text/plain", []byte("sound"))
	})
	s.Raw("GET /unsound HTTP/1.1\r\n" + host + "\r\n")
	s.Log.Wait(t, "internal error: runtime error: invalid memory address")
	if got := summary(s.Raw(next)); got != "200 sound" {
		t.Errorf(`then %q, want "200 sound"`, got)
	}
}

// A location whose handler waits without saying so is counted.
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
			t.Errorf(`%q, %v; want "200 /blocks"`, answer, err)
		}
	}
	// The others may be held up by a busy machine.
	counted := func() (n uint64) {
		for _, o := range s.Engine.Current().Overruns() {
			if o.Location.Name == "/blocks" {
				n = o.Times
			}
		}
		return n
	}
	proxytest.Eventually(t, func() bool { return counted() == 2 }, "/blocks is counted %d times, want 2", counted())
}
