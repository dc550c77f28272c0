package logfile

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// mostWaiting is how many bytes may wait for a slow destination. Further lines are
	// lost.
	mostWaiting = 1 << 20
	// mostSpare is the largest buffer, in bytes, that is kept for the next lines.
	mostSpare = 128 << 10
	// lastChance is how long Flush and Close wait until a destination takes the lines that
	// wait.
	lastChance = 500 * time.Millisecond
)

var errNotTaken = errors.New("the reader does not take earlier lines")

// relay passes lines to a destination for which a writer may have to wait: a pipe, a terminal,
// a socket, a server whose name must be looked up. A goroutine delivers the lines and waits,
// so that a caller of add does not.
type relay struct {
	deliver func(p []byte) // whole lines; one call at a time
	lost    func(p []byte, err error)

	mu      sync.Mutex
	waiting []byte
	spare   []byte        // an empty buffer for the next lines, while the goroutine has the other
	idle    chan struct{} // closed when the goroutine ends; nil: there is none
}

// add takes whole lines. If more than mostWaiting bytes would wait, they are lost.
func (r *relay) add(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.waiting); n > 0 && n+len(p) > mostWaiting {
		r.lost(p, errNotTaken)
		return
	}
	r.waiting = append(r.waiting, p...)
	if r.idle == nil {
		r.idle = make(chan struct{})
		go r.run(r.idle)
	}
}

// run delivers lines until no more wait.
func (r *relay) run(idle chan struct{}) {
	defer close(idle)
	for {
		r.mu.Lock()
		p := r.waiting
		if len(p) == 0 {
			r.idle = nil
			r.mu.Unlock()
			return
		}
		r.waiting, r.spare = r.spare, nil
		r.mu.Unlock()
		r.deliver(p)
		if cap(p) <= mostSpare {
			r.mu.Lock()
			r.spare = p[:0]
			r.mu.Unlock()
		}
	}
}

// flush waits until all lines are delivered, but not longer than lastChance.
func (r *relay) flush() {
	r.mu.Lock()
	idle := r.idle
	r.mu.Unlock()
	if idle == nil {
		return
	}
	t := time.NewTimer(lastChance)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}

// mayWait reports whether a write to f may have to wait for a reader: f is not a regular file.
func mayWait(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && !st.Mode().IsRegular()
}

// Say writes a line to the standard error stream without waiting for its reader. The line is
// lost if the stream has no room for it.
func Say(text string) {
	out := os.Stderr
	if !mayWait(out) {
		_, _ = out.WriteString(text + "\n") // there is no other place to report to
		return
	}
	if !takes(out) {
		return
	}
	go func() { // the write may wait after all, if another writer fills the stream first
		rc, err := out.SyscallConn()
		if err == nil {
			_ = rc.Control(func(fd uintptr) { _, _ = unix.Write(int(fd), []byte(text+"\n")) })
		}
	}()
}

// takes reports whether f has room for a line now.
func takes(f *os.File) (ready bool) {
	rc, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = rc.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, 0)
		ready = err == nil && n > 0
	})
	return err == nil && ready
}
