//go:build linux

package eventloop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAHalfClosedConnectionCanStillBeAnswered(t *testing.T) {
	g := newGroup(t, 1)
	c, peer := pair(t, g.Next())
	start(t, c, func(*Turn) {
		defer c.Close()
		got, err := io.ReadAll(c)
		if string(got) != "question" || err != nil {
			t.Errorf(`read %q, %v; want "question"`, got, err)
		}
		if c.Idle(time.Hour) {
			t.Error("Idle at the end: got true, want false")
			return
		}
		c.Write([]byte("answer"))
		c.CloseWrite()
	}, 0)
	peer.Write([]byte("question"))
	peer.CloseWrite()
	if got, err := io.ReadAll(peer); string(got) != "answer" || err != nil {
		t.Errorf(`got %q, %v; want "answer"`, got, err)
	}
}

func TestALargeWriteArrivesWhole(t *testing.T) {
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(i * 11)
	}
	for _, c := range []struct {
		name  string
		write func(c *Conn) (int, error)
	}{
		{"Write", func(c *Conn) (int, error) { return c.Write(big) }},
		{"WriteBoth", func(c *Conn) (int, error) { return c.WriteBoth(big[:1000], big[1000:]) }},
		{"WriteBoth, the first large", func(c *Conn) (int, error) { return c.WriteBoth(big[:3<<20], big[3<<20:]) }},
		{"WriteBoth, the first empty", func(c *Conn) (int, error) { return c.WriteBoth(nil, big) }},
		{"WriteBoth, the second empty", func(c *Conn) (int, error) { return c.WriteBoth(big, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1)
			conn, peer := pair(t, g.Next())
			start(t, conn, func(*Turn) {
				conn.TryRead(make([]byte, 1))
				if n, err := c.write(conn); n != len(big) || err != nil {
					t.Errorf("wrote %d, %v; want %d", n, err, len(big))
				}
				conn.Close()
			}, 0)
			peer.Write([]byte("x"))
			var got bytes.Buffer
			for buf := make([]byte, 100<<10); ; {
				n, err := peer.Read(buf)
				got.Write(buf[:n])
				if err != nil {
					break
				}
				if got.Len()%7 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			if !bytes.Equal(got.Bytes(), big) {
				t.Errorf("got %d bytes, or others, want the %d that were sent", got.Len(), len(big))
			}
		})
	}
}

func TestCutEndsWhateverTheOwnerDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(c *Conn) error
		flag uint32
		want error
	}{
		{"reading", read1, waits, io.EOF},
		{"writing", func(c *Conn) error { fill(t, c); return write1(c) }, waits << writing, unix.EPIPE},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1)
			conn, _ := pair(t, g.Next())
			if err := conn.StartOwned(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				err := c.wait(conn)
				conn.Close()
				ended <- err
			}()
			eventually(t, func() bool { return conn.state.Load()&c.flag != 0 }, "waiting")
			conn.Cut()
			if err := within(t, ended, "the end"); !errors.Is(err, c.want) {
				t.Errorf("it failed with %v, want %v", err, c.want)
			}
			conn.Cut() // of what is closed does nothing
			if err := conn.Close(); err != net.ErrClosed {
				t.Errorf("a second Close: %v; want %v", err, net.ErrClosed)
			}
		})
	}
}

func TestCutOfAnIdleConnectionCallsItsHandler(t *testing.T) {
	g := newGroup(t, 1)
	c, _ := pair(t, g.Next())
	called := make(chan bool, 1)
	start(t, c, func(*Turn) {
		n, err := c.TryRead(make([]byte, 1))
		called <- c.Gone() && !c.Expired() && n == 0 && err == nil
		c.Close()
	}, time.Hour)
	c.Cut()
	if !within(t, called, "the handler") {
		t.Error("got a handler that does not see the end, want that it does")
	}
}

// Events name a number; by the time they are handled it may be another's.
func TestAnEventForAClosedDescriptorDoesNotReachItsSuccessor(t *testing.T) {
	g := newGroup(t, 1)
	l := g.Next()
	first, one := pair(t, l)
	victim, two := pair(t, l)
	quiet, three := pair(t, l)
	ready, done := make(chan string, 10), make(chan bool, 1)
	var heir *Conn
	start(t, victim, func(*Turn) { ready <- "victim"; victim.Close() }, 0)
	start(t, first, func(*Turn) {
		if heir == nil {
			first.TryRead(make([]byte, 9))
			// Both become ready in one batch, this one first.
			one.Write([]byte("x"))
			two.Write([]byte("x"))
			heir = &Conn{}
			for !first.Idle(0) {
				if n, err := first.TryRead(make([]byte, 9)); n > 0 || err == nil {
					first.Missed()
					break
				}
			}
			return
		}
		first.TryRead(make([]byte, 9))
		victim.Close()
		fd, err := unix.FcntlInt(uintptr(quiet.fd), unix.F_DUPFD_CLOEXEC, victim.fd)
		if err != nil || fd != victim.fd {
			t.Errorf("number %d, %v; want %d", fd, err, victim.fd)
		}
		heir.attach(l, fd)
		heir.Start(handlerFunc(func(*Turn) { ready <- "heir"; heir.Close() }), 0)
		done <- true
		first.Close()
	}, 0)
	one.Write([]byte("x"))
	within(t, done, "the exchange of numbers")
	select {
	case who := <-ready:
		t.Errorf("got a call of the %s's handler, want none", who)
	case <-time.After(30 * time.Millisecond):
	}
	three.Write([]byte("x"))
	if who := within(t, ready, "an event of its own"); who != "heir" {
		t.Errorf(`the %s's handler was called, want "heir"`, who)
	}
}

