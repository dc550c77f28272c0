package http1_test

import (
	"context"
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
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// script is a module whose requests wait where their paths say: the path of a request has a
// letter for each phase and for the content, a number, and a slash before each of the two.
// What waits is held until the fuzzer lets it go.
type script struct {
	mu    sync.Mutex
	held  []*hold
	begun map[string]int
	ended map[string]int
}

// The ways to wait.
const (
	waitNot       = 'n'
	waitSuspended = 's'
	waitGone      = 'g' // suspended, until the client leaves too
	waitAwaiting  = 'a'
	waitSlept     = 't'
	waitOffloaded = 'o'
	waitAsked     = 'q' // for a subrequest, which is suspended
	waitBody      = 'b' // for the request's body
	waits         = "nsgatoqb"
)

// hold is an exchange that waits. Continue goes on with it when it was let go.
type hold struct {
	waker proxy.Waker
	gone  bool // it ends when the client leaves
	over  chan struct{}
	then  func(x *proxy.Exchange) error
}

func (h *hold) isOver() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

func (h *hold) Continue(x *proxy.Exchange) error {
	switch {
	case h.isOver():
		return h.then(x)
	case h.gone && x.Gone():
		return proxy.ErrClientGone
	}
	return x.Suspend(h)
}

// hold has x held.
func (s *script) hold(x *proxy.Exchange, gone bool, then func(x *proxy.Exchange) error) *hold {
	h := &hold{waker: x.Waker(), gone: gone, over: make(chan struct{}), then: then}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, h)
	return h
}

// wait waits in a way, and goes on with then.
func (s *script) wait(x *proxy.Exchange, way byte, then func(x *proxy.Exchange) error) error {
	switch way {
	case waitSuspended, waitGone:
		return x.Suspend(s.hold(x, way == waitGone, then))
	case waitAwaiting:
		for h := s.hold(x, false, then); !h.isOver(); {
			x.Await()
		}
	case waitOffloaded:
		x.Offload(func() {})
	case waitAsked:
		return x.Ask("/asked", "", func(x, sub *proxy.Exchange) error { return then(x) })
	case waitBody:
		if _, err := io.ReadAll(x.Body()); err != nil {
			return err
		}
	}
	return then(x)
}

// wayAt returns how x waits at a place.
func wayAt(x *proxy.Exchange, place int) byte {
	if len(x.Req.Path) <= place+1 || x.Req.Path == "/asked" {
		return waitNot
	}
	return x.Req.Path[1+place]
}

func (s *script) module() proxy.Module {
	next := func(*proxy.Exchange) error { return nil }
	return proxy.Module{Name: "script", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.On(proxy.PostRead, func(x *proxy.Exchange) error { s.count(&s.begun, x); return nil })
		for i, p := range []proxy.Phase{proxy.PostRead, proxy.ServerRewrite, proxy.Rewrite, proxy.PreAccess, proxy.Access, proxy.PreContent} {
			l.On(p, func(x *proxy.Exchange) error {
				if way := wayAt(x, i); way != waitSlept {
					return s.wait(x, way, next)
				}
				return x.Sleep(time.Microsecond)
			})
		}
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			if x.Req.Path == "/asked" {
				return s.wait(x, waitSuspended, func(*proxy.Exchange) error { return proxy.Status(204) })
			}
			return s.wait(x, wayAt(x, 6), func(x *proxy.Exchange) error {
				return x.Res.Reply(200, "text/plain", []byte("done "+x.Req.Path))
			})
		}))
		l.OnLog(func(x *proxy.Exchange) { s.count(&s.ended, x) })
		return nil
	}}
}

func (s *script) count(of *map[string]int, x *proxy.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	(*of)[strings.Clone(x.Req.Path)]++
}

// hasBegun reports whether the request with this path has.
func (s *script) hasBegun(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun[path] > 0
}

// touch wakes one that is held, and lets it go before where over is set. It is false where
// none is.
func (s *script) touch(which int, over bool) bool {
	s.mu.Lock()
	if len(s.held) == 0 {
		s.mu.Unlock()
		return false
	}
	i := which % len(s.held)
	h := s.held[i]
	if over {
		s.held = append(s.held[:i], s.held[i+1:]...)
		close(h.over)
	}
	s.mu.Unlock()
	h.waker.Wake()
	return true
}

// caller is a client with one request.
type caller struct {
	nc     *net.TCPConn
	path   string
	left   bool
	rest   string // of the body, which is still to be sent
	answer chan string
}

// play is one run of the fuzzer.
type play struct {
	*script
	t       *testing.T
	server  *proxytest.Server
	callers []*caller
	pending sync.WaitGroup // reloads and shutdowns
	reloads atomic.Bool    // a reload has not ended
	ending  bool           // a shutdown has begun
	stop    context.CancelFunc
	cut     bool // and cuts what is left
}

const playText = "server { listen 127.0.0.1:8000; lingering_timeout 10ms; location / { } location = /asked { } }"

