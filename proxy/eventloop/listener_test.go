//go:build linux

package eventloop

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenSocket returns a listening socket, and a descriptor of it for Listen.
func listenSocket(t testing.TB) (net.Listener, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		ln.Close()
	})
	fd := int(f.Fd()) // which makes it block
	unix.SetNonblock(fd, true)
	return ln, fd
}

func dial(t testing.TB, ln net.Listener, n int) {
	t.Helper()
	for range n {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
	}
}

func TestAllThatWaitAreAccepted(t *testing.T) {
	for _, loops := range []int{1, 3} {
		g := newGroup(t, loops)
		ln, fd := listenSocket(t)
		dial(t, ln, 3*atOnce+5)
		var accepted atomic.Int32
		l, err := g.Listen(fd, func(c *Conn) {
			accepted.Add(1)
			c.Close()
		}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return accepted.Load() == 3*atOnce+5 }, "accepting all")
		dial(t, ln, 1)
		eventually(t, func() bool { return accepted.Load() == 3*atOnce+6 }, "accepting one more")
		l.Close()
	}
}

func TestAcceptedConnectionsKnowBothAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::]:0"}, {"unix", path},
	} {
		ln, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd := int(f.Fd()) // which makes it block
		unix.SetNonblock(fd, true)
		accepted := make(chan [2]net.Addr, 1)
		l, err := newGroup(t, 1).Listen(fd, func(conn *Conn) {
			accepted <- [2]net.Addr{conn.LocalAddr(), conn.RemoteAddr()}
			conn.Close()
		}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		got := within(t, accepted, "accepting")
		want := [2]net.Addr{nc.RemoteAddr(), nc.LocalAddr()}
		for i := range got {
			if got[i].Network() != want[i].Network() || got[i].String() != strings.Trim(want[i].String(), "@") {
				t.Errorf("%s: address %s %q, want %s %q", c.address, got[i].Network(), got[i], want[i].Network(), want[i])
			}
		}
		l.Close()
	}
}

// Where the server is ending, say, a connection is closed instead of started.
func TestClosingAConnInsteadOfStartingItLeavesOthersTimers(t *testing.T) {
	g := newGroup(t, 1)
	ln, fd := listenSocket(t)
	idler, _ := pair(t, g.Next())
	start(t, idler, func(*Turn) { idler.Close() }, time.Hour)
	closed := make(chan error, 1)
	l, err := g.Listen(fd, func(c *Conn) { closed <- c.Close() }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	dial(t, ln, 1)
	if err := within(t, closed, "closing"); err != nil {
		t.Error(err)
	}
	l.Close()
	timers := &g.loops[0].timers
	timers.mu.Lock()
	defer timers.mu.Unlock()
	if len(timers.heap) != 1 || timers.heap[0] != &idler.in {
		t.Errorf("%d timers are left, want the idle connection's", len(timers.heap))
	}
}

// limit has accept(2) fail for want of descriptors until the returned function
// is called.
func limit(t testing.TB) (lift func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Error(err)
		}
	}
	set(3)
	t.Cleanup(func() { set(old.Cur) })
	return func() { set(old.Cur) }
}

func TestAcceptingRestsWithoutDescriptorsAndGoesOn(t *testing.T) {
	g := newGroup(t, 1)
	ln, fd := listenSocket(t)
	dial(t, ln, 5)
	var accepted, failed atomic.Int32
	lift := limit(t)
	began := time.Now()
	l, err := g.Listen(fd, func(c *Conn) {
		accepted.Add(1)
		c.Close()
	}, func(err error) { failed.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return failed.Load() >= 3 }, "failing thrice")
	if d := time.Since(began); d < 2*pause-pause/10 {
		t.Errorf("three failures within %s, want at least %s", d, 2*pause-pause/10)
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d accepted without descriptors, want 0", n)
	}
	lift()
	eventually(t, func() bool { return accepted.Load() == 5 }, "accepting after the pause")
	dial(t, ln, 1)
	eventually(t, func() bool { return accepted.Load() == 6 }, "accepting as before")
	l.Close()
}