func TestTagsTellDescriptorsOfOneNumberApart(t *testing.T) {
	var table table
	a, b := &Descriptor{fd: 2000}, &Descriptor{fd: 2000}
	table.put(a)
	table.put(b)
	table.drop(a) // too late: the number is b's
	if table.find(2000, a.tag) != nil || table.find(2000, b.tag) != b {
		t.Error("got the closed descriptor, or not the new one, want only the new one")
	}
	table.drop(b)
	if table.find(2000, b.tag) != nil || table.find(1<<20, 1) != nil || table.find(bellFD, 0) != nil {
		t.Error("got a descriptor that is not in the table, want nil")
	}
}

// SyscallConn's functions wait as Read and Write do.
func TestSyscallConnWaits(t *testing.T) {
	g := newGroup(t, 1)
	c, peer := pair(t, g.Next())
	if err := c.StartOwned(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	read := func(fd uintptr) bool {
		calls++
		_, err := unix.Read(int(fd), make([]byte, 1))
		return err != unix.EAGAIN
	}
	go func() {
		for !c.waits() {
			time.Sleep(10 * time.Microsecond)
		}
		peer.Write([]byte("xy"))
	}()
	if err := raw.Read(read); err != nil || calls != 2 {
		t.Errorf("%d calls, %v; want 2", calls, err)
	}
	if !c.Readable() {
		t.Error("the function has not read all: got Readable false, want true")
	}
	c.SetReadTimeout(10 * time.Millisecond)
	raw.Read(read)
	if err := raw.Read(read); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read of nothing: %v; want %v", err, os.ErrDeadlineExceeded)
	}
	fill(t, c)
	c.SetWriteTimeout(10 * time.Millisecond)
	if err := raw.Write(func(uintptr) bool { return false }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write without room: %v; want %v", err, os.ErrDeadlineExceeded)
	}
}

// Over TCP what was written since the peer's end tells whether that has closed; a
// unix socket tells it at once.
func TestAPeerThatHasEndedItsSideIsSilentUntilItIsWrittenTo(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGroup(t, 1)
			c, peer := socketPair(t, g.Next(), network)
			if err := c.StartOwned(); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write([]byte("before"))
			if c.Silent() {
				t.Error("the peer has not ended its side: got Silent true, want false")
			}
			peer.(interface{ CloseWrite() error }).CloseWrite()
			eventually(t, c.Gone, "its end")
			if network == "unix" {
				if c.Silent() {
					t.Error("a unix socket: got Silent true, want false")
				}
				peer.Close()
				eventually(t, c.Lost, "the close")
				return
			}
			eventually(t, c.Silent, "silence, once what was written has arrived")
			c.Write([]byte("after"))
			if c.Silent() || c.Lost() {
				t.Error("after a write without a reset: got Silent or Lost true, want false")
			}
			fill(t, c) // more readiness does not make it silent again
			io.CopyN(io.Discard, peer, 1<<16)
			if c.Silent() {
				t.Error("after a second end: got Silent true, want false")
			}
			peer.Close()
			eventually(t, c.Lost, "the reset")
			if c.Silent() {
				t.Error("a lost connection: got Silent true, want false")
			}
		})
	}
}

// socketPair is pair over network.
func socketPair(t *testing.T, l *Loop, network string) (*Conn, net.Conn) {
	if network == "unix" {
		c, peer := pair(t, l)
		c.peer = &unix.SockaddrUnix{}
		return c, peer
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	raw.Control(func(fd uintptr) { own, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{peer: &unix.SockaddrInet4{}}
	c.attach(l, own)
	return c, peer
}

func TestBytesThatNobodyHasReadArePending(t *testing.T) {
	c, peer := pair(t, newGroup(t, 1).Next())
	if c.Pending() {
		t.Error("nothing was sent: got Pending true, want false")
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if !c.Pending() || !c.Pending() {
		t.Error("a byte was sent: got Pending false, want true")
	}
	c.TryRead(make([]byte, 8))
	if c.Pending() {
		t.Error("all was read: got Pending true, want false")
	}
	peer.Close()
	if c.Pending() {
		t.Error("the end: got Pending true, want false")
	}
	c.Close()
	if c.Pending() {
		t.Error("a closed descriptor: got Pending true, want false")
	}
}

// Whoever reads past what it wants, into room that stays empty, has learned that nothing is
// left to read.
func TestAReadOfBothSaysWhetherThereIsMore(t *testing.T) {
	for _, c := range []struct {
		sent string
		p    string
		more string
		left bool // there may be more to read
	}{
		{"ab", "ab", "", false},
		{"abcd", "abcd", "", false},
		{"abcde", "abcd", "e", false},
		{"abcdef", "abcd", "ef", true},
		{"abcdefgh", "abcd", "ef", true},
	} {
		t.Run(c.sent, func(t *testing.T) {
			conn, peer := pair(t, newGroup(t, 1).Next())
			read, called := conn.handler(false)
			if err := conn.Start(read, 0); err != nil {
				t.Fatal(err)
			}
			io.WriteString(peer, c.sent)
			<-called
			t.Cleanup(func() { conn.Close() })
			p, more := make([]byte, 4), make([]byte, 2)
			n, err := conn.ReceiveBoth(p, more)
			if got := string(p[:min(n, 4)]); got != c.p || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, c.p)
			}
			if got := string(more[:max(n-4, 0)]); got != c.more {
				t.Errorf("got %q in more, want %q", got, c.more)
			}
			if conn.Readable() != c.left {
				t.Errorf("readable: got %v, want %v", conn.Readable(), c.left)
			}
		})
	}
}