// call sends a request that waits as the steps say.
func (p *play) call(steps []byte) {
	if len(p.callers) == 8 || p.ending {
		return
	}
	path := []byte("/")
	for i := range 7 {
		b := byte(0)
		if i < len(steps) {
			b = steps[i]
		}
		path = append(path, waits[int(b)%len(waits)])
	}
	c := &caller{nc: p.server.Dial("127.0.0.1:8000").(*net.TCPConn), path: fmt.Sprintf("%s/%d", path, len(p.callers)), answer: make(chan string, 1)}
	fmt.Fprintf(c.nc, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\na", c.path)
	c.rest = "bc"
	go func() {
		all, _ := io.ReadAll(c.nc)
		c.answer <- string(all)
	}()
	p.callers = append(p.callers, c)
	proxytest.Eventually(p.t, func() bool { return p.hasBegun(c.path) }, "%s has not begun", c.path)
}

// some returns one of the callers that have not left; nil where there is none.
func (p *play) some(which int) *caller {
	if len(p.callers) == 0 {
		return nil
	}
	if c := p.callers[which%len(p.callers)]; !c.left {
		return c
	}
	return nil
}

func (c *caller) leave(resets bool) {
	c.left = true
	if resets {
		c.nc.SetLinger(0)
	}
	c.nc.Close()
}

func (c *caller) sendRest() {
	io.WriteString(c.nc, c.rest)
	c.rest = ""
}

// reload does so, in the background: it lasts until no request uses the Generation of before.
func (p *play) reload() {
	if p.ending || !p.reloads.CompareAndSwap(false, true) { // one at a time, as in the program
		return
	}
	old := p.server.Engine.Current()
	p.pending.Go(func() {
		defer p.reloads.Store(false)
		if err := p.server.Reload(playText); err != nil {
			p.t.Error(err)
		}
	})
	proxytest.Eventually(p.t, func() bool { return p.server.Engine.Current() != old }, "no new generation")
}

// end begins a shutdown, or has it cut what is left.
func (p *play) end() {
	if p.ending {
		p.cut = true
		p.stop()
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.ending, p.stop = true, stop
	p.pending.Go(func() {
		if err := p.server.Engine.Shutdown(ctx, 0); err != nil && ctx.Err() == nil {
			p.t.Error(err)
		}
	})
	proxytest.Eventually(p.t, p.server.Engine.Draining, "the shutdown has not begun")
}

// step does what a byte says, and returns what is left of the bytes.
func (p *play) step(b byte, rest []byte) []byte {
	which := int(b >> 3)
	switch b & 7 {
	case 0:
		n := min(7, len(rest))
		p.call(rest[:n])
		return rest[n:]
	case 1:
		p.touch(which, true)
	case 2:
		p.touch(which, false)
	case 3, 4:
		if c := p.some(which); c != nil {
			c.leave(b&7 == 3)
		}
	case 5:
		p.reload()
	case 6:
		if c := p.some(which); c != nil {
			c.sendRest()
		}
	case 7:
		if which%4 == 3 { // seldom
			p.end()
		}
	}
	return rest
}

// finish lets everything go on, and checks how it has ended.
func (p *play) finish() {
	for _, c := range p.callers {
		if !c.left {
			c.sendRest()
		}
	}
	proxytest.Eventually(p.t, func() bool {
		for p.touch(0, true) {
		}
		return p.server.Engine.Connections() == 0
	}, "a connection is left")
	for _, c := range p.callers {
		answer := <-c.answer
		if whole := strings.HasPrefix(answer, "HTTP/1.1 200 ") && strings.HasSuffix(answer, "done "+c.path); !c.left && !p.cut && !whole {
			p.t.Errorf("%s: %q, want a 200 with its path", c.path, answer)
		}
	}
	if !p.ending {
		p.end()
	}
	p.pending.Wait()
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.callers {
		if p.begun[c.path] != 1 || p.ended[c.path] != 1 {
			p.t.Errorf("%s has begun %d times and ended %d times, want once", c.path, p.begun[c.path], p.ended[c.path])
		}
	}
	if n := len(p.ended); n != len(p.callers) {
		p.t.Errorf("%d requests have ended, want %d", n, len(p.callers))
	}
	if strings.Contains(p.server.Log.String(), "internal error") {
		p.t.Error(p.server.Log)
	}
}

// FuzzWaiting runs requests that wait in every phase, each in a way of its own. The bytes
// wake them, for nothing too, let their clients leave, reload, and end the server, in peace or
// by cutting what is left. Each request ends once, and who stays is answered.
func FuzzWaiting(f *testing.F) {
	const call, release, wake, reset, leave, reload, body, end, cut = 0, 1, 2, 3, 4, 5, 6, 31, 31
	f.Add(false, []byte{call, 1, 2, 3, 4, 5, 6, 7, wake, release, release, body})
	f.Add(true, []byte{call, 1, 2, 3, 4, 5, 6, 7, wake, release, release, body})
	f.Add(false, []byte{call, 0, 0, 2, 0, 0, 0, 0, reset, call, 2, 0, 0, 0, 0, 0, 0, leave + 8, reload, wake})
	f.Add(false, []byte{call, 0, 1, 0, 0, 0, 0, 6, reload, wake, release, end, release, cut})
	f.Add(false, []byte{call, 0, 0, 0, 0, 0, 0, 7, end, leave})
	f.Add(false, []byte{call, 3, 3, 0, 0, 6, 0, 3, end, wake, cut, release, release})
	f.Add(true, []byte{call, 6, 1, 0, 0, 6, 0, 3, reload, release, reload, reset, end, cut})
	f.Fuzz(func(t *testing.T, goroutines bool, steps []byte) {
		p := &play{script: &script{begun: map[string]int{}, ended: map[string]int{}}, t: t}
		p.server = proxytest.New(t, proxytest.Config{Text: playText, Modules: []proxy.Module{p.module()}, Serve: http1.Serve, Goroutines: goroutines})
		for n := 0; len(steps) > 0 && n < 64; n++ {
			steps = p.step(steps[0], steps[1:])
		}
		p.finish()
	})
}
