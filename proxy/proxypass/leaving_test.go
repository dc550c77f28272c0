package proxypass

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/proxytest"
)

// departure is a state of a request in which its client leaves.
type departure struct {
	state    string
	settings string // of the location
	server   string // beside ORIGIN in the upstream; FULL is one that accepts no connection
	send     func(l *leaver)
	script   func(pc *peerConn) // the origin's part, until the state is reached; nil: it is not asked
	noLoop   bool               // it shows without a loop, too, where the client resets
}

// leaver is a client that is about to leave.
type leaver struct {
	t   *testing.T
	tcp *net.TCPConn
	nc  net.Conn // over tcp, or tcp itself
}

func (l *leaver) send(format string, args ...any) {
	if _, err := fmt.Fprintf(l.nc, format, args...); err != nil {
		l.t.Error(err)
	}
}

// pour sends a long body for as long as it is taken.
func pour(l *leaver) {
	l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	go func() {
		for block := make([]byte, 64<<10); ; {
			if _, err := l.nc.Write(block); err != nil {
				return
			}
		}
	}()
}

func getting(l *leaver) { l.send("%s", get("/")) }

// answers reads a request and sends the beginning of an answer.
func answers(text string) func(pc *peerConn) {
	return func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, text)
	}
}

// longHead makes the head of a request too long for the buffers of a socket.
var longHead = strings.Repeat("proxy_set_header X-Long "+strings.Repeat("x", 16000)+"; ", 64)

var departures = []departure{
	{"while the connection to the server is made", "", "server FULL;", getting, nil, false},
	{"while it goes to another server", "", "server ORIGIN; server FULL backup;", getting, func(pc *peerConn) {
		pc.request()
		pc.Close()
	}, false},
	{"while its head is sent", longHead, "server ORIGIN;", getting, func(pc *peerConn) { pc.r.Peek(1) }, false},
	{"while its body is sent, which was read before", "", "server ORIGIN;", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n%s", make([]byte, 4000000))
	}, func(pc *peerConn) { http.ReadRequest(pc.r) }, false},
	{"while its body is passed on, and the server waits", "proxy_request_buffering off;", "server ORIGIN;", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
	}, func(pc *peerConn) {
		r, _ := http.ReadRequest(pc.r)
		io.ReadFull(r.Body, make([]byte, 3))
	}, false},
	{"while its body is passed on, and the server takes no more", "proxy_request_buffering off;", "server ORIGIN;", pour,
		func(pc *peerConn) { http.ReadRequest(pc.r) }, false},
	{"while its body is passed on, and the answer comes", "proxy_request_buffering off;", "server ORIGIN;", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		io.ReadFull(l.nc, make([]byte, 12))
	}, func(pc *peerConn) {
		http.ReadRequest(pc.r)
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nabc")
	}, false},
	{"before the head of the answer", "", "server ORIGIN;", getting, answers(""), true},
	{"within the head of the answer", "", "server ORIGIN;", getting, answers("HTTP/1.1 200 OK\r\nX: y"), true},
	{"within a short answer", "", "server ORIGIN;", getting, answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), true},
	{"within a stream", "", "server ORIGIN;", func(l *leaver) {
		getting(l)
		io.ReadFull(l.nc, make([]byte, 12))
	}, answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), true},
	{"within a stream that it does not read", "proxy_max_temp_file_size 0;", "server ORIGIN;", getting, func(pc *peerConn) {
		flood(pc, 100_000_000)
	}, true},
	{"while the rest of its answer waits in a file", "", "server ORIGIN;", getting, func(pc *peerConn) {
		flood(pc, 16<<20)
	}, true},
	{"in a tunnel", "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;", "server ORIGIN;", func(l *leaver) {
		l.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.ReadFull(l.nc, make([]byte, 12))
	}, answers("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), true},
	{"while auth_request asks", "auth_request /asked;", "server ORIGIN;", getting, answers(""), false},
}

// flood sends as much of an answer of 100 MB as it can, n bytes at most.
func flood(pc *peerConn, n int) {
	pc.request()
	io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
	for block := make([]byte, 64<<10); n > 0; n -= len(block) {
		pc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := pc.Write(block); err != nil {
			break
		}
	}
	pc.SetWriteDeadline(time.Now().Add(patience))
}

// The client leaves in each state: the connection to the origin ends, and the request.
func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	for _, way := range proxytest.Leavings() {
		for _, c := range departures {
			if way.Goroutine && !c.noLoop {
				continue
			}
			t.Run(c.state+"/"+way.Name, func(t *testing.T) {
				t.Parallel()
				reached, ended := make(chan bool, 2), make(chan bool, 2)
				o := startOrigin(t, "unix", func(pc *peerConn) {
					c.script(pc)
					reached <- true
					io.Copy(io.Discard, pc) // what was sent before may come yet
					ended <- true
				})
				full := startFull(t)
				text := "upstream u { " + strings.NewReplacer("ORIGIN", o.addr, "FULL", full.String()).Replace(c.server) + " } "
				server := "client_max_body_size 0; location / { " + c.settings + " proxy_pass http://u; } location /asked { proxy_pass http://u; }"
				s := site(t, proxytest.Config{Text: text + "server { listen 127.0.0.1:80; " + server + " } server { listen 127.0.0.1:443 ssl; " + server + " }", Goroutines: way.Goroutine,
					Modules: []proxy.Module{authrequest.Module(), {Name: "certificates", Generation: proxytest.SecureSites(t)}, endings()}})
				l := &leaver{t: t, tcp: s.Dial(map[bool]string{false: "127.0.0.1:80", true: "127.0.0.1:443"}[way.Secure]).(*net.TCPConn)}
				if l.nc = l.tcp; way.Secure {
					l.nc = tls.Client(l.tcp, &tls.Config{InsecureSkipVerify: true})
				}
				l.tcp.SetReadBuffer(64 << 10)
				c.send(l)
				if c.script != nil {
					<-reached
				}
				if strings.Contains(c.server, "FULL") {
					proxytest.Eventually(t, func() bool { return inTheMaking(t, full) == 1 }, "nobody connects")
				}
				began := time.Now()
				if way.Resets {
					l.tcp.SetLinger(0)
				}
				l.tcp.Close()
				s.Log.Wait(t, "the exchange has ended")
				if c.script != nil {
					<-ended
				}
				proxytest.Eventually(t, func() bool { return inTheMaking(t, full) == 0 }, "the connection is still being made")
				t.Logf("the server's connection has ended %s after the client has left", time.Since(began).Round(time.Millisecond))
			})
		}
	}
}

