package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// fetch is ask for tests in which the server may fail.
func fetch(s *proxytest.Server, addr, request string) (status int, body string, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, request)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// If the peer closes a kept connection when the next request comes, the request is sent again.
func TestAStaleConnectionIsRepeatedForFree(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
	}{{"GET", 200}, {"PUT", 200}, {"POST", 502}} {
		t.Run(c.method, func(t *testing.T) {
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				if r, _ := pc.request(); r != nil {
					io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
				if pc.number == 0 {
					pc.r.Peek(1) // and ends without an answer
				} else {
					pc.request()
				}
			})
			s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_next_upstream off; } }")
			if res, _ := ask(t, s, get("/")); res.StatusCode != 200 {
				t.Fatalf("got %s, want 200", res.Status)
			}
			res, _ := ask(t, s, c.method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
			if res.StatusCode != c.status {
				t.Errorf("%d, want %d\n%s", res.StatusCode, c.status, s.Log)
			}
		})
	}
}

// A connection that the peer has closed gets no request.
func TestAnEndedConnectionIsDropped(t *testing.T) {
	ways(t, func(t *testing.T, c proxytest.Config) {
		ended := make(chan struct{}, 8)
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			if r, _ := pc.request(); r != nil {
				io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			pc.Close()
			ended <- struct{}{}
		})
		c.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; } }"
		s := site(t, c)
		for i := range 5 {
			res, _ := ask(t, s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
			if res.StatusCode != 200 {
				t.Fatalf("request %d: %d (want 200):\n%s", i, res.StatusCode, s.Log)
			}
			<-ended
		}
	})
}

func TestAnotherServerIsAsked(t *testing.T) {
	dead := startOrigin(t, "tcp", func(pc *peerConn) { pc.request() })
	busy := startOrigin(t, "tcp", says("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
	good := startOrigin(t, "unix", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	broken := startOrigin(t, "tcp", says("nonsense"))
	for _, c := range []struct {
		name, servers, settings, request string
		status                           int
	}{
		{"nobody listens", "server 127.0.0.1:1; server " + good.addr + ";", "", get("/"), 200},
		{"nobody listens, for a POST", "server 127.0.0.1:1; server " + good.addr + ";", "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 200},
		{"no answer", "server " + dead.addr + "; server " + good.addr + ";", "", get("/"), 200},
		{"no answer to a POST", "server " + dead.addr + "; server " + good.addr + ";", "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 502},
		{"no answer to a POST that may be repeated", "server " + dead.addr + "; server " + good.addr + ";", "proxy_next_upstream error non_idempotent;", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 200},
		{"no answer, and no other is wanted", "server " + dead.addr + "; server " + good.addr + ";", "proxy_next_upstream off;", get("/"), 502},
		{"a status", "server " + busy.addr + "; server " + good.addr + ";", "proxy_next_upstream http_503;", get("/"), 200},
		{"a status that is passed on", "server " + busy.addr + "; server " + good.addr + ";", "", get("/"), 503},
		{"a status of all", "server " + busy.addr + "; server " + busy.addr + ";", "proxy_next_upstream http_503;", get("/"), 503},
		{"nonsense is passed on", "server " + broken.addr + "; server " + good.addr + ";", "", get("/"), 502},
		{"nonsense", "server " + broken.addr + "; server " + good.addr + ";", "proxy_next_upstream invalid_header;", get("/"), 200},
		{"down", "server " + dead.addr + " down; server " + good.addr + ";", "", get("/"), 200},
		{"a backup", "server " + dead.addr + "; server " + good.addr + " backup;", "", get("/"), 200},
		{"all fail", "server " + dead.addr + "; server 127.0.0.1:1;", "", get("/"), 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, "upstream u { "+c.servers+" } server { listen 127.0.0.1:80; location / { proxy_pass http://u; "+c.settings+" } }")
			if res, _ := ask(t, s, c.request); res.StatusCode != c.status {
				t.Errorf("%d, want %d\n%s", res.StatusCode, c.status, s.Log)
			}
		})
	}
}

func TestServersTakeTurnsByWeight(t *testing.T) {
	var counts [3]atomic.Int32
	config := "upstream u { "
	for i := range counts {
		o := startOrigin(t, "unix", func(pc *peerConn) {
			for r, _ := pc.request(); r != nil; r, _ = pc.request() {
				counts[i].Add(1)
				io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		config += fmt.Sprintf("server %s weight=%d; ", o.addr, i+1)
	}
	s := newSite(t, config+"} server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }")
	for range 12 {
		ask(t, s, get("/"))
	}
	for i := range counts {
		if n := counts[i].Load(); n != int32(2*(i+1)) {
			t.Errorf("server %d of weight %d had %d of 12 requests; want %d", i, i+1, n, int32(2*(i+1)))
		}
	}
}

// One of two servers is killed and started again under load: no request fails.
func TestAServerThatIsKilledUnderLoadFailsNoRequest(t *testing.T) {
	dir, err := os.MkdirTemp("", "pp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// With a length the answer begins to reach the client when all of it is there.
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5000")
		io.WriteString(w, strings.Repeat("x", 5000))
	}
	begin := func(name string) (stop func()) {
		os.Remove(dir + name)
		l, err := net.Listen("unix", dir+name)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(answer)}
		go srv.Serve(l)
		return func() { srv.Close() }
	}
	defer begin("/steady")()
	stop := begin("/killed")
	s := newSite(t, "upstream u { server unix:"+dir+"/steady; server unix:"+dir+"/killed max_fails=0; } server { listen 127.0.0.1:80; keepalive_requests 100000; location / { proxy_pass http://u; } }")
	addr := s.Addr("")
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if status, body, err := fetch(s, addr, get("/")); status != 200 || len(body) != 5000 || err != nil {
					t.Errorf("%d, %d bytes, %v; want 200 and 5000", status, len(body), err)
					return
				}
			}
		})
	}
	for range 4 {
		for range 10 {
			if status, _, err := fetch(s, addr, get("/")); status != 200 {
				t.Errorf("%d, %v; want 200", status, err)
			}
		}
		stop()
		for range 10 {
			if status, _, err := fetch(s, addr, get("/")); status != 200 {
				t.Errorf("%d, %v; want 200", status, err)
			}
		}
		stop = begin("/killed")
	}
	close(done)
	wg.Wait()
	stop()
	if t.Failed() {
		t.Log(s.Log)
	}
}

// An origin gets requests in waves. Connections beyond keepalive are used by the next wave,
// and closed if none comes.
func TestConnectionsAboveKeepaliveWaitForTheNextRequests(t *testing.T) {
	const clients = 8
	for _, c := range []struct {
		name     string
		surplus  time.Duration
		timeout  string
		accepted int // after two waves
	}{
		{"another wave comes", time.Hour, "60s", clients},
		{"no other wave comes", time.Millisecond, "60s", 2*clients - 1},
		{"none is kept, as in nginx", time.Hour, "0", 2 * clients},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, answer, ended := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2*clients)
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				defer func() { ended <- struct{}{} }()
				for {
					if r, _ := pc.request(); r == nil {
						return
					}
					asked <- struct{}{}
					<-answer
					io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: Modules(Options{surplus: c.surplus}),
				Text: "upstream u { server " + o.addr + "; keepalive 1; keepalive_timeout " + c.timeout + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"})
			wave := func() {
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						if status, _, err := fetch(s, s.Addr("127.0.0.1:80"), get("/")); status != 200 {
							t.Errorf("%d, %v; want 200", status, err)
						}
					})
				}
				for range clients {
					<-asked
				}
				for range clients {
					answer <- struct{}{}
				}
				wg.Wait()
			}
			wave()
			for range c.accepted - clients {
				<-ended
			}
			wave()
			if n := o.accepted(); n != c.accepted {
				t.Errorf("%d connections, want %d", n, c.accepted)
			}
		})
	}
}

