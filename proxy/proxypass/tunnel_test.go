package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// After a switch of protocols bytes pass both ways, those that came early first, until both
// sides have ended.
func TestProtocolsAreSwitched(t *testing.T) {
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) { testSwitching(t, network) })
	}
}

func testSwitching(t *testing.T, network string) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		o := startOrigin(t, network, func(pc *peerConn) {
			r, _ := pc.request()
			if r == nil || r.Header.Get("Upgrade") != "echo" || r.Header.Get("Connection") != "upgrade" {
				io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				return
			}
			io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-A: b\r\n\r\nhello ")
			io.Copy(pc, pc.r)
		})
		cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass " + o.url + "; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }"
		s := site(t, cfg)
		nc := s.Dial("")
		r := bufio.NewReader(nc)
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" || res.Header.Get("X-A") != "b" {
			t.Fatalf("got %v, %v, want 101 with Upgrade: echo and X-A: b", res, err)
		}
		long := strings.Repeat("x", 3<<20)
		go func() {
			io.WriteString(nc, long)
			nc.(interface{ CloseWrite() error }).CloseWrite()
		}()
		got, err := io.ReadAll(r)
		if err != nil || string(got) != "hello early "+long {
			t.Errorf("got %d bytes, %v, want the %d of the peer", len(got), err, len("hello early ")+len(long))
		}
		if res, _ := ask(t, s, get("/")); res.StatusCode != 200 {
			t.Errorf("a request without Upgrade: got %d, want 200", res.StatusCode)
		}
	})
}

// TestWhatPassesATunnelCounts compares what the log has with what the peer has read and
// written.
func TestWhatPassesATunnelCounts(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		counts := make(chan string, 1)
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			var request strings.Builder
			for !strings.HasSuffix(request.String(), "\r\n\r\n") {
				b, err := pc.r.ReadByte()
				if err != nil {
					return
				}
				request.WriteByte(b)
			}
			n, _ := io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
			echoed, _ := io.Copy(pc, pc.r)
			counts <- fmt.Sprintf("[%d|%d]", int64(request.Len())+echoed, int64(n)+echoed)
		})
		cfg.Serve, cfg.Modules = http1.Serve, append([]proxy.Module{logging()}, Modules(Options{})...)
		cfg.Text = "server { listen 127.0.0.1:80; says '$upstream_bytes_sent|$upstream_bytes_received'; location / { proxy_pass http://" + o.addr + "; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }"
		s := proxytest.New(t, cfg)
		nc := s.Dial("")
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
		r := bufio.NewReader(nc)
		if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("%v, %v; want 101", res, err)
		}
		go func() {
			io.WriteString(nc, strings.Repeat("x", 100_000))
			nc.(interface{ CloseWrite() error }).CloseWrite()
		}()
		io.Copy(io.Discard, r)
		s.Log.Wait(t, <-counts)
	})
}

// TestAPeerThatResetsATunnelIsLogged has the peer reset it: that is an error, as in nginx.
func TestAPeerThatResetsATunnelIsLogged(t *testing.T) {
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		pc.r.ReadByte() // the tunnel is there
		pc.Conn.(*net.TCPConn).SetLinger(0)
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_set_header Upgrade $http_upgrade; } }")
	nc := s.Dial("")
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nx")
	io.Copy(io.Discard, nc)
	s.Log.Wait(t, "error: upstream failed (104: Connection reset by peer) while proxying upgraded connection, ")
}

// A tunnel without traffic ends.
func TestASilentTunnelEnds(t *testing.T) {
	o := startOrigin(t, "unix", func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		pc.Read(make([]byte, 1))
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_read_timeout 100ms; proxy_set_header Upgrade $http_upgrade; } }")
	nc := s.Dial("")
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if answer, err := io.ReadAll(nc); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") {
		t.Errorf("got %q, %v, want a 101", answer, err)
	}
	s.Log.Wait(t, "upstream timed out")
}

// An idle tunnel holds no buffer, not even that of its answer's head.
func TestAnIdleTunnelHoldsNoBuffer(t *testing.T) {
	const tunnels = 64
	o := startOrigin(t, "unix", func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(pc, pc.r)
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }")
	before := liveHeap()
	for range tunnels {
		nc := s.Dial("")
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("got %v, %v, want a 101", res, err)
		}
	}
	each := (liveHeap() - before) / tunnels
	t.Logf("%d bytes for each tunnel, with its client and its origin", each)
	if each >= blockSize {
		t.Errorf("got %d bytes of memory for each tunnel, want less than a buffer of %d", each, blockSize)
	}
}

// liveHeap returns how many bytes are in use once everything else was collected.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The deadlines of a goroutine that has waited for the answer do not end the tunnel.
func TestATunnelWithoutTimeoutsStays(t *testing.T) {
	ways(t, func(t *testing.T, c proxytest.Config) {
		t.Parallel()
		o := startOrigin(t, "unix", func(pc *peerConn) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(pc, pc.r)
		})
		c.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; proxy_read_timeout 0; proxy_send_timeout 0; proxy_set_header Upgrade $http_upgrade; } }"
		s := site(t, c)
		nc := s.Dial("")
		r := bufio.NewReader(nc)
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("got %v, %v, want a 101", res, err)
		}
		due := time.Now().Add(2 * lookEvery)
		proxytest.Eventually(t, func() bool { return time.Now().After(due) }, "what the goroutine waited at a time has passed")
		fmt.Fprint(nc, "bytes")
		if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
			t.Errorf("got %v, want 5 bytes\n%s", err, s.Log)
		}
	})
}
