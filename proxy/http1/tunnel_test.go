package http1_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// tunnels is a server whose content is a tunnel to an origin, in one of the ways that
// connections are served.
type tunnels struct {
	*proxytest.Server
	text    string
	secure  bool
	listen  string // an address; "": one of TCP
	silence time.Duration
	small   bool   // the system keeps little of what was sent to the origin
	early   string // as if it had come from the origin before
	origin  net.Listener
	ended   chan ended
}

type ended struct {
	read, sent, body int64
	err              error
}

// mute is the Handler of a descriptor that nothing is expected from.
type mute struct{}

func (mute) Ready(*eventloop.Turn) {}

func newTunnels(t *testing.T, secure, goroutines bool, change func(s *tunnels)) *tunnels {
	t.Helper()
	s := &tunnels{secure: secure, ended: make(chan ended, 4096)}
	var err error
	if s.origin, err = net.Listen("unix", filepath.Join(t.TempDir(), "o")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.origin.Close() })
	if change != nil {
		change(s)
	}
	module := proxy.Module{Name: "tunnels", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(s.answer))
		return nil
	}}
	listen := cmp.Or(s.listen, "127.0.0.1:8000")
	if secure {
		listen += " ssl"
		module.Generation = proxytest.SecureSites(t)
	}
	s.text = "server { listen " + listen + "; client_header_timeout 3s; keepalive_timeout 3s; }"
	s.Server = proxytest.New(t, proxytest.Config{Text: s.text, Modules: []proxy.Module{module}, Serve: http1.Serve, Goroutines: goroutines})
	return s
}

func (s *tunnels) answer(x *proxy.Exchange) error {
	other, err := s.dial(x.Loop())
	if err != nil {
		return err
	}
	x.Res.Header.Set("Upgrade", "bytes")
	client, err := x.Res.Upgrade()
	if err != nil {
		return err
	}
	return x.Tunnel(&proxy.Tunnel{Client: client, Other: other, Early: []byte(s.early), Silence: s.silence,
		Then: func(x *proxy.Exchange, err error) error {
			s.ended <- ended{x.BytesRead(), x.BytesSent(), x.Res.Written, err}
			return err
		}})
}

func (s *tunnels) dial(l *eventloop.Loop) (net.Conn, error) {
	addr := s.origin.Addr().String()
	if l == nil {
		return net.Dial("unix", addr)
	}
	c, _, err := l.Dial(&unix.SockaddrUnix{Name: addr}, mute{})
	if err == nil && s.small {
		raw, _ := c.SyscallConn()
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10) })
	}
	return c, err
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n"

// open begins a tunnel: the client's end, behind the answer's head, and the origin's.
func (s *tunnels) open(t *testing.T, early string) (client *tunnelEnd, origin net.Conn) {
	t.Helper()
	nc := s.Dial("")
	if s.secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	io.WriteString(nc, upgradeRequest+early)
	client = &tunnelEnd{Conn: nc, r: bufio.NewReaderSize(nc, 512)}
	for !strings.HasSuffix(client.head, "\r\n\r\n") {
		line, err := client.r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, then %v", client.head, err)
		}
		client.head += line
	}
	if !strings.HasPrefix(client.head, "HTTP/1.1 101 ") {
		t.Fatalf("answer %q", client.head)
	}
	origin, err := s.origin.Accept()
	if err != nil {
		t.Fatal(err)
	}
	origin.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { origin.Close() })
	return client, origin
}

type tunnelEnd struct {
	net.Conn
	r    *bufio.Reader
	head string
}

func (e *tunnelEnd) Read(p []byte) (int, error) { return e.r.Read(p) }

func (e *tunnelEnd) CloseWrite() error {
	return e.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (s *tunnels) end(t *testing.T) ended {
	t.Helper()
	select {
	case e := <-s.ended:
		return e
	case <-time.After(time.Minute):
		t.Fatal("the tunnel does not end")
		panic("unreachable")
	}
}

func inTunnels(t *testing.T, change func(s *tunnels), test func(t *testing.T, s *tunnels)) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) { test(t, newTunnels(t, secure, goroutines, change)) })
}