// endings is a feature that logs the end of each exchange.
func endings() proxy.Module {
	return proxy.Module{Name: "endings", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.OnLog(func(x *proxy.Exchange) { x.Log(proxy.LevelInfo, "the exchange has ended") })
		return nil
	}}
}

// startFull returns the address of a server whose queue of connections is full: one more
// stays in the making.
func startFull(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	own, _ := unix.Getsockname(fd)
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(own.(*unix.SockaddrInet4).Port))
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return addr
}

// inTheMaking counts the connections to an address that are not made yet.
func inTheMaking(t *testing.T, addr netip.AddrPort) int {
	b, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Error(err)
	}
	return strings.Count(string(b), fmt.Sprintf(" 0100007F:%04X 02 ", addr.Port()))
}

// With proxy_ignore_client_abort the request goes on after its client has left, and the
// connection to the server is kept.
func TestAClientThatLeavesIsIgnoredWhereThatIsSaid(t *testing.T) {
	for _, c := range []struct {
		state, request string
		before, after  func(pc *peerConn) // the client leaves
	}{
		{"while its body is sent", fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n%s", make([]byte, 4000000)),
			func(pc *peerConn) { pc.r.Peek(1) }, func(pc *peerConn) { says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(pc) }},
		{"before the head of the answer", get("/"), func(pc *peerConn) { pc.request() },
			func(pc *peerConn) { io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }},
		{"within a short answer", get("/"), answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"),
			func(pc *peerConn) { io.WriteString(pc, "k") }},
	} {
		for _, resets := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/resets %v", c.state, resets), func(t *testing.T) {
				t.Parallel()
				reached, left := make(chan bool), make(chan bool)
				o := startOrigin(t, "tcp", func(pc *peerConn) {
					c.before(pc)
					reached <- true
					<-left
					c.after(pc)
					says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(pc)
				})
				s := site(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; client_max_body_size 0; location / { proxy_pass http://" + o.addr + "; proxy_ignore_client_abort on; } }", Modules: []proxy.Module{endings()}})
				nc := s.Dial("").(*net.TCPConn)
				io.WriteString(nc, c.request)
				<-reached
				if resets {
					nc.SetLinger(0)
				}
				nc.Close()
				left <- true
				s.Log.Wait(t, "the exchange has ended")
				if res, body := ask(t, s, get("/")); res.StatusCode != 200 || body != "ok" {
					t.Errorf(`%d %q; want 200 and "ok"`, res.StatusCode, body)
				}
				if o.accepted() != 1 {
					t.Errorf("%d connections, want 1", o.accepted())
				}
			})
		}
	}
}

// A slow reader does not hold the origin: it has sent its answer long before the client has it.
func TestASlowClientDoesNotHoldTheOrigin(t *testing.T) {
	const size = 16 << 20
	through := make(chan bool, 1)
	o := startOrigin(t, "unix", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			block := []byte(strings.Repeat("0123456789abcdef", 4096))
			for range size / len(block) {
				if _, err := pc.Write(block); err != nil {
					return
				}
			}
			through <- true
		}
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; } }")
	nc := s.Dial("")
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	<-through
	answer, err := io.ReadAll(nc)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if err != nil || len(body) != size || body != strings.Repeat("0123456789abcdef", size/16) {
		t.Errorf("got %d bytes, %v, want %d", len(body), err, size)
	}
}
