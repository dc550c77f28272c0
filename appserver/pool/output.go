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
	// afterlife is how long output is read after a worker's end. A process that the
	// application has left behind may keep the pipe open for ever. Nothing waits for it.
	afterlife = 10 * time.Second
	// patience bounds the wait for goroutines whose reads do not wait.
	patience = time.Second
	// lastWords bounds the bytes that are read from a pipe before the worker's end is
	// handled. It is more than a pipe holds.
	lastWords = 2 << 20
)

// newPipe returns the front's end of a pipe, in the netpoller, and the worker's end, which
// blocks.
func newPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := pipe(fds[:]); err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	unix.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "worker output"), os.NewFile(uintptr(fds[1]), "worker output"), nil
}

// outputs are the pipes of a pool's workers from which is read.
type outputs struct {
	mu    sync.Mutex
	files map[*os.File]bool
	ended bool
	group sync.WaitGroup
}

// add registers f and calls read on a new goroutine, which closes f afterwards.
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

// linger bounds the reading of f, whose worker has ended, by afterlife.
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

// endOutput returns when the output of a worker that has exited was logged, but at the latest
// after patience. A process that it has left behind may print more.
func (w *worker) endOutput() {
	for _, f := range w.output {
		f.SetReadDeadline(past())
	}
	within(patience, w.printed.Wait)
}

// copyLines passes whole lines from f to take until f ends. It counts w.printed down when take
// has got all lines from before the worker's exit.
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

// printing is a worker's output.
type printing struct {
	output  []*os.File     // the front's ends of its pipes; the pool's outputs reads and closes them
	printed sync.WaitGroup // is done when the lines from before the worker's exit were logged
	early   lastLines      // the lines from before it was ready
}

// Logs are the destinations of a pool's events and of its workers' lines.
type Logs struct {
	Errors func() *slog.Logger // returns the error log
	Output io.Writer           // for the output of the application; nil: the error log
	Prefix bool                // each line of the application begins with the worker's name
	// Rate and Printed bound the lines that the workers print to the error log. All pools
	// of the app share Printed; nil bounds only stacks.
	Rate    Rate
	Printed *Allowance
}

// log writes a line to the error log, with the worker's name.
func (w *worker) log(level proxy.Level, format string, args ...any) {
	w.pool.logf(level, w.name+": "+format, args...)
}

// logf writes a line to the error log.
func (p *Pool) logf(level proxy.Level, format string, args ...any) {
	l := p.logger()
	if l == nil || !l.Enabled(context.Background(), level) {
		return
	}
	l.LogAttrs(context.Background(), level, fmt.Sprintf(format, args...))
}

// logger returns the error log; nil if there is none.
func (p *Pool) logger() *slog.Logger {
	if l := p.logs.Load(); l != nil {
		return l.Errors()
	}
	return nil
}
