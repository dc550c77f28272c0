package proxytest_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// echo answers every location with its name and the request's body.
func echo() proxy.Module {
	return proxy.Module{Name: "echo", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			body, err := io.ReadAll(x.Body())
			if err != nil {
				return err
			}
			x.Res.Header.Add("X-Location", l.Name)
			x.Log(proxy.LevelNotice, "echo of %d bytes", len(body))
			return x.Res.Reply(200, "text/plain", append([]byte(l.Name+":"), body...))
		}))
		return nil
	}}
}

func TestExchangesRunWithoutASocket(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Text: `server { listen 80; location /a { } }`, Modules: []proxy.Module{echo()}})
	r := s.Do(proxytest.Request{Method: "POST", Target: "/a/b", Body: "hello"})
	if r.Status != 200 || r.Text() != "/a:hello" || r.Header.Get("X-Location") != "/a" || !r.Finished {
		t.Errorf(`got %d %q %+v; want 200, "/a:hello", X-Location "/a" and Finished true`, r.Status, r.Text(), r)
	}
	if got := s.Log.String(); !strings.Contains(got, "notice: echo of 5 bytes, client: 127.0.0.1") {
		t.Errorf(`log %q, want "notice: echo of 5 bytes, client: 127.0.0.1" in it`, got)
	}
}

func TestListenersAreReachableUnderTheirWrittenAddress(t *testing.T) {
	serve := func(_ *proxy.Engine, nc net.Conn, c *proxy.Conn) {
		io.WriteString(nc, c.Listener.Address)
		nc.Close()
	}
	s := proxytest.New(t, proxytest.Config{Text: `server { listen 127.0.0.1:80; listen 127.0.0.1:81; }`, Serve: serve})
	got, err := io.ReadAll(s.Dial("127.0.0.1:81"))
	if string(got) != "127.0.0.1:81" || err != nil {
		t.Errorf(`got %q, %v; want "127.0.0.1:81"`, got, err)
	}
	if got := s.Raw(""); got != "127.0.0.1:80" {
		t.Errorf(`got %q, want "127.0.0.1:80"`, got)
	}
}

func TestMistakesAreReturnedWithTheirPlace(t *testing.T) {
	_, err := proxytest.Check(t, proxytest.Config{Text: "server { lisen 80; }", Dir: "/conf"})
	if err == nil || !strings.Contains(err.Error(), "/conf/alicorn.conf:1:10: ") {
		t.Errorf(`got %v, want an error with "/conf/alicorn.conf:1:10: "`, err)
	}
}

func TestAFailedReloadChangesNothing(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Text: `server { listen 80; location /a { } }`, Modules: []proxy.Module{echo()}})
	if err := s.Reload(`server { nonsense; }`); err == nil {
		t.Error("the mistake was accepted")
	}
	if got := s.Get("/a").Text(); got != "/a:" {
		t.Errorf(`got %q, want "/a:"`, got)
	}
	if err := s.Reload(`server { listen 80; location /b { } }`); err != nil {
		t.Fatal(err)
	}
	if got := s.Get("/b").Text(); got != "/b:" {
		t.Errorf(`got %q, want "/b:"`, got)
	}
}
