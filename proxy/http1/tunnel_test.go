package http1_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	small   bool   // sockets to the origin have small send buffers
	early   string // bytes that count as sent by the origin before
	origin  net.Listener
	ended   chan ended
}

type ended struct {
	read, sent, body int64
	err              error
}

// mute is the Handler of a descriptor from which nothing is expected.
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

// open begins a tunnel. It returns the client's end, of which the head of the answer was
// read, and the origin's end. The client sends early with its request.
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
			t.Fatalf("got %q, then %v, want a head", client.head, err)
		}
		client.head += line
	}
	if !strings.HasPrefix(client.head, "HTTP/1.1 101 ") {
		t.Fatalf(`got the answer %q, want "HTTP/1.1 101 " at its beginning`, client.head)
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
			t.Errorf(`the origin got %q, %v; want "early late"`, got, err)
		}
		io.WriteString(origin, "answer")
		origin.Close()
		if got, err := io.ReadAll(client); string(got) != "first answer" || err != nil {
			t.Errorf(`the client got %q, %v; want "first answer"`, got, err)
		}
		e := s.end(t)
		want := ended{int64(len(upgradeRequest + "early late")), int64(len(client.head + "first answer")), int64(len("first answer")), nil}
		if e != want {
			t.Errorf("got the end %v, want %v", e, want)
		}
		client.Close()
	})
}

func TestATunnelEndsWithItsClient(t *testing.T) {
	inTunnels(t, nil, func(t *testing.T, s *tunnels) {
		client, origin := s.open(t, "")
		client.Close()
		if got, err := io.ReadAll(origin); len(got) > 0 || err != nil {
			t.Errorf("the origin got %q, %v; want nothing", got, err)
		}
		origin.Close()
		s.end(t)
	})
}

func TestASilentTunnelEnds(t *testing.T) {
	inTunnels(t, func(s *tunnels) { s.silence = 20 * time.Millisecond }, func(t *testing.T, s *tunnels) {
		client, origin := s.open(t, "")
		if err := s.end(t).err; err == nil || err.Error() != "upstream timed out (110: Connection timed out) while proxying upgraded connection" {
			t.Errorf(`got %v, want the error "upstream timed out (110: Connection timed out) while proxying upgraded connection"`, err)
		}
		for _, nc := range []net.Conn{client, origin} {
			if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("got %d bytes, %v, want 0 and an error", n, err)
			}
		}
	})
}

// stuff writes to nc until nothing is taken any more.
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
					t.Errorf("got %d reloads and %d tunnels that have ended, want none", len(reloaded), len(s.ended))
				}
				cut, cancel := contextCut()
				defer cancel()
				if err := s.Engine.Drain(cut, g); err != context.DeadlineExceeded {
					t.Errorf("Drain: got %v, want %v", err, context.DeadlineExceeded)
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

// A tunnel may never end by itself, so a shutdown does not wait for it.
func TestShutdownEndsTunnels(t *testing.T) {
	t.Parallel()
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) { // each takes as long as tunnels have
		s := newTunnels(t, secure, goroutines, nil)
		client, origin := s.open(t, "")
		io.WriteString(client, "bytes")
		if _, err := io.ReadFull(origin, make([]byte, 5)); err != nil {
			t.Error(err)
		}
		if err := s.Engine.Shutdown(t.Context(), 0); err != nil {
			t.Error(err)
		}
		s.end(t)
		for _, nc := range []net.Conn{client, origin} {
			if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %d bytes, %v, want 0, and an error before the deadline", n, err)
			}
		}
	})
}

// small makes the send buffer of nc small.
func small(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	nc.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(4 << 10)
}
