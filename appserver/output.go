package appserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

const (
	maxLine = 4096 // bytes of one line; a longer one is split
	// afterlife is how long output is read after a worker's end: a process
	// that the application left behind may hold the pipe open for ever.
	// Nothing waits for it.
	afterlife = 10 * time.Second
	// patience bounds a wait for goroutines that read without waiting.
	patience = time.Second
	// lastWords bounds what is read of one pipe before the worker's end is
	// handled: more than a pipe holds.
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

// linger bounds how long f, of a worker that has ended, is read further.
func (o *outputs) linger(f *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		f.SetReadDeadline(past())
	} else {
		f.SetReadDeadline(time.Now().Add(afterlife))
	}
}

// end has all reading end.
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

// within calls wait and returns when it has returned, but at the latest after d.
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

// endOutput returns once all that the worker, which has exited, had printed is
// logged. A process that it left behind may print more for a while.
func (w *worker) endOutput() {
	for _, f := range w.output {
		f.SetReadDeadline(past())
	}
	within(patience, w.printed.Wait)
}

// copyLines logs what f gives, line by line, until it ends. It counts w.printed
// down once it has logged what there was when the worker exited.
func (w *worker) copyLines(f *os.File, level proxy.Level) {
	l := lines{buf: make([]byte, 0, maxLine), log: func(ended [][]byte) { w.logLines(level, ended) }}
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

// readNow reads what a pipe holds, without waiting.
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

// lines cuts output into lines.
type lines struct {
	buf   []byte // of a line that has not ended
	ended [][]byte
	// log is called once for all the lines that end in one read: an application
	// that prints much costs a write to the log for each read, not for each line.
	log func(ended [][]byte)
}

// flush logs what has come of a line that has not ended.
func (l *lines) flush() {
	if len(l.buf) > 0 {
		l.log([][]byte{l.buf})
	}
	l.buf = l.buf[:0]
}

// copy logs what read gives until that fails, and returns why.
func (l *lines) copy(read func(p []byte) (int, error)) error {
	for {
		n, err := read(l.buf[len(l.buf):cap(l.buf)])
		l.buf = l.buf[:len(l.buf)+n]
		rest := l.cut()
		if len(l.ended) > 0 {
			l.log(l.ended)
		}
		l.buf = l.buf[:copy(l.buf[:cap(l.buf)], rest)]
		if err != nil {
			return err
		}
	}
}

// cut finds the lines that have ended, those that are too long too, and returns
// what is left of buf.
func (l *lines) cut() (rest []byte) {
	l.ended, rest = l.ended[:0], l.buf
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		l.ended = append(l.ended, rest[:i])
		rest = rest[i+1:]
	}
	if len(rest) == cap(l.buf) {
		l.ended = append(l.ended, rest)
		rest = nil
	}
	return rest
}

// logLines logs the lines that are not empty.
func (w *worker) logLines(level proxy.Level, ended [][]byte) {
	messages := make([]string, 0, len(ended))
	for _, line := range ended {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			w.early.add(line)
			messages = append(messages, w.name+": "+string(line))
		}
	}
	logAll(w.pool.logger(), level, messages)
}

// batchHandler is a slog.Handler that writes several events at once.
type batchHandler interface {
	HandleAll(ctx context.Context, at time.Time, level slog.Level, messages []string) error
}

// logAll logs an event for each message, in order.
func logAll(l *slog.Logger, level proxy.Level, messages []string) {
	ctx := context.Background()
	if len(messages) == 0 || l == nil || !l.Enabled(ctx, level) {
		return
	}
	if h, ok := l.Handler().(batchHandler); ok {
		_ = h.HandleAll(ctx, time.Now(), level, messages) // as slog.Logger does with Handle's
		return
	}
	for _, message := range messages {
		l.LogAttrs(ctx, level, message)
	}
}

// lastLines are the last lines that a worker has printed before it was ready:
// they say why it never was.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	off   bool
}

func (l *lastLines) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return
	}
	if l.lines = append(l.lines, string(line)); len(l.lines) > 40 {
		l.lines = l.lines[1:]
	}
}

// end stops keeping lines and returns those kept.
func (l *lastLines) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(l.lines, "\n")
	l.lines, l.off = nil, true
	return text
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
	if f := p.logs.Load(); f != nil {
		return (*f)()
	}
	return nil
}