func TestATunnelPassesBytesAndEndsOnBothWays(t *testing.T) {
	inTunnels(t, func(s *tunnels) { s.early = "first " }, func(t *testing.T, s *tunnels) {
		client, origin := s.open(t, "early ")
		io.WriteString(client, "late")
		client.CloseWrite()
		if got, err := io.ReadAll(origin); string(got) != "early late" || err != nil {
			t.Errorf("the origin got %q, %v", got, err)
		}
		io.WriteString(origin, "answer")
		origin.Close()
		if got, err := io.ReadAll(client); string(got) != "first answer" || err != nil {
			t.Errorf("the client got %q, %v", got, err)
		}
		e := s.end(t)
		want := ended{int64(len(upgradeRequest + "early late")), int64(len(client.head + "first answer")), int64(len("first answer")), nil}
		if e != want {
			t.Errorf("it ends with %v, want %v", e, want)
		}
		client.Close()
	})
}

func TestATunnelEndsWithItsClient(t *testing.T) {
	inTunnels(t, nil, func(t *testing.T, s *tunnels) {
		client, origin := s.open(t, "")
		client.Close()
		if got, err := io.ReadAll(origin); len(got) > 0 || err != nil {
			t.Errorf("the origin got %q, %v", got, err)
		}
		origin.Close()
		s.end(t)
	})
}

func TestASilentTunnelEnds(t *testing.T) {
	inTunnels(t, func(s *tunnels) { s.silence = 20 * time.Millisecond }, func(t *testing.T, s *tunnels) {
		client, origin := s.open(t, "")
		if err := s.end(t).err; err == nil || err.Error() != "upstream timed out (110: Connection timed out) while proxying upgraded connection" {
			t.Errorf("it ends with %v", err)
		}
		for _, nc := range []net.Conn{client, origin} {
			if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("read %d, %v", n, err)
			}
		}
	})
}

// stuff writes to nc until nothing of it is taken any more.
func stuff(nc net.Conn) {
	for block := make([]byte, 64<<10); ; {
		nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := nc.Write(block); err != nil {
			return
		}
	}
}

// A Generation's tunnels hold it until they end, or Drain has no more time.
func TestDrainEndsTunnels(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(client, origin net.Conn)
	}{
		{"idle", func(_, _ net.Conn) {}},
		{"the origin takes nothing", func(client, _ net.Conn) { stuff(client) }},
		{"neither takes anything", func(client, origin net.Conn) { stuff(client); stuff(origin) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTunnels(t, nil, func(t *testing.T, s *tunnels) {
				client, origin := s.open(t, "")
				c.fill(client, origin)
				g := s.Engine.Current()
				reloaded := make(chan error, 1)
				go func() { reloaded <- s.Reload(s.text) }()
				proxytest.Eventually(t, func() bool { return s.Engine.Current() != g }, "the reload has not begun")
				if len(reloaded)+len(s.ended) > 0 {
					t.Error("the generation before is not held")
				}
				cut, cancel := contextCut()
				defer cancel()
				if err := s.Engine.Drain(cut, g); err != context.DeadlineExceeded {
					t.Errorf("Drain: %v", err)
				}
				s.end(t)
				if err := <-reloaded; err != nil {
					t.Error(err)
				}
				for _, nc := range []net.Conn{client, origin} {
					nc.SetReadDeadline(time.Now().Add(time.Minute))
					if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("a connection is not closed")
					}
				}
			})
		})
	}
}

// manyTunnels is how many are open at once, where there are descriptors for so many.
func manyTunnels(t *testing.T) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := 1000
	if raceEnabled { // which is slow
		n = 200
	}
	return min(n, (int(limit.Cur)-200)/5)
}

// floods are streams of bytes, each another part of the same random ones.
type floods struct {
	bytes       []byte
	each        int          // bytes of a stream
	begun, sent atomic.Int32 // streams of which something was sent, and those that were sent whole
	drunk       chan bool    // closed when readers may begin
}

