package eventloop

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Handler is what a Loop calls when its Descriptor is ready, or past the
// deadline that Idle gave. The goroutine owns the descriptor then, until it
// calls Idle (and that returns true) or Close.
type Handler interface {
	Ready(t *Turn)
}

// Watcher is a Handler that a Loop also calls, once its owner has called Watch, when
// the peer has ended its sending side, closed or reset while the descriptor is owned,
// and so perhaps while the owner works. Of the Handler Left uses only what may be used
// beside its owner.
type Watcher interface {
	Handler
	Left(t *Turn)
}

// Bits of a Descriptor's state.
const (
	readable   uint32 = 1 << iota // since the last read began
	writable                      // since the last write began
	halfClosed                    // the peer has ended its sending side
	dead                          // closed both ways, or failed
	owned                         // a goroutine works on it
	waitRead                      // that goroutine waits
	waitWrite
	expired   // the deadline has passed
	late      // it has passed while a goroutine worked, or was about to wait
	untried   // nothing was written since the peer has ended its sending side
	watched   // the handler is a Watcher
	wantWrite // given to the Loop by IdleBoth
)

// Descriptor is a descriptor in a Loop. Its methods are for the goroutine that
// owns it, but for Cut, Gone, Lost, Idled, Pending and Hurry.
type Descriptor struct {
	loop    *Loop
	fd      int
	tag     int32
	labors  bool // the owner has a place for work that takes long
	writes  bool // polled for writing too: a write has had to wait
	overran bool // the watch has taken the lead from the owner
	state   atomic.Uint32
	handler Handler // nil until it is started
	turn    *Turn   // under which the owner runs; nil when it does not lead
	wake    chan struct{}
	timer   timer
	idled   atomic.Int64 // when it was given to the Loop last, by the Loop's clock

	mu     sync.Mutex // orders Cut and Close
	closed bool
}

// Add registers fd, which must not block, and takes it over. h is called when
// it is readable, or when timeout has passed (0: never). Nobody owns it at first.
// Without a handler readiness is only noted: see Readable.
func (l *Loop) Add(fd int, h Handler, timeout time.Duration) (*Descriptor, error) {
	d := &Descriptor{}
	return d, d.start(l, fd, h, timeout)
}