// A kept connection ends after keepalive_timeout, with a loop and without one.
func TestAKeptConnectionEndsAfterItsTimeout(t *testing.T) {
	ways(t, func(t *testing.T, c proxytest.Config) {
		ended := make(chan struct{}, 3)
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			echo(pc)
			ended <- struct{}{}
		})
		c.Text = "upstream u { server " + o.addr + "; keepalive_timeout 100ms; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"
		s := site(t, c)
		for i := range 2 {
			if res, _ := ask(t, s, get("/")); res.StatusCode != 200 {
				t.Errorf("%d, want 200", res.StatusCode)
			}
			<-ended
			if n := o.accepted(); n != i+1 {
				t.Errorf("%d connections, want %d", n, i+1)
			}
		}
	})
}

// A kept connection does not have the deadlines of the request before.
func TestTheTimeoutOfARequestDoesNotEndTheNext(t *testing.T) {
	ways(t, func(t *testing.T, c proxytest.Config) {
		o := startOrigin(t, "tcp", echo)
		c.Text = "upstream u { server " + o.addr + "; } server { listen 127.0.0.1:80; location /short { proxy_send_timeout 200ms; proxy_pass http://u; } location /long { proxy_send_timeout 0; proxy_pass http://u; } }"
		s := site(t, c)
		post := func(target string) {
			if res, body := ask(t, s, "POST "+target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"); res.StatusCode != 200 {
				t.Errorf("%s: %d %s (want 200):\n%s", target, res.StatusCode, body, s.Log)
			}
		}
		post("/short")
		due := time.Now().Add(200 * time.Millisecond)
		proxytest.Eventually(t, func() bool { return time.Now().After(due) }, "the first request has had its time")
		post("/long")
		if n := o.accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}
