package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

const (
	// afterlife is how long output is read after a worker's end. A process that
	// the application left behind may keep the pipe open forever. Nothing waits
	// for it.
	afterlife = 10 * time.Second
	// patience bounds a wait for goroutines that read without waiting.
	patience = time.Second
	// lastWords bounds the bytes that are read from one pipe before the worker's
	// end is handled. It is more than a pipe holds.
	lastWords = 2 << 20
)

// newPipe returns the front's end, in the netpoller, and the worker's, blocking.
func newPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := pipe(fds[:]); err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	unix.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "worker output"), os.NewFile(uintptr(fds[1]), "worker output"), nil
}

// outputs are the pipes of a pool's workers that are being read.
type outputs struct {
	mu    sync.Mutex
	files map[*os.File]bool
	ended bool
	group sync.WaitGroup
}

// add registers f and has read copy it.
func (o *outputs) add(f *os.File, read func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files == nil {
		o.files = map[*os.File]bool{}
	}
	o.files[f] = true
	o.group.Go(func() {
		read()
		o.mu.Lock()
		delete(o.files, f)
		o.mu.Unlock()
		f.Close()
	})
}

// linger bounds how long f, of a worker that has ended, is still read.
func (o *outputs) linger(f *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		f.SetReadDeadline(past())
	} else {
		f.SetReadDeadline(time.Now().Add(afterlife))
	}
}

// end ends all reading.
func (o *outputs) end() {
	o.mu.Lock()
	o.ended = true
	for f := range o.files {
		f.SetReadDeadline(past())
	}
	o.mu.Unlock()
	within(patience, o.group.Wait)
}

// past returns a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// within calls wait and returns when wait has returned, but at the latest after d.
func within(d time.Duration, wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// endOutput returns when the output of the worker, which has exited, is logged. A
// process that it left behind may print more for a while.
func (w *worker) endOutput() {
	for _, f := range w.output {
		f.SetReadDeadline(past())
	}
	within(patience, w.printed.Wait)
}

// copyLines passes whole lines from f to take until f ends. It counts w.printed down
// when take has had everything that the worker printed before its exit.
func (w *worker) copyLines(f *os.File, take func(lines []byte)) {
	l := lines{take: take}
	err := l.copy(f.Read)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		total := 0
		l.copy(func(p []byte) (n int, err error) {
			n, err = readNow(f, p)
			if total += n; total > lastWords {
				err = io.EOF
			}
			return n, err
		})
	}
	l.flush()
	w.printed.Done()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.pool.outputs.linger(f)
		l.copy(f.Read)
		l.flush()
	}
}

// readNow reads from a pipe without waiting.
func readNow(f *os.File, p []byte) (n int, err error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctl := rc.Control(func(fd uintptr) {
		for n, err = unix.Read(int(fd), p); err == unix.EINTR; n, err = unix.Read(int(fd), p) {
		}
	})
	if n = max(n, 0); n == 0 && err == nil {
		err = io.EOF
	}
	return n, cmp.Or(ctl, err)
}

// printing is what a worker prints, and who reads it.
type printing struct {
	output  []*os.File     // read ends, by the pool's outputs
	printed sync.WaitGroup // what they held at the worker's end is logged
	early   lastLines      // what it printed before it was ready
}

// Logs are the destinations of a pool's events and of its workers' lines.
type Logs struct {
	Errors func() *slog.Logger // for events outside of requests
	Output io.Writer           // of what the workers print; nil: the error log
	Prefix bool                // each line begins with the worker's name
	// Rate bounds what the workers print to the error log. Printed counts it, for all
	// pools of the app; nil: nothing is bounded but stacks.
	Rate    Rate
	Printed *Allowance
}

// log writes a line to the error log under the worker's name.
func (w *worker) log(level proxy.Level, format string, args ...any) {
	w.pool.logf(level, w.name+": "+format, args...)
}

func (p *Pool) logf(level proxy.Level, format string, args ...any) {
	l := p.logger()
	if l == nil || !l.Enabled(context.Background(), level) {
		return
	}
	l.LogAttrs(context.Background(), level, fmt.Sprintf(format, args...))
}

func (p *Pool) logger() *slog.Logger {
	if l := p.logs.Load(); l != nil {
		return l.Errors()
	}
	return nil
}
