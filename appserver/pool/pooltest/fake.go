// Package pooltest is workers for tests of pools: goroutines that speak the worker protocol.
package pooltest

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// Fakes starts workers, each of which runs the script. They have one thread.
type Fakes struct {
	Script func(f *Fake)
	// Boot runs before a worker says that it is ready; false: it ends instead. nil: it is
	// ready at once.
	Boot func(f *Fake) bool
	// Concurrency is how many requests a worker runs at a time: they are ASGI workers. 0:
	// they are WSGI workers.
	Concurrency int

	mu  sync.Mutex
	all []*Fake
	wg  sync.WaitGroup
}

// Fake is a worker's end of the protocol. It ends when its Script returns.
type Fake struct {
	Number  int // from 0, in the order of their starts
	Channel int // its socket
	Page    wire.Page
	Lane    *Lane         // nil without
	Killed  chan struct{} // closed upon TERM and KILL
	Streams int           // the socket of an ASGI worker's stream channel

	Concurrency int
	heard       []byte // what was received by it and not returned yet

	exited chan pool.Exit
	once   sync.Once
}

// For returns Launch.
func (l *Fakes) For(string) func(pool.Order) (pool.Process, error) { return l.Launch }

// Wait waits until all workers have ended.
func (l *Fakes) Wait() { l.wg.Wait() }

// Started returns how many workers were started.
func (l *Fakes) Started() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Fake returns worker n, counted from 0.
func (l *Fakes) Fake(n int) *Fake {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[n]
}

// Launch starts a worker.
func (l *Fakes) Launch(o pool.Order) (pool.Process, error) {
	if err := o.Check(1, l.Concurrency); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &Fake{Number: len(l.all), Concurrency: l.Concurrency, Streams: -1, exited: make(chan pool.Exit, 1), Killed: make(chan struct{})}
	fd, err := unix.FcntlInt(o.Files[pool.FileChannel].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f.Channel = fd
	lines := 1
	if l.Concurrency > 0 {
		lines = pool.PageLines(l.Concurrency)
		if err := f.openStreams(o); err != nil {
			return nil, err
		}
	}
	if f.Page, err = unix.Mmap(int(o.Files[pool.FilePage].Fd()), 0, wire.PageStride*lines, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	if o.Lane != (wire.Geometry{}) {
		if f.Lane, err = newLane(o.Files[pool.FileBell+1], o.Lane); err != nil {
			return nil, err
		}
	}
	l.all = append(l.all, f)
	l.wg.Go(func() {
		if l.Boot == nil || l.Boot(f) {
			f.Send(wire.KindReady, 0, 0, wire.AppendValue(nil, map[string]any{"version": "3"}))
			l.Script(f)
		}
		unix.Munmap(f.Page)
		f.Lane.close()
		unix.Close(f.Channel)
		if f.Streams >= 0 {
			unix.Close(f.Streams)
		}
		f.exited <- pool.Exit{Code: 0}
	})
	return f, nil
}

// Pid returns that of no process.
func (f *Fake) Pid() int { return 1 << 30 }

// User returns a name that no user has.
func (f *Fake) User() string { return "fake" }

// Exited implements pool.Process.
func (f *Fake) Exited() <-chan pool.Exit { return f.exited }

// Signal closes Killed.
func (f *Fake) Signal(s syscall.Signal) error {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		f.once.Do(func() { close(f.Killed) })
	}
	return nil
}

// Receive waits for a frame and returns its id; false when retired or killed.
func (f *Fake) Receive() (uint32, bool) {
	b, ok := f.Frame()
	if !ok {
		return 0, false
	}
	return wiretest.ID(b), true
}

// Frame waits for a frame; false when retired or killed.
func (f *Fake) Frame() ([]byte, bool) {
	b := make([]byte, wire.MaxFrame)
	for {
		p := []unix.PollFd{{Fd: int32(f.Channel), Events: unix.POLLIN}}
		unix.Poll(p, 20)
		n, _, _, _, err := unix.Recvmsg(f.Channel, b, nil, unix.MSG_DONTWAIT)
		if err == nil && n >= wire.HeaderSize {
			return b[:n], true
		}
		if err == nil && n == 0 {
			return nil, false
		}
		select {
		case <-f.Killed:
			return nil, false
		default:
		}
	}
}

// Send sends a frame by the channel.
func (f *Fake) Send(kind, flags byte, id uint32, rest []byte) {
	f.Raw(append(wire.AppendHeader(nil, kind, flags, id), rest...))
}

// Raw sends bytes by the channel.
func (f *Fake) Raw(b []byte) { unix.Sendto(f.Channel, b, unix.MSG_NOSIGNAL, nil) }

// Start marks a request started.
func (f *Fake) Start(id uint32) { f.Page.Word(0, wire.PageMark).Store(id) }

// Answer sends a whole response.
func (f *Fake) Answer(id uint32, body string) {
	f.Start(id)
	f.Send(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), body...))
}

// Serve answers every request with the worker's number.
func (f *Fake) Serve() {
	for id, ok := f.Receive(); ok; id, ok = f.Receive() {
		f.Answer(id, fmt.Sprint(f.Number))
	}
}
