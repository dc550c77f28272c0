package wire

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// newTestStreams returns both ends of a stream channel, with a loop or without one. lost gets the
// errors with which the function lost is called.
func newTestStreams(t *testing.T, looped bool) (s *Streams, theirs *os.File, lost chan error) {
	var loop *eventloop.Loop
	if looped {
		loops, err := eventloop.New(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(loops.Close)
		loop = loops.Next()
	}
	lost = make(chan error, 10)
	s, theirs, err := NewStreams(loop, 64<<20, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		theirs.Close()
	})
	if !looped {
		go s.Send()
	}
	return s, theirs, lost
}

// inBothWays runs test with a loop and without one.
func inBothWays(t *testing.T, test func(t *testing.T, looped bool)) {
	for _, looped := range []bool{true, false} {
		t.Run(fmt.Sprintf("loop %v", looped), func(t *testing.T) { test(t, looped) })
	}
}

// expectFrames reads frames 1 to n.
func expectFrames(t *testing.T, theirs *os.File, n int) {
	t.Helper()
	b := make([]byte, MaxFrame)
	for next := 1; next <= n; {
		size, err := unix.Read(int(theirs.Fd()), b)
		if err != nil || size == 0 {
			t.Fatalf("got %d bytes, %v, want frame %d", size, err, next)
		}
		for rest := b[:size]; len(rest) > 0; next++ {
			var frame []byte
			if frame, rest, err = NextFrame(rest); err != nil {
				t.Fatal(err)
			}
			if f, _ := parse(frame); int(f.ID) != next {
				t.Fatalf("got frame %d, want %d", f.ID, next)
			}
		}
	}
}

// put puts a frame with a payload of size bytes.
func put(s *Streams, id, size int) {
	s.Put(nil, KindMessage, 0, 0, uint32(id), nil, make([]byte, size))
}

// Frames without credit, such as those that cancel requests, are bounded, too.
func TestAWorkerThatReadsNothingIsGivenUp(t *testing.T) {
	inBothWays(t, func(t *testing.T, looped bool) {
		s, _, lost := newTestStreams(t, looped)
		for id := 1; len(lost) == 0; id++ {
			if put(s, id, 10_000); id > 20_000 {
				t.Fatal("got 200 MB kept for the worker, want at most 64 MiB")
			}
		}
		if err := <-lost; err != errUnread {
			t.Errorf("got %v, want %v", err, errUnread)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.batches != nil || s.batch != nil {
			t.Error("got frames that are kept, want none")
		}
	})
}

func TestFramesWaitForRoom(t *testing.T) {
	inBothWays(t, func(t *testing.T, looped bool) {
		s, theirs, _ := newTestStreams(t, looped)
		const n = 5000
		for id := 1; id <= n; id++ {
			put(s, id, id%5*1000)
		}
		expectFrames(t, theirs, n)
	})
}

// flood puts frames 1 to n in one turn.
type flood struct {
	s *Streams
	n int
}

// Ready implements eventloop.Handler.
func (f *flood) Ready(*eventloop.Turn) {
	for id := 1; id <= f.n; id++ {
		put(f.s, id, 4)
	}
}

func TestFramesOfATurnAreOneMessage(t *testing.T) {
	s, theirs, _ := newTestStreams(t, true)
	const n = 100
	s.Event.Loop().Later(&flood{s, n})
	b := make([]byte, MaxFrame)
	if size, err := theirs.Read(b); size != n*(LengthSize+HeaderSize+4) {
		t.Errorf("got a message of %d bytes, %v, want %d frames", size, err, n)
	}
}

func TestFramesWaitForMemory(t *testing.T) {
	inBothWays(t, func(t *testing.T, looped bool) {
		s, theirs, lost := newTestStreams(t, looped)
		var tries atomic.Int32
		s.mu.Lock()
		write := s.write
		s.write = func(p []byte) (int, error) {
			n := tries.Add(1)
			if n > 3 {
				return write(p)
			}
			write(make([]byte, 8<<20)) // fails, as it is too long for the socket
			return 0, &os.PathError{Err: []error{unix.ENOBUFS, unix.ENOMEM}[n%2]}
		}
		s.mu.Unlock()
		for id := 1; id <= 10; id++ {
			put(s, id, 50000)
		}
		expectFrames(t, theirs, 10)
		if len(lost) > 0 {
			t.Errorf("got lost called with %v, want it not called", <-lost)
		}
	})
}

func TestLostIsCalledOnce(t *testing.T) {
	inBothWays(t, func(t *testing.T, looped bool) {
		for _, c := range []struct {
			name string
			have func(s *Streams, theirs *os.File)
			want error
		}{
			{"too long for the socket", func(s *Streams, _ *os.File) {
				unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
			}, unix.EMSGSIZE},
			{"the worker has closed its end", func(_ *Streams, theirs *os.File) { theirs.Close() }, ErrEnded},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, theirs, lost := newTestStreams(t, looped)
				c.have(s, theirs)
				for id := 1; id <= 3; id++ {
					put(s, id, 60000)
				}
				if err := <-lost; !errors.Is(err, c.want) {
					t.Errorf("got lost called with %v, want %v", err, c.want)
				}
				put(s, 4, 60000)
				select {
				case err := <-lost:
					t.Errorf("got lost called again with %v, want one call", err)
				case <-time.After(2 * shortage):
				}
			})
		}
	})
}

// Messages that a worker has sent before it died are received, even if it has left frames
// unread.
func TestTheLastMessageOfAWorkerThatLeftFramesUnread(t *testing.T) {
	inBothWays(t, func(t *testing.T, looped bool) {
		s, theirs, _ := newTestStreams(t, looped)
		put(s, 1, 1)
		if _, _, err := unix.Recvfrom(int(theirs.Fd()), make([]byte, 1), unix.MSG_PEEK); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write([]byte("words")); err != nil {
			t.Fatal(err)
		}
		theirs.Close()
		read := s.TryRead
		if !looped {
			read = s.Read
		}
		b := make([]byte, MaxFrame)
		if n, _, err := read(b); err != nil || string(b[:n]) != "words" {
			t.Errorf(`got %q, %v, want "words"`, b[:n], err)
		}
		if n, _, err := read(b); n != 0 || err != nil {
			t.Errorf("after it: got %d bytes, %v, want the end", n, err)
		}
	})
}
