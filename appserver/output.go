package appserver

import (
	"bytes"
	"context"
	"fmt"
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
	afterlife = time.Second
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

// copyLines logs what f gives, line by line, until it ends.
func (w *worker) copyLines(f *os.File, level proxy.Level) {
	defer f.Close()
	buf := make([]byte, 0, maxLine)
	for {
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			w.logLine(level, rest[:i])
			rest = rest[i+1:]
		}
		if len(rest) == cap(buf) {
			w.logLine(level, rest)
			rest = nil
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if err != nil {
			w.logLine(level, buf)
			return
		}
	}
}

func (w *worker) logLine(level proxy.Level, line []byte) {
	if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
		w.early.add(line)
		w.log(level, "%s", line)
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
