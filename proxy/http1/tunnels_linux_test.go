package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

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
			n := manyTunnels(t)
			clients, origins := make([]*tunnelEnd, n), make([]net.Conn, n)
			for i := range n {
				clients[i], origins[i] = s.open(t, "")
				small(clients[i].Conn)
				small(origins[i])
			}
			const few = 32 // loops, and goroutines that wait to lead
			if have := runtime.NumGoroutine() - before; have > few {
				t.Errorf("%d goroutines for %d tunnels; want at most %d", have, n, few)
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
				t.Errorf("%d goroutines for %d tunnels that are full, and the test's %d; want at most %v", have-4*n, n, 4*n, 4*n+few)
			}
			reloaded := make(chan error, 1)
			old := s.Engine.Current()
			go func() { reloaded <- s.Reload(s.text) }()
			proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "the reload has not begun")
			proxytest.Eventually(t, func() bool { return int(f.begun.Load()) == 2*n }, "not all streams have begun")
			if n := f.sent.Load(); n > 0 {
				t.Errorf("%d streams of bytes were sent whole although nobody reads, want 0", n)
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