// The listener is level-triggered: a leader that takes over meanwhile finds it
// ready again.
func TestAcceptingGoesOnWhereTheFailureTookLong(t *testing.T) {
	g := newGroup(t, 1)
	ln, fd := listenSocket(t)
	dial(t, ln, 5)
	var accepted atomic.Int32
	lift := limit(t)
	l, err := g.Listen(fd, func(c *Conn) {
		accepted.Add(1)
		c.Close()
	}, func(err error) {
		for end := time.Now().Add(6 * watchEvery); time.Now().Before(end); {
		}
		lift()
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return accepted.Load() == 5 }, "accepting after the pause")
	for i := range 3 {
		dial(t, ln, 1)
		eventually(t, func() bool { return int(accepted.Load()) == 6+i }, "accepting as before")
	}
	l.Close()
}

func TestCloseWaitsForAcceptsUnderWay(t *testing.T) {
	g := newGroup(t, 1)
	ln, fd := listenSocket(t)
	under, release, closed := make(chan bool), make(chan bool), make(chan bool)
	l, err := g.Listen(fd, func(c *Conn) {
		under <- true
		<-release
		c.Close()
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	dial(t, ln, 1)
	within(t, under, "the accept")
	go func() {
		l.Close()
		l.Close() // the second does nothing
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("Close has returned during a call of accept, want that it waits")
	case <-time.After(20 * time.Millisecond):
	}
	dial(t, ln, 1)
	close(release)
	within(t, closed, "Close")
	select {
	case <-under:
		t.Error("got a connection after Close, want none")
	case <-time.After(20 * time.Millisecond):
	}
}

// Where descriptors are scarce, those that close come before the next that wants one.
func TestOneIsAcceptedInATurnWhereDescriptorsAreScarce(t *testing.T) {
	g := newGroup(t, 1)
	ln, fd := listenSocket(t)
	dial(t, ln, 3)
	accepted, scarce := 0, 0
	p := &place{l: &Listener{fd: fd, most: 1 << 30, accept: func(c *Conn) {
		accepted++
		c.Close()
	}, failed: func(err error) {
		if err == ErrScarce {
			scarce++
		}
	}}}
	p.loop, p.fd = g.Next(), fd
	eventually(t, func() bool {
		before := accepted
		if _, ended := p.acceptSome(atOnce); ended || accepted > before+1 || scarce != accepted {
			t.Fatalf("got %d connections in a turn and %d reports of ErrScarce, want at most 1, and a report of each", accepted-before, scarce)
		}
		return accepted == 3
	}, "accepting all")
}

// New clients have their share of the turns of a loop with many busy connections.
func TestALoopWithLongTurnsAcceptsMore(t *testing.T) {
	for _, c := range []struct {
		behind int
		last   time.Duration
		want   int
	}{
		{0, 0, atOnce}, {8, acceptEvery, atOnce}, {80, 0, 10}, {800, 10 * acceptEvery, 100}, {8, 10 * acceptEvery, 10},
	} {
		if got := share(&Turn{behind: c.behind, last: c.last}); got != c.want {
			t.Errorf("%d descriptors behind the listening one, a turn of %v before: %d are accepted, want %d", c.behind, c.last, got, c.want)
		}
	}
}

// A turn knows how long the one before took, unless the Loop has waited.
func TestATurnKnowsTheLengthOfTheOneBefore(t *testing.T) {
	turn := &Turn{now: time.Now().Add(-time.Hour)}
	if turn.begin(false); turn.last < time.Hour {
		t.Errorf("after a turn of an hour: %v", turn.last)
	}
	turn.now = time.Now().Add(-time.Hour)
	if turn.begin(true); turn.last != 0 {
		t.Errorf("after a wait of an hour: %v, want 0", turn.last)
	}
}
