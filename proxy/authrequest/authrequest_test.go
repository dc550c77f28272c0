package authrequest_test

import (
	"io"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// asked is the content of /auth: it waits until answer is closed, or its client has
// gone.
type asked struct {
	begun, gone chan struct{}
	answer      chan struct{}
}

func (a *asked) Serve(x *proxy.Exchange) error {
	err := x.Suspend(a)
	waker := x.Waker()
	go func() {
		a.begun <- struct{}{}
		<-a.answer
		waker.Wake()
	}()
	return err
}

func (a *asked) Continue(x *proxy.Exchange) error {
	select {
	case <-a.answer:
		return x.Res.Reply(200, "text/plain", nil)
	default:
	}
	if x.Client().Gone() {
		a.gone <- struct{}{}
		return proxy.ErrClientGone
	}
	return x.Suspend(a)
}

func (a *asked) start(t *testing.T) *proxytest.Server {
	t.Helper()
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		if l.Name == "/auth" {
			l.SetContent(a)
		} else {
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("in")) }))
		}
		return nil
	}}
	return proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: []proxy.Module{authrequest.Module(), content},
		Text: "server { listen 127.0.0.1:80; location / { auth_request /auth; } location /auth { } location /free { } }"})
}

func TestRequestsThatAreNotLetInYetDelayNobody(t *testing.T) {
	a := &asked{begun: make(chan struct{}, 100), gone: make(chan struct{}, 100), answer: make(chan struct{})}
	s := a.start(t)
	var all []io.Reader
	for range 50 {
		nc := s.Dial("127.0.0.1:80")
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		all = append(all, nc)
		<-a.begun
	}
	if r := s.Raw("GET /free HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(r, "HTTP/1.1 200 ") {
		t.Errorf(`got %q, want "HTTP/1.1 200 " at its beginning`, r)
	}
	close(a.answer)
	for _, nc := range all {
		if r, err := io.ReadAll(nc); !strings.HasPrefix(string(r), "HTTP/1.1 200 ") || !strings.HasSuffix(string(r), "in") {
			t.Errorf(`got %q, %v; want "HTTP/1.1 200 " at its beginning and "in" at its end`, r, err)
		}
	}
}

func TestASubrequestLearnsThatTheClientLeaves(t *testing.T) {
	a := &asked{begun: make(chan struct{}, 100), gone: make(chan struct{}, 100), answer: make(chan struct{})}
	s := a.start(t)
	nc := s.Dial("127.0.0.1:80")
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-a.begun
	nc.Close()
	<-a.gone
	close(a.answer)
}

func TestASubrequestHasTheIDOfItsRequest(t *testing.T) {
	var ids []string
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			if !x.HasRequestID() {
				t.Errorf("%s has no id", x.Req.Path)
			}
			ids = append(ids, x.RequestID())
			return x.Res.Reply(200, "text/plain", nil)
		}))
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{authrequest.Module(), content},
		Text: "server { listen 127.0.0.1:80; location / { auth_request /auth; } location /auth { } }"})
	if s.Get("/"); len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("the ids are %q", ids)
	}
}

// TestAnAnswerOf499IsNotAClientThatLeaves has a server use the status that stands for
// such a client here.
func TestAnAnswerOf499IsNotAClientThatLeaves(t *testing.T) {
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(499, "text/plain", nil) }))
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{authrequest.Module(), content},
		Text: "server { listen 127.0.0.1:80; location / { auth_request /auth; } location /auth { } }"})
	if r := s.Get("/"); r.Status != 500 {
		t.Errorf("got %d, want 500 as for every unexpected status", r.Status)
	}
}

func TestMistakesOfAuthRequestAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"auth_request $x;", `auth_request "$x" has a variable`},
		{"auth_request auth;", `"auth" is no path of this server`},
		{"auth_request_set user 1;", `invalid variable name "user"`},
		{"auth_request_set $host 1;", `the variable "$host" is the server's own`},
		{"auth_request_set $user $nothing;", `unknown variable "$nothing"`},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{authrequest.Module()}, Text: "server { listen 80; " + c.text + " }"})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "alicorn.conf:1") {
			t.Errorf(`%s: %v; want an error with %q and "alicorn.conf:1" in it`, c.text, err, c.want)
		}
	}
	warnings, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{authrequest.Module()}, Text: "server { listen 80; auth_request /a?b; }"})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Msg, "belong to the path") {
		t.Errorf(`%+v, %v; want one and "belong to the path" in it`, warnings, err)
	}
}
