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

// manyTunnels returns how many tunnels to open: at most as many as the limit of descriptors
// allows.
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

// floods are streams of random bytes. Each is another part of bytes.
type floods struct {
	bytes       []byte
	each        int          // bytes of a stream
	begun, sent atomic.Int32 // how many streams were sent in part, and how many whole
	reads       chan bool    // closed when readers may begin
}

func newFloods(streams, each int) *floods {
	f := &floods{bytes: make([]byte, streams*floodStep+each), each: each, reads: make(chan bool)}
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
			return fmt.Errorf("stream %d, after byte %d: %w", i, at, err)
		}
		if at == 0 {
			f.begun.Add(1)
		}
	}
	f.sent.Add(1)
	return nc.(interface{ CloseWrite() error }).CloseWrite()
}

// receive reads stream i from nc. Anything else is an error.
func (f *floods) receive(nc io.Reader, i int) error {
	<-f.reads
	buf := make([]byte, 32<<10)
	for at := 0; ; {
		n, err := nc.Read(buf)
		if at+n > f.each || !bytes.Equal(buf[:n], f.stream(i)[at:at+n]) {
			return fmt.Errorf("stream %d has other bytes after byte %d", i, at)
		}
		if at += n; err == io.EOF && at == f.each {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %d, after byte %d of %d: %w", i, at, f.each, err)
		}
	}
}

// A thousand tunnels that are full both ways have no goroutine. They neither lose nor mix
// bytes, also during a reload.
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
				t.Errorf("got %d goroutines for %d tunnels, want at most %d", have, n, few)
			}
			f, errs := newFloods(2*n, 256<<10), make(chan error, 4*n)
			var own sync.WaitGroup
			for i := range n {
				later := time.Now().Add(5 * time.Minute) // opening the other tunnels took time
				clients[i].SetDeadline(later)
				origins[i].SetDeadline(later)
				own.Go(func() { errs <- f.send(clients[i], 2*i) })
				own.Go(func() { errs <- f.send(origins[i], 2*i+1) })
				own.Go(func() { errs <- f.receive(origins[i], 2*i) })
				own.Go(func() { errs <- f.receive(clients[i], 2*i+1) })
			}
			if have := runtime.NumGoroutine() - before; have > 4*n+few {
				t.Errorf("got %d goroutines for %d full tunnels, beside the test's %d, want at most %d", have-4*n, n, 4*n, few)
			}
			reloaded := make(chan error, 1)
			old := s.Engine.Current()
			go func() { reloaded <- s.Reload(s.text) }()
			proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "the reload has not begun")
			proxytest.Eventually(t, func() bool { return int(f.begun.Load()) == 2*n }, "not all streams have begun")
			if n := f.sent.Load(); n > 0 {
				t.Errorf("got %d streams sent whole before anybody reads, want 0", n)
			}
			close(f.reads)
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
