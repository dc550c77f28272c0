package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// restless is a module whose functions of every phase and whose content wait, each in a
// random way.
type restless struct{ begun, ended atomic.Int64 }

// nap is a Continuation that goes on once another goroutine has run.
type nap struct {
	over atomic.Bool
	then func(x *proxy.Exchange) error
}

// Continue goes on if the nap is over.
func (n *nap) Continue(x *proxy.Exchange) error {
	if !n.over.Load() {
		return x.Suspend(n)
	}
	return n.then(x)
}

// end ends the nap. It sends early events before the end and late ones after it.
func (n *nap) end(k proxy.Waker, early, late int) {
	for range early {
		k.Wake()
		runtime.Gosched()
	}
	n.over.Store(true)
	for range 1 + late {
		k.Wake()
		runtime.Gosched()
	}
}

// wait waits in a random way, or not at all, and goes on with then.
func (r *restless) wait(x *proxy.Exchange, then func(x *proxy.Exchange) error) error {
	n := &nap{then: then}
	early, late := rand.IntN(3), rand.IntN(3)
	switch rand.IntN(4) {
	case 0:
		k := x.Waker()
		err := x.Suspend(n)
		go n.end(k, early, late)
		return err
	case 1:
		go n.end(x.Waker(), early, late)
		for !n.over.Load() {
			x.Await()
		}
	case 2:
		x.Offload(runtime.Gosched)
	}
	return then(x)
}

func (r *restless) module() proxy.Module {
	next := func(*proxy.Exchange) error { return nil }
	return proxy.Module{Name: "restless", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.On(proxy.PostRead, func(*proxy.Exchange) error { r.begun.Add(1); return nil })
		for _, p := range []proxy.Phase{proxy.PostRead, proxy.ServerRewrite, proxy.Rewrite, proxy.PreAccess, proxy.Access, proxy.PreContent} {
			l.On(p, func(x *proxy.Exchange) error { return r.wait(x, next) })
		}
		l.On(proxy.PreAccess, func(x *proxy.Exchange) error { return x.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond) })
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			return r.wait(x, func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("done "+x.Req.Path)) })
		}))
		l.OnLog(func(*proxy.Exchange) { r.ended.Add(1) })
		return nil
	}}
}

// asks sends requests on one connection. A client that is not faithful leaves at a random
// moment.
func (r *restless) asks(t *testing.T, nc net.Conn, id int, faithful bool) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	for i := range 6 {
		path := fmt.Sprintf("/%d/%d", id, i)
		if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\n%s\r\n", path, host); err != nil && faithful {
			t.Error(err)
			return
		}
		if !faithful && rand.IntN(4) == 0 {
			for range rand.IntN(50) {
				runtime.Gosched()
			}
			switch rand.IntN(3) {
			case 0:
				nc.(*net.TCPConn).SetLinger(0)
			case 1:
				nc.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, nc)
			}
			return
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			if faithful {
				t.Errorf("%s: %v", path, err)
			}
			return
		}
		if body, err := io.ReadAll(res.Body); faithful && (string(body) != "done "+path || err != nil) {
			t.Errorf("%s: got %q, %v, want %q", path, body, err, "done "+path)
		}
	}
}

// Clients come and leave, events come at any time, also too early and too late, and reloads
// happen, while every phase of every request waits. Then the server shuts down, and cuts the
// connections or lets them end. Faithful clients are answered, each request that has begun
// ends once, and no connection is left.
func TestRequestsThatWaitAtEveryPointEndOnce(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %v", cut), func(t *testing.T) {
			t.Parallel()
			r := &restless{}
			s := proxytest.New(t, proxytest.Config{Text: errandText, Modules: []proxy.Module{r.module()}, Serve: http1.Serve})
			var clients, leavers sync.WaitGroup
			for id := range 12 {
				nc := s.Dial("127.0.0.1:8000")
				if faithful := id%2 == 0; faithful {
					clients.Go(func() { r.asks(t, nc, id, true) })
				} else {
					leavers.Go(func() { r.asks(t, nc, id, false) })
				}
			}
			for range 5 {
				if err := s.Reload(errandText); err != nil {
					t.Error(err)
				}
			}
			clients.Wait()
			for id := range 6 { // these are in progress when the server ends
				nc := s.Dial("127.0.0.1:8000")
				leavers.Go(func() { r.asks(t, nc, 100+id, false) })
			}
			ctx := t.Context()
			if cut {
				ended, cancel := context.WithCancel(ctx)
				cancel()
				ctx = ended
			}
			if err := s.Engine.Shutdown(ctx, 0); err != nil && !cut {
				t.Error(err)
			}
			proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "a connection is left")
			leavers.Wait()
			if begun, ended := r.begun.Load(), r.ended.Load(); ended != begun || begun < 6*6 {
				t.Errorf("got %d requests begun and %d ended, want as many, at least %d", begun, ended, 6*6)
			}
		})
	}
}
