// Package logfile has the destinations of logs: files, the standard error stream and syslog. A
// destination is a Resource: there is one object for each name, which is kept across reloads,
// reopened by USR1, by a reload if another file has its path by then, and closed when no
// configuration writes to it.
//
// A Write has whole lines, which reach the destination together, so that the lines of several
// writers do not mix. It returns no error and does not wait for the reader of a log, because a
// log that cannot be written must not stop a request. Lines for a regular file are written at
// once, or held back as Options say. For a pipe, a terminal or syslog, lines wait in memory of
// a bounded size, and a goroutine delivers them. Lost lines are counted (see Losses), and
// reported on the standard error stream.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// Sink is a destination of log lines.
type Sink interface {
	io.Writer
	config.Reopener
	io.Closer
}

// Options are the parameters of a destination.
type Options struct {
	Buffer  int           // how many bytes are held back; 0: each line is written at once
	Flush   time.Duration // how long a line is held back; 0: until the buffer is full
	MaxSize int64         // the size in bytes above which the file is rotated; 0: none
	Keep    int           // how many rotated files are kept
}

// Open returns the Sink for dest: "stderr", "syslog:...", or a file's path,
// relative to the prefix directory.
func Open(l *config.Load, dest string, o Options) (Sink, error) {
	switch {
	case dest == "stderr":
		return config.Hold(l.Resources, "log stderr", func() (Sink, error) { return newStderr(), nil })
	case strings.HasPrefix(dest, "syslog:"):
		return config.Hold(l.Resources, "log "+dest, func() (Sink, error) { return newSyslog(dest) })
	}
	path := l.Path(dest)
	key := "log " + path
	if o != (Options{}) {
		key = fmt.Sprintf("log %s %v", path, o)
	}
	return config.Hold(l.Resources, key, func() (Sink, error) { return openFile(l.Resources.Host, path, o) })
}

// File is a log file.
type File struct {
	path string
	host config.Host
	o    Options

	mu      sync.Mutex
	f       *os.File
	size    int64
	buf     []byte
	timer   *time.Timer
	stopped bool // a rotation has failed; the next one comes after Reopen
	torn    bool // the file ends inside a line
	waits   bool // a write may wait, so that the relay delivers lines
	relay   relay
	losses
}

func openFile(h config.Host, path string, o Options) (*File, error) {
	f, err := h.Append(path)
	if err != nil {
		return nil, err
	}
	lf := &File{path: path, host: h, o: o, f: f, losses: losses{sum: Losses{Path: path}}}
	lf.relay = relay{deliver: lf.deliver, lost: lf.failed}
	lf.measure()
	if o.Buffer > 0 {
		lf.buf = make([]byte, 0, o.Buffer)
	}
	return lf, nil
}

// Duplicate returns another descriptor of the open file, which the caller owns; nil if f is not
// the log at path.
func (f *File) Duplicate(path string) (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path != path || f.f == nil {
		return nil, nil
	}
	fd, err := unix.FcntlInt(f.f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate the descriptor of log %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (f *File) measure() {
	f.waits = mayWait(f.f)
	if st, err := f.f.Stat(); err == nil {
		f.size = st.Size()
	}
}

// Write appends whole lines.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.o.Buffer == 0 || len(p) > f.o.Buffer {
		f.flush()
		f.write(p)
		return len(p), nil
	}
	if len(f.buf)+len(p) > f.o.Buffer {
		f.flush()
	}
	if len(f.buf) == 0 && f.o.Flush > 0 {
		f.schedule()
	}
	f.buf = append(f.buf, p...)
	return len(p), nil
}

func (f *File) schedule() {
	if f.timer != nil {
		f.timer.Reset(f.o.Flush)
		return
	}
	f.timer = time.AfterFunc(f.o.Flush, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.flush()
	})
}

func (f *File) flush() {
	if len(f.buf) > 0 {
		f.write(f.buf)
		f.buf = f.buf[:0]
	}
}

