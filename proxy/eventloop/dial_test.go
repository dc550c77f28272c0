//go:build linux

package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialer is the owner of a dialed connection: the test, which the loop tells.
type dialer struct {
	c     *Conn
	calls chan bool // one for each call: whether the deadline has passed
}

func (d *dialer) Ready(*Turn) {
	d.c.Enter(nil) // the test's goroutine goes on
	d.calls <- d.c.Expired()
}

func (d *dialer) wait(t *testing.T) (expired bool) {
	t.Helper()
	select {
	case expired = <-d.calls:
		return expired
	case <-time.After(patience):
		t.Fatal("got no call of the handler, want one")
		return false
	}
}

// connected returns why the connection that Dial began has failed, unix.EAGAIN
// while that is not known, nil once it is there.
func (c *Conn) connected() error {
	switch code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case code != 0:
		return os.NewSyscallError("connect", unix.Errno(code))
	case c.state.Load()&(writable|dead) == 0:
		return unix.EAGAIN
	}
	return nil
}

// dialFor connects to addr and waits until the connection is there, or not.
func dialFor(t *testing.T, l *Loop, addr unix.Sockaddr) (*dialer, error) {
	t.Helper()
	d := &dialer{calls: make(chan bool, 16)}
	c, connected, err := l.Dial(addr, d)
	if err != nil {
		return d, err
	}
	d.c = c
	t.Cleanup(func() { c.Close() })
	for !connected {
		switch err := c.connected(); {
		case err == nil:
			connected = true
		case err != unix.EAGAIN:
			return d, err
		case c.IdleBoth(patience):
			d.wait(t)
		}
	}
	return d, nil
}

// addrOf is l's address as sockets have it.
func addrOf(t *testing.T, l net.Listener) unix.Sockaddr {
	t.Helper()
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
	}
	return &unix.SockaddrUnix{Name: l.Addr().String()}
}

func listenOn(t *testing.T, network string) net.Listener {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestDialedConnectionsAreReadAndWrittenByTheirOwner(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGroup(t, 1)
			l := listenOn(t, network)
			d, err := dialFor(t, g.Next(), addrOf(t, l))
			if err != nil {
				t.Fatal(err)
			}
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if n, err := d.c.TryWrite([]byte("ask")); n != 3 || err != nil {
				t.Fatalf("got %d, %v, want 3, nil", n, err)
			}
			buf := make([]byte, 10)
			if _, err := io.ReadFull(peer, buf[:3]); err != nil || string(buf[:3]) != "ask" {
				t.Fatalf(`%q, %v; want "ask"`, buf[:3], err)
			}
			if !d.c.Idle(patience) {
				t.Fatal("got something to read before the peer has sent anything, want nothing")
			}
			io.WriteString(peer, "answer")
			if d.wait(t) {
				t.Error("got a deadline that has passed, want none")
			}
			if d.c.Take() {
				t.Error("Take in the handler's call: got true, want false")
			}
			if n, err := d.c.TryRead(buf); err != nil || string(buf[:n]) != "answer" {
				t.Fatalf(`%q, %v; want "answer"`, buf[:n], err)
			}
			if !d.c.Idle(patience) || !d.c.Take() {
				t.Fatal("Idle and Take: got false, want true")
			}
			peer.Close()
			if d.c.Idle(patience) {
				d.wait(t)
			}
			if !d.c.Gone() {
				t.Error("Gone after the peer's end: got false, want true")
			}
		})
	}
}

func TestDialingNobodyFails(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGroup(t, 1)
			l := listenOn(t, network)
			addr := addrOf(t, l)
			l.Close()
			_, err := dialFor(t, g.Next(), addr)
			if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v, want that nobody listens", err)
			}
		})
	}
}

// One address serves all who dial it, each in its loop. Only the race detector sees
// where they disturb one another.
func TestManyDialOneAddress(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGroup(t, 2)
			addr := addrOf(t, listenOn(t, network))
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					c, _, err := g.Next().Dial(addr, &dialer{})
					if err != nil {
						t.Error(err)
						return
					}
					c.Close()
				})
			}
			wg.Wait()
		})
	}
}

// A peer that reads nothing, and then everything.
func TestAnOwnerWaitsForRoom(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGroup(t, 1)
			l := listenOn(t, network)
			d, err := dialFor(t, g.Next(), addrOf(t, l))
			if err != nil {
				t.Fatal(err)
			}
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			block := make([]byte, 64<<10)
			sent := 0
			for {
				n, err := d.c.TryWrite(block)
				sent += max(n, 0)
				if err == unix.EAGAIN {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if d.c.IdleBoth(time.Millisecond) && !d.wait(t) {
				t.Error("got room while the peer reads nothing, want none")
			}
			read := make(chan error, 1)
			go func() {
				_, err := io.CopyN(io.Discard, peer, int64(sent))
				read <- err
			}()
			if d.c.IdleBoth(patience) && d.wait(t) {
				t.Error("got no room while the peer reads, want some")
			}
			if n, err := d.c.TryWrite(block[:1]); n != 1 || err != nil {
				t.Errorf("got %d, %v, want 1, nil", n, err)
			}
			if err := <-read; err != nil {
				t.Error(err)
			}
		})
	}
}

// Again gives a descriptor back that may have something to read left.
func TestAgainHasTheHandlerCalledOnceMore(t *testing.T) {
	g := newGroup(t, 1)
	l := listenOn(t, "unix")
	d, err := dialFor(t, g.Next(), addrOf(t, l))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if !d.c.Idle(patience) {
		t.Fatal("got something to read, want nothing")
	}
	io.WriteString(peer, "abc")
	var got []byte
	for range 3 {
		d.wait(t)
		one := make([]byte, 1)
		if n, err := d.c.TryRead(one); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want 1, nil", n, err)
		}
		got = append(got, one...)
		d.c.Again()
	}
	if string(got) != "abc" {
		t.Errorf(`%q, want "abc"`, got)
	}
	d.wait(t)
	if _, err := d.c.TryRead(make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("something is left: %v; want %v", err, unix.EAGAIN)
	}
	if !d.c.Idle(patience) || !d.c.Take() {
		t.Error("got a call of the handler, want none, as nothing is left")
	}
}
