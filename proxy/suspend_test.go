package proxy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

func TestProxyWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, ".", "Allocat|Nginx|Benchmark")
}

// waits is a Continuation that another goroutine ends.
type waits struct{ then func(x *proxy.Exchange) error }

func (w *waits) Continue(x *proxy.Exchange) error { return w.then(x) }

// steps is a module with an action in each phase, which records that it ran. The action of
// the phase at suspends, and then returns what then returns; for 6 the content does so.
type steps struct {
	at   proxy.Phase
	then func(x *proxy.Exchange) error
	// handler: the action has a handler answer, which suspends.
	handler bool
	mu      sync.Mutex
	ran     []string
}

var phases = []proxy.Phase{proxy.PostRead, proxy.ServerRewrite, proxy.Rewrite, proxy.PreAccess, proxy.Access, proxy.PreContent}

// content is the number of the content handler among the phases.
const content = proxy.PreContent + 1

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, step)
}

func (s *steps) suspend(x *proxy.Exchange) error {
	k := x.Waker()
	err := x.Suspend(&waits{func(x *proxy.Exchange) error {
		s.note("on")
		return s.then(x)
	}})
	go k.Wake()
	return err
}

func (s *steps) module() proxy.Module {
	return proxy.Module{Name: "steps", Compile: func(_ *config.Scope, l *proxy.Location) error {
		for _, p := range phases {
			l.On(p, func(x *proxy.Exchange) error {
				s.note(fmt.Sprint(p))
				switch {
				case s.at != p || x.Req.Path != "/":
					return nil
				case s.handler:
					return x.Answer(proxy.HandlerFunc(s.suspend))
				}
				return s.suspend(x)
			})
			l.On(p, func(*proxy.Exchange) error { s.note("+"); return nil })
		}
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			s.note("content")
			if s.at == content && x.Req.Path == "/" {
				return s.suspend(x)
			}
			return x.Res.Reply(200, "text/plain", []byte("at "+x.Req.Path))
		}))
		l.OnLog(func(*proxy.Exchange) { s.note("log") })
		return nil
	}}
}

// An action of any phase, and the content, may suspend. The request goes on after it with the
// result of its Continuation.
func TestARequestSuspendedInAnyPhaseGoesOnBehindTheActionThatWaited(t *testing.T) {
	reply := func(x *proxy.Exchange) error { return x.Res.Reply(201, "text/plain", []byte("waited")) }
	answer := func(x *proxy.Exchange) error { return cmp.Or(reply(x), error(proxy.Done)) }
	const byHandler, redirected = "answered by a handler", "redirected"
	for _, goroutines := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			then   func(x *proxy.Exchange) error
			status int
			body   string
			whole  bool // all phases run
		}{
			{"on", func(*proxy.Exchange) error { return nil }, 200, "at /", true},
			{"refused", func(*proxy.Exchange) error { return proxy.Status(403) }, 403, "403 Forbidden", false},
			{"answered", answer, 201, "waited", false},
			{byHandler, reply, 201, "waited", false},
			{redirected, func(*proxy.Exchange) error { return &proxy.Redirect{URI: "/other"} }, 200, "at /other", false},
			{"a panic", func(*proxy.Exchange) error { panic("behind a wait") }, 500, "500 Internal", false},
		} {
			for _, p := range append(slices.Clone(phases), content) {
				if p == content && c.whole {
					continue // a handler answers
				}
				s := &steps{at: p, then: c.then, handler: c.name == byHandler}
				server := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; location / { } }",
					Modules: []proxy.Module{s.module()}, Serve: http1.Serve, Goroutines: goroutines})
				answer := server.Raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(answer, c.body) {
					t.Errorf("%s in phase %d, goroutines %v: %q; want %q at its beginning and %q in it", c.name, p, goroutines, answer, fmt.Sprintf("HTTP/1.1 %d ", c.status), c.body)
				}
				proxytest.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return slices.Contains(s.ran, "log") }, "not logged")
				s.check(t, c.name, c.whole, c.name == redirected)
			}
		}
	}
}

// check compares the actions that ran: each once, in order, and the log phase once. again
// says that the target of a redirect ran after them.
func (s *steps) check(t *testing.T, name string, whole, again bool) {
	var want []string
	for _, p := range phases {
		if want = append(want, fmt.Sprint(p)); p == s.at {
			want = append(want, "on")
			break
		}
		want = append(want, "+")
	}
	if s.at == content {
		want = append(want, "content", "on")
	}
	if whole {
		for _, p := range phases {
			switch {
			case p == s.at:
				want = append(want, "+")
			case p > s.at:
				want = append(want, fmt.Sprint(p), "+")
			}
		}
		want = append(want, "content")
	}
	if !again {
		want = append(want, "log")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.ran {
		if r == "log" {
			n++
		}
	}
	if len(s.ran) < len(want) || !slices.Equal(s.ran[:len(want)], want) || n != 1 || !again && len(s.ran) != len(want) {
		t.Errorf("%s in phase %d: ran %q, want %q first and one log", name, s.at, s.ran, want)
	}
}