func (f *File) write(p []byte) {
	switch {
	case f.f == nil:
		return
	case f.waits:
		f.relay.add(p)
		return
	}
	if f.torn {
		f.mend()
	}
	n, err := f.f.Write(p)
	f.size += int64(n)
	if err == nil {
		f.worked()
	} else {
		f.failed(p[n:], err)
		f.torn = f.torn || n > 0 && p[n-1] != '\n'
	}
	if f.o.MaxSize > 0 && f.size > f.o.MaxSize && !f.stopped {
		f.rotate()
	}
}

// mend ends the line inside which the file ends, unless the file was emptied since.
func (f *File) mend() {
	if st, err := f.f.Stat(); err == nil && st.Size() == 0 {
		f.torn = false
		return
	}
	_, err := f.f.Write([]byte{'\n'})
	f.torn = err != nil
}

// deliver writes p to the file that is open now, and waits for the write.
func (f *File) deliver(p []byte) {
	for {
		f.mu.Lock()
		out := f.f
		f.mu.Unlock()
		if out == nil {
			f.failed(p, os.ErrClosed)
			return
		}
		n, err := out.Write(p)
		if p = p[n:]; err == nil {
			f.worked()
			return
		}
		if !errors.Is(err, os.ErrClosed) { // ErrClosed: the log was reopened meanwhile
			f.failed(p, err)
			return
		}
	}
}

// rotate renames NAME to NAME.1, NAME.1 to NAME.2 and so on, and opens a new file.
func (f *File) rotate() {
	for i := f.o.Keep; i >= 1; i-- {
		from := fmt.Sprintf("%s.%d", f.path, i-1)
		if i == 1 {
			from = f.path
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", f.path, i)); err != nil && !os.IsNotExist(err) {
			f.stopped = true
			Say(fmt.Sprintf("alicorn: cannot rotate %s: %v", f.path, err))
			return
		}
	}
	if err := f.reopen(f.host); err != nil {
		f.stopped = true
		Say(fmt.Sprintf("alicorn: cannot reopen %s after rotation: %v", f.path, err))
	}
}

// Reopen opens the path again, and closes the old file.
func (f *File) Reopen(h config.Host) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finish()
	return f.reopen(h)
}

// ReopenMoved does what Reopen does if the path leads to another file by now, or to none. It
// closes a file that it has opened in vain, because this process could not see what is there.
func (f *File) ReopenMoved(h config.Host) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st, err := os.Stat(f.path); err == nil && f.isOpen(st) {
		return nil
	}
	n, err := h.Append(f.path)
	if err != nil {
		return err
	}
	if st, err := n.Stat(); err == nil && f.isOpen(st) {
		return n.Close()
	}
	f.finish()
	f.replace(n)
	return nil
}

// isOpen reports whether st is of the file that is open.
func (f *File) isOpen(st os.FileInfo) bool {
	open, err := f.f.Stat()
	return err == nil && os.SameFile(open, st)
}

// finish writes the lines that are held back, before another file takes the place of the open
// one. If that was removed, they stay for the new file.
func (f *File) finish() {
	if st, err := f.f.Stat(); err != nil || !removed(st) {
		f.flush()
	}
	f.stopped = false
}

// removed reports whether the file of st has no name any more.
func removed(st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}

func (f *File) reopen(h config.Host) error {
	n, err := h.Append(f.path)
	if err != nil {
		return err
	}
	f.replace(n)
	return nil
}

// replace makes n the open file, and closes the one before.
func (f *File) replace(n *os.File) {
	if st, err := n.Stat(); err == nil && !f.isOpen(st) {
		f.torn = false
	}
	f.f.Close()
	f.f = n
	f.measure()
}

// Flush writes the lines that are held back.
func (f *File) Flush() {
	f.mu.Lock()
	f.flush()
	f.mu.Unlock()
	f.relay.flush()
}

// Close writes the lines that are held back, and closes the file. Lines that still wait in the
// relay after lastChance are lost.
func (f *File) Close() error {
	f.Flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.flush()
	err := f.f.Close()
	f.f = nil
	return err
}