func newFloods(streams, each int) *floods {
	f := &floods{bytes: make([]byte, streams*floodStep+each), each: each, drunk: make(chan bool)}
	random := rand.NewChaCha8([32]byte{1})
	random.Read(f.bytes)
	return f
}

// floodStep is how far the beginnings of streams are apart.
const floodStep = 509

func (f *floods) stream(i int) []byte { return f.bytes[i*floodStep:][:f.each] }

// send sends stream i in pieces, and the end.
func (f *floods) send(nc net.Conn, i int) error {
	const piece = 8 << 10
	for at := 0; at < f.each; at += piece {
		if _, err := nc.Write(f.stream(i)[at:min(at+piece, f.each)]); err != nil {
			return fmt.Errorf("stream %d, behind byte %d: %w", i, at, err)
		}
		if at == 0 {
			f.begun.Add(1)
		}
	}
	f.sent.Add(1)
	return nc.(interface{ CloseWrite() error }).CloseWrite()
}

// drink reads stream i: all of it, and nothing else.
func (f *floods) drink(nc io.Reader, i int) error {
	<-f.drunk
	buf := make([]byte, 32<<10)
	for at := 0; ; {
		n, err := nc.Read(buf)
		if at+n > f.each || !bytes.Equal(buf[:n], f.stream(i)[at:at+n]) {
			return fmt.Errorf("stream %d is not itself behind byte %d", i, at)
		}
		if at += n; err == io.EOF && at == f.each {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %d, behind byte %d of %d: %w", i, at, f.each, err)
		}
	}
}

// A thousand tunnels that are full both ways have no goroutine, and lose and mix no
// byte, whatever becomes of the configuration.
func TestAThousandTunnelsNeedNoGoroutines(t *testing.T) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			s := newTunnels(t, secure, false, func(s *tunnels) { s.small, s.listen = true, "unix:"+filepath.Join(t.TempDir(), "l") })
			if s.Loops == nil {
				t.Skip("the system has no event loop")
			}
			n := manyTunnels(t)
			clients, origins := make([]*tunnelEnd, n), make([]net.Conn, n)
			for i := range n {
				clients[i], origins[i] = s.open(t, "")
				small(clients[i].Conn)
				small(origins[i])
			}
			const few = 32 // loops, and goroutines that wait to lead
			if have := runtime.NumGoroutine() - before; have > few {
				t.Errorf("%d goroutines for %d tunnels", have, n)
			}
			f, errs := newFloods(2*n, 256<<10), make(chan error, 4*n)
			var own sync.WaitGroup
			for i := range n {
				later := time.Now().Add(5 * time.Minute) // the tunnels before had their time, too
				clients[i].SetDeadline(later)
				origins[i].SetDeadline(later)
				own.Go(func() { errs <- f.send(clients[i], 2*i) })
				own.Go(func() { errs <- f.send(origins[i], 2*i+1) })
				own.Go(func() { errs <- f.drink(origins[i], 2*i) })
				own.Go(func() { errs <- f.drink(clients[i], 2*i+1) })
			}
			if have := runtime.NumGoroutine() - before; have > 4*n+few {
				t.Errorf("%d goroutines for %d tunnels that are full, and the test's %d", have-4*n, n, 4*n)
			}
			reloaded := make(chan error, 1)
			old := s.Engine.Current()
			go func() { reloaded <- s.Reload(s.text) }()
			proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "the reload has not begun")
			proxytest.Eventually(t, func() bool { return int(f.begun.Load()) == 2*n }, "not all streams have begun")
			if n := f.sent.Load(); n > 0 {
				t.Errorf("%d streams of bytes were sent whole although nobody reads", n)
			}
			close(f.drunk)
			for range 4 * n {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			for range n {
				if e := s.end(t); e.err != nil {
					t.Fatal(e.err)
				}
			}
			own.Wait()
			if err := <-reloaded; err != nil {
				t.Error(err)
			}
		})
	}
}

// small has the system keep little of what was sent over nc.
func small(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	nc.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(4 << 10)
}
