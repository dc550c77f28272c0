package logfile

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// heldFIFO opens a log that is a FIFO whose reader holds still.
func heldFIFO(t *testing.T, o Options) (f *File, reader *os.File) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	s, err := Open(loadIn(t, dir), "x.log", o)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*File), reader
}

// overfill writes lines until some are lost.
func overfill(t *testing.T, s interface {
	Sink
	Losses() Losses
}) (written int) {
	t.Helper()
	line := []byte(strings.Repeat("x", 999) + "\n")
	for s.Losses().Lost == 0 {
		if written++; written > 100_000 {
			t.Fatal("no line was lost")
		}
		s.Write(line)
	}
	return written
}

// Write, Losses and Reopen do not wait for a reader. The lines that had room arrive, whole,
// when the reader goes on.
func TestALogWhoseReaderHoldsStillHoldsNobodyUp(t *testing.T) {
	for name, o := range map[string]Options{"each line": {}, "batches": {Buffer: 64 << 10}} {
		t.Run(name, func(t *testing.T) {
			f, reader := heldFIFO(t, o)
			n := overfill(t, f)
			if err := f.Reopen(proxytest.NewHost()); err != nil {
				t.Fatal(err)
			}
			lost := f.Losses()
			if !lost.Failing || lost.Err == nil {
				t.Errorf("%+v, want it failing, with an error", lost)
			}
			got := 0
			for r := bufio.NewReader(reader); got < n-int(lost.Lost); got++ {
				line, err := r.ReadString('\n')
				if err != nil || strings.Trim(line, "x") != "\n" {
					t.Fatalf("line %d of %d is %q: %v; want %q", got, n, line, err, "\n")
				}
			}
			f.Write([]byte("after\n"))
			f.Flush()
			proxytest.Eventually(t, func() bool { return !f.Losses().Failing }, "the spell has not ended")
			if now := f.Losses().Lost; now != lost.Lost {
				t.Errorf("%d lines lost, then %d", lost.Lost, now)
			}
		})
	}
}

// Close does not wait for a reader either.
func TestALogWhoseReaderHoldsStillCloses(t *testing.T) {
	f, _ := heldFIFO(t, Options{})
	overfill(t, f)
	f.Close()
}

// The same is true for the standard error stream: here a pipe that nothing reads.
func TestAStandardErrorThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Fd() // from here on its writers wait in the kernel, as those of a process's own do
	before := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = before }()
	s := newStderr()
	overfill(t, s)
	Say("nobody reads this")
	s.Close()
	var read sync.WaitGroup
	read.Go(func() { io.Copy(io.Discard, r) })
	proxytest.Eventually(t, func() bool { return s.relay.empty() }, "the lines that waited were not written")
	if l := s.Losses(); l.Failing || l.Lost == 0 {
		t.Errorf("%+v, want lost lines, and not failing", l)
	}
	os.Stderr.Close()
	read.Wait()
}

// empty reports whether all lines have been delivered.
func (r *relay) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle == nil
}

// Lines reach a relay's destination whole and in order, also after its goroutine has ended.
func TestARelayKeepsTheOrder(t *testing.T) {
	var got bytes.Buffer
	r := relay{lost: func(p []byte, err error) { t.Errorf("%q: %v", p, err) }}
	r.deliver = func(p []byte) { got.Write(p) }
	var want bytes.Buffer
	for i := range 1000 {
		line := strings.Repeat("x", i%7) + "\n"
		want.WriteString(line)
		r.add([]byte(line))
		if i%100 == 0 {
			r.flush()
		}
	}
	proxytest.Eventually(t, r.empty, "lines wait")
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("got %q, want %q", got.Bytes(), want.Bytes())
	}
}

// The goroutine that delivers lines looks up the name of a syslog server.
func TestASyslogServerThatIsLookedUpHoldsNobodyUp(t *testing.T) {
	s, err := newSyslog("syslog:server=127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	looking, found := make(chan bool), make(chan bool)
	s.dial = func(network, address string) (net.Conn, error) {
		close(looking)
		<-found
		return nil, os.ErrDeadlineExceeded
	}
	s.Write([]byte("one\n"))
	<-looking
	s.Write([]byte("two\n"))
	s.Reopen(nil)
	s.Losses()
	close(found)
	proxytest.Eventually(t, func() bool { return s.Losses().Lost == 2 }, "the lines are not counted")
}