func (d *Descriptor) start(l *Loop, fd int, h Handler, timeout time.Duration) error {
	d.loop, d.fd, d.handler = l, fd, h
	d.timer.reset()
	writes := d.writes // later its owner's
	l.table.put(d)
	now := l.clock()
	d.idled.Store(now)
	if timeout > 0 {
		l.timers.set(d, now+int64(timeout))
	}
	if err := l.poller.watch(fd, d.tag, writes); err != nil {
		l.table.drop(d)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// Detach is Turn.Detach where the owner leads, and does nothing where it does not.
func (d *Descriptor) Detach() {
	if t := d.turn; t != nil {
		d.overran = d.overran || t.taken()
		d.turn = nil
		t.Detach()
	}
}

// Overran reports whether the owner has blocked its loop since the last call: the
// watch has taken its lead.
func (d *Descriptor) Overran() bool {
	if t := d.turn; t != nil && t.taken() {
		d.Detach()
	}
	ran := d.overran
	d.overran = false
	return ran
}

// Enter says that the owner now runs under t; nil: on a goroutine of its own.
func (d *Descriptor) Enter(t *Turn) { d.turn = t }

// Loop returns the Loop that it is in.
func (d *Descriptor) Loop() *Loop { return d.loop }

// Turn returns what Enter or the Loop set.
func (d *Descriptor) Turn() *Turn { return d.turn }

// Adopt has h called in place of the Handler before, and reports true, where the
// descriptor was started: the caller, who owns it, goes on owning it.
func (d *Descriptor) Adopt(h Handler) bool {
	if d.handler == nil {
		return false
	}
	d.handler = h
	d.state.And(^expired) // the Handler before has been told
	return true
}

// Idle gives the descriptor back to the Loop: its Handler is called when it is
// readable or after timeout (0: never). It returns false, and the caller goes
// on owning it, when there is something to read.
func (d *Descriptor) Idle(timeout time.Duration) bool {
	return d.idle(timeout, readable|halfClosed|dead)
}

// idle gives the descriptor back to the Loop, unless it is in one of these states.
func (d *Descriptor) idle(timeout time.Duration, unless uint32) bool {
	var now, due int64
	t := d.turn
	if t != nil {
		now = d.loop.since(t.Now())
	} else {
		now = d.loop.clock()
	}
	if timeout > 0 {
		due = now + int64(timeout)
	}
	d.idled.Store(now)
	d.deadline(due)
	d.turn = nil
	for {
		s := d.state.Load()
		if s&unless != 0 {
			d.turn = t
			return false
		}
		if s&late != 0 {
			if due != 0 && d.loop.clock() >= due {
				due = d.loop.clock() + int64(time.Millisecond)
			}
			d.deadline(due)
			continue
		}
		if d.state.CompareAndSwap(s, s&^(owned|expired)) {
			return true
		}
	}
}

// Hurry shortens what is left of an Idle's timeout. Anyone may call it; it has
// no effect on a descriptor that is owned, or has been since.
func (d *Descriptor) Hurry(timeout time.Duration) {
	if due := d.loop.clock() + int64(timeout); d.timer.due.Load() > due {
		d.loop.timers.set(d, due)
	}
}

// Idled returns when Idle was called last. Anyone may call it.
func (d *Descriptor) Idled() time.Time { return d.loop.base.Add(time.Duration(d.idled.Load())) }

// Expired reports whether the Handler was called because of the deadline.
func (d *Descriptor) Expired() bool { return d.state.Load()&expired != 0 }

// Gone reports that the peer has ended its sending side, closed or reset: there
// is nothing to come any more. Anyone may call it.
func (d *Descriptor) Gone() bool { return d.state.Load()&(halfClosed|dead) != 0 }

// Lost reports that the peer has closed both ways or reset: nothing reaches it
// any more. Anyone may call it.
func (d *Descriptor) Lost() bool { return d.state.Load()&dead != 0 }

// Watch has the handler, a Watcher, called when the peer leaves. The handler stays the
// one it is.
func (d *Descriptor) Watch() {
	if d.state.Load()&watched == 0 {
		d.state.Or(watched)
	}
}

// Readable reports that there may be something to read, or the end.
func (d *Descriptor) Readable() bool { return d.state.Load()&(readable|halfClosed|dead) != 0 }

// TryRead reads without waiting: unix.EAGAIN when there is nothing, 0 and nil
// at the end.
func (d *Descriptor) TryRead(p []byte) (int, error) {
	d.state.And(^readable)
	n, err := read(d.fd, p)
	if n == len(p) {
		d.state.Or(readable)
	}
	return n, err
}

// TryWrite writes without waiting: unix.EAGAIN when there is no room.
func (d *Descriptor) TryWrite(p []byte) (int, error) {
	d.state.And(^(writable | untried))
	return write(d.fd, p)
}

// Missed says that a read of the caller's own has left something behind.
func (d *Descriptor) Missed() { d.state.Or(readable) }

// Forget says that the caller is about to read all there is.
func (d *Descriptor) Forget() { d.state.And(^readable) }

// waitRead waits until a read may give something; os.ErrDeadlineExceeded after
// the deadline (a Loop's clock; 0: none). The owner must have detached.
func (d *Descriptor) waitRead(due int64) error {
	return d.wait(readable|halfClosed|dead, waitRead, due)
}

func (d *Descriptor) waitWrite(due int64) error {
	if err := d.pollWrites(); err != nil {
		return err
	}
	return d.wait(writable|dead, waitWrite, due)
}

// pollWrites has the descriptor polled for writing too, from now on.
func (d *Descriptor) pollWrites() error {
	if d.writes {
		return nil
	}
	d.writes = true
	return os.NewSyscallError("epoll_ctl", d.loop.poller.rewatch(d.fd, d.tag, true))
}

func (d *Descriptor) wait(want, flag uint32, due int64) error {
	if d.wake == nil {
		d.wake = make(chan struct{}, 1)
	}
	if due != 0 && d.loop.clock() >= due {
		return os.ErrDeadlineExceeded
	}
	d.deadline(due)
	for {
		s := d.state.Load()
		if s&want != 0 {
			return nil
		}
		if s&late != 0 {
			if due != 0 && d.loop.clock() >= due {
				return os.ErrDeadlineExceeded
			}
			d.deadline(due)
			continue
		}
		if d.state.CompareAndSwap(s, (s|flag)&^expired) {
			break
		}
	}
	if d.labors {
		d.Rest()
		defer d.Labor()
	}
	<-d.wake
	if s := d.state.Load(); s&want == 0 && s&expired != 0 {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// deadline sets the deadline of the wait that the owner is about to begin. If
// it passes before that has begun, late says so.
func (d *Descriptor) deadline(due int64) {
	if d.state.Load()&late != 0 {
		d.state.And(^late)
	}
	d.loop.timers.set(d, due)
}

// readiness notes what the poller told and returns what is to be done: run the
// handler, or tell it that the peer has left its owner, or nothing.
func (d *Descriptor) readiness(bits uint32) (run, left bool) {
	for {
		s := d.state.Load()
		next := s | bits
		if bits&^s&halfClosed != 0 {
			next |= untried
		}
		waits := s & (waitRead | waitWrite)
		calls := readable | halfClosed | dead
		if s&wantWrite != 0 {
			calls |= writable
		}
		run = s&owned == 0 && d.handler != nil && bits&calls != 0
		tell := bits&(readable|halfClosed|dead) != 0 && waits&waitRead != 0 || bits&(writable|dead) != 0 && waits&waitWrite != 0
		if run {
			next = next&^wantWrite | owned
		}
		if tell {
			next &^= waitRead | waitWrite
		}
		if d.state.CompareAndSwap(s, next) {
			if tell {
				d.wake <- struct{}{}
				d.loop.readied.Store(true)
			}
			return run, s&(owned|watched) == owned|watched && bits&^s&(halfClosed|dead) != 0
		}
	}
}

// expire is readiness for the deadline.
func (d *Descriptor) expire() (run bool) {
	for {
		if due := d.timer.due.Load(); due == 0 || due > d.loop.clock() {
			return false // it has worked since; the next deadline has a timer
		}
		s := d.state.Load()
		var next uint32
		tell := s&(waitRead|waitWrite) != 0
		switch {
		case s&owned == 0:
			next = s&^wantWrite | expired | owned
		case tell:
			next = s&^(waitRead|waitWrite) | expired
		default:
			next = s | late // it works: deadlines are for waiting
		}
		if d.state.CompareAndSwap(s, next) {
			if tell {
				d.wake <- struct{}{}
				d.loop.readied.Store(true)
			}
			return s&owned == 0
		}
	}
}

// Pending reports whether the system holds bytes that were not read yet. Anyone
// may call it.
func (d *Descriptor) Pending() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	n, _, err := unix.Recvfrom(d.fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// Cut ends the connection both ways: the owner's reads and writes fail. Anyone
// may call it.
func (d *Descriptor) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		unix.Shutdown(d.fd, unix.SHUT_RDWR)
	}
}

// Close closes the descriptor, which the caller owns. A second call returns
// net.ErrClosed.
func (d *Descriptor) Close() error {
	d.loop.timers.remove(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	d.loop.table.drop(d)
	return unix.Close(d.fd) // which the poller forgets
}
