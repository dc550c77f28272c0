package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// upgrades is content that upgrades the connection, if it can, and sends each line back.
func upgrades(sent chan<- [2]int64) proxy.Module {
	return proxy.Module{Name: "upgrades", Compile: func(s *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			x.Res.Header.Set("Upgrade", "echo")
			nc, err := x.Res.Upgrade()
			if err != nil {
				return x.Res.Reply(426, "text/plain", []byte(err.Error()))
			}
			lines := bufio.NewReader(nc)
			for {
				line, err := lines.ReadString('\n')
				if err != nil || line == "bye\n" {
					sent <- [2]int64{x.BytesRead(), x.BytesSent()}
					return nil
				}
				io.WriteString(nc, line)
			}
		}))
		return nil
	}}
}

func TestAHandlerUsesAnUpgradedConnection(t *testing.T) {
	t.Parallel()
	for _, goroutines := range []bool{false, true} {
		t.Run(map[bool]string{false: "loop", true: "goroutine"}[goroutines], func(t *testing.T) {
			t.Parallel()
			upgradeAndEcho(t, goroutines)
		})
	}
}

func upgradeAndEcho(t *testing.T, goroutines bool) {
	counts := make(chan [2]int64, 1)
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8000; client_header_timeout 3s; keepalive_timeout 3s; }",
		Modules: []proxy.Module{upgrades(counts)}, Serve: http1.Serve, Goroutines: goroutines})
	nc := s.Dial("")
	request := "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	io.WriteString(nc, request+"with the head\n")
	r := bufio.NewReader(nc)
	head := ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	if !strings.HasPrefix(head, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.Contains(head, "\r\nConnection: Upgrade\r\n") ||
		!strings.Contains(head, "\r\nUpgrade: echo\r\n") || strings.Contains(head, "Content-Length") {
		t.Errorf("got the head %q, want that of an upgrade to echo", head)
	}
	for _, want := range []string{"with the head\n", "and later\n"} {
		if want == "and later\n" {
			awaitTimeout(t, s)
			io.WriteString(nc, want)
		}
		if got, err := r.ReadString('\n'); got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	io.WriteString(nc, "bye\n")
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v after the end, want nothing", rest, err)
	}
	wantRead, wantSent := len(request)+len("with the head\nand later\nbye\n"), len(head)+len("with the head\nand later\n")
	if got := <-counts; got != [2]int64{int64(wantRead), int64(wantSent)} {
		t.Errorf("got %d bytes read and %d sent, want %d and %d", got[0], got[1], wantRead, wantSent)
	}
}

// awaitTimeout waits until client_header_timeout closes a new connection: by then the
// timeouts of all older connections have passed.
func awaitTimeout(t *testing.T, s *proxytest.Server) {
	t.Helper()
	if got, err := io.ReadAll(s.Dial("")); len(got) > 0 || err != nil {
		t.Fatalf("a connection without a request: got %q, %v, want the end", got, err)
	}
}

func TestRequestsThatCannotBeUpgradedStayHTTP(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8000; }", Modules: []proxy.Module{upgrades(nil)}, Serve: http1.Serve})
	for _, request := range []string{
		"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nxx",
	} {
		if got := s.Raw(request); !strings.HasPrefix(got, "HTTP/1.1 426 ") {
			t.Errorf(`%q: got %q, want "HTTP/1.1 426 " at its beginning`, request, got)
		}
	}
}

// A client that sends hundreds of requests in one write has no more of its loop than others.
func TestOthersHaveTheirTurnBetweenPipelinedRequests(t *testing.T) {
	var before atomic.Int32 // pipelined requests that were answered before the other client's
	entered, open := make(chan struct{}), make(chan struct{})
	count := proxy.Module{Name: "count", Compile: func(s *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			if x.Req.Path == "/other" {
				return x.Res.Reply(200, "text/plain", fmt.Append(nil, before.Load()))
			}
			if before.Add(1) == 1 {
				close(entered)
				<-open // the loop stands still until the other request is there, too
			}
			return x.Res.Reply(200, "text/plain", nil)
		}))
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8000; }", Modules: []proxy.Module{count}, Serve: http1.Serve})
	const n = 600
	many, other := s.Dial("127.0.0.1:8000"), s.Dial("127.0.0.1:8000")
	io.WriteString(many, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", n))
	<-entered
	io.WriteString(other, "GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	close(open)
	answer, err := io.ReadAll(other)
	if _, body, _ := strings.Cut(string(answer), "\r\n\r\n"); err != nil || body == "" || len(body) > 2 {
		t.Errorf("%v pipelined requests were answered before another client's, %v; want fewer than 100", body, err)
	}
	r := bufio.NewReader(many)
	for i := range n {
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("answer %d of %d: %v, %v", i+1, n, res, err)
		}
		io.Copy(io.Discard, res.Body)
	}
}

func TestPipelinedRequestsAreKnown(t *testing.T) {
	pipe := proxy.Module{Name: "pipe", Compile: func(s *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			v := map[bool]string{true: "p", false: "."}[x.Pipelined]
			return x.Res.Reply(200, "text/plain", []byte("["+v+"]"))
		}))
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8000; }", Modules: []proxy.Module{pipe}, Serve: http1.Serve})
	one := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	got := s.Raw(one + one + strings.Replace(one, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	if strings.Count(got, "[.]") != 1 || strings.Count(got, "[p]") != 2 || strings.Index(got, "[.]") > strings.Index(got, "[p]") {
		t.Errorf("got %q, want one [.] before two [p]", got)
	}
}
