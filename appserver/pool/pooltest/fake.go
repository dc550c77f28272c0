// Package pooltest has workers for tests of pools: goroutines that use the worker protocol.
package pooltest

import (
	"cmp"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// Fakes starts workers. A WSGI worker has one thread.
type Fakes struct {
	Script func(f *Fake) // what each worker does
	// Boot runs before a worker is ready. If it returns false, the worker ends. With a nil
	// Boot workers are ready at once.
	Boot func(f *Fake) bool
	// Concurrency is how many requests an ASGI worker runs at a time. If it is 0, the workers
	// are of WSGI.
	Concurrency int
	// PID is the process id of all workers. If it is 0, they have one that no process has.
	PID int

	mu  sync.Mutex
	all []*Fake
	wg  sync.WaitGroup
}

// Fake is a worker's end of the protocol. It ends when its Script returns.
type Fake struct {
	Number  int // in the order of starts, from 0
	Channel int // the socket of its channel
	Page    wire.Page
	Lane    *Lane         // nil if there is none
	Killed  chan struct{} // closed by TERM and KILL
	Streams int           // the socket of its stream channel; -1 for a WSGI worker
	Exit    pool.Exit     // how its process ends; Boot and Script may set it

	Concurrency int
	pid         int
	heard       []byte // frames of the stream channel that Heard has not returned yet

	exited chan pool.Exit
	once   sync.Once
}

// For returns Launch, for all apps.
func (l *Fakes) For(string) func(pool.Order) (pool.Process, error) { return l.Launch }

// Wait waits until all workers have ended.
func (l *Fakes) Wait() { l.wg.Wait() }

// Started returns how many workers were started.
func (l *Fakes) Started() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Fake returns the worker with Number n.
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
	f := &Fake{Number: len(l.all), Concurrency: l.Concurrency, Streams: -1, pid: cmp.Or(l.PID, 1<<30), exited: make(chan pool.Exit, 1), Killed: make(chan struct{})}
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
		f.exited <- f.Exit
	})
	return f, nil
}

// Pid implements pool.Process.
func (f *Fake) Pid() int { return f.pid }

// User implements pool.Process. It returns a name that no user has.
func (f *Fake) User() string { return "fake" }

// Exited implements pool.Process.
func (f *Fake) Exited() <-chan pool.Exit { return f.exited }

// Signal implements pool.Process. TERM and KILL close Killed.
func (f *Fake) Signal(s syscall.Signal) error {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		f.once.Do(func() { close(f.Killed) })
	}
	return nil
}

// Receive waits for a frame and returns its id. ok is false if the worker was retired or killed.
func (f *Fake) Receive() (uint32, bool) {
	b, ok := f.Frame()
	if !ok {
		return 0, false
	}
	return wiretest.ID(b), true
}

// Frame waits for a frame. It returns false if the worker was retired or killed.
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

// Start marks a request as started.
func (f *Fake) Start(id uint32) { f.Page.Word(0, wire.PageMark).Store(id) }

// Answer sends a whole response.
func (f *Fake) Answer(id uint32, body string) {
	f.Start(id)
	f.Send(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), body...))
}

// Serve answers each request of the channel with the worker's number.
func (f *Fake) Serve() {
	for id, ok := f.Receive(); ok; id, ok = f.Receive() {
		f.Answer(id, fmt.Sprint(f.Number))
	}
}
