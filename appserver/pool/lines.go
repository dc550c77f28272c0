package pool

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"alicorn/proxy"
)

const (
	// maxLine bounds the bytes of a line with its end. A longer one is split.
	maxLine = 256 << 10
	// usualLine is the capacity of the first buffer. After a longer line a buffer of up to
	// keptLine is kept.
	usualLine = 4096
	keptLine  = 32 << 10
	// maxEarly bounds the bytes that lastLines keeps of a line.
	maxEarly = 4096
)

// lines gathers output into whole lines.
type lines struct {
	buf []byte // a line that has not ended
	// take is called once for all lines that end in one read, so that an application that
	// prints much costs one write to the log for each read. Each line has its line end.
	take func(lines []byte)
}

// copy passes lines from read to take until read fails, and returns that error.
func (l *lines) copy(read func(p []byte) (int, error)) error {
	for {
		l.makeRoom()
		before := len(l.buf)
		n, err := read(l.buf[before:min(cap(l.buf), maxLine-1)])
		l.buf = l.buf[:before+n]
		if end := bytes.LastIndexByte(l.buf[before:], '\n'); end >= 0 {
			end += before + 1
			l.take(l.buf[:end])
			l.keep(l.buf[end:])
		} else if len(l.buf) == maxLine-1 {
			l.flush()
		}
		if err != nil {
			return err
		}
	}
}

// makeRoom makes room for a read, if need be by doubling buf.
func (l *lines) makeRoom() {
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), min(max(2*cap(l.buf), usualLine), maxLine))
		copy(grown, l.buf)
		l.buf = grown
	}
}

// keep keeps the beginning of a line for the next read. It frees the memory of a long line.
func (l *lines) keep(rest []byte) {
	if cap(l.buf) > keptLine && len(rest) < usualLine {
		l.buf = append(make([]byte, 0, usualLine), rest...)
		return
	}
	l.buf = l.buf[:copy(l.buf[:cap(l.buf)], rest)]
}

// flush passes an unfinished line to take, with a line end.
func (l *lines) flush() {
	if len(l.buf) > 0 {
		l.take(append(l.buf, '\n'))
	}
	l.keep(nil)
}

// printLines writes lines of the application's output to their destination.
func (w *worker) printLines(lines []byte) {
	w.early.add(lines)
	l := w.pool.logs.Load()
	if l == nil {
		return
	}
	if l.Output == nil {
		lines = w.pool.allowed(l.Printed, lines)
	}
	if l.Prefix {
		lines = prefixed(w.name+": ", lines)
	}
	if l.Output != nil {
		l.Output.Write(lines) // a Sink returns no errors
		return
	}
	printLog(l.Errors(), lines)
}

// logLines writes lines of the logger gunicorn.error to the error log unchanged.
func (w *worker) logLines(lines []byte) {
	w.early.add(lines)
	l := w.pool.logs.Load()
	if l == nil {
		return
	}
	lines = w.pool.allowed(l.Printed, lines)
	if l.Prefix {
		lines = prefixed(w.name+": ", lines)
	}
	printLog(l.Errors(), lines)
}

// prefixed returns lines, each of which begins with prefix.
func prefixed(prefix string, lines []byte) []byte {
	out := make([]byte, 0, len(lines)+len(prefix)*bytes.Count(lines, []byte{'\n'}))
	for line := range bytes.Lines(lines) {
		out = append(append(out, prefix...), line...)
	}
	return out
}

// printer is a slog.Handler that can also write whole lines unchanged, at any level.
type printer interface{ Print(lines []byte) }

// printLog writes whole lines to l; as events if l's handler is not a printer.
func printLog(l *slog.Logger, lines []byte) {
	if l == nil || len(lines) == 0 {
		return
	}
	if h, ok := l.Handler().(printer); ok {
		h.Print(lines)
		return
	}
	for line := range bytes.Lines(lines) {
		l.LogAttrs(context.Background(), proxy.LevelNotice, string(bytes.TrimRight(line, "\r\n")))
	}
}

// logStacks logs lines of faulthandler, each with the worker's name.
func (w *worker) logStacks(lines []byte) {
	var messages []string
	w.early.add(lines)
	for line := range bytes.Lines(w.pool.allowed(&w.pool.stacks, lines)) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			messages = append(messages, w.name+": "+string(line))
		}
	}
	logAll(w.pool.logger(), proxy.LevelError, messages)
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
		_ = h.HandleAll(ctx, time.Now(), level, messages) // slog.Logger ignores Handle's error too
		return
	}
	for _, message := range messages {
		l.LogAttrs(ctx, level, message)
	}
}

// lastLines keeps the last 40 lines that a worker prints before it is ready. They may show why
// it does not become ready.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	off   bool // no more lines are kept
}

func (l *lastLines) add(lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return
	}
	for line := range bytes.Lines(lines) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			l.lines = append(l.lines, string(line[:min(len(line), maxEarly)]))
		}
	}
	if n := len(l.lines) - 40; n > 0 {
		l.lines = slices.Delete(l.lines, 0, n)
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
