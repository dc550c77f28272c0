package eventloop

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Handler is called by a Loop when a Descriptor is readable or the deadline of Idle has
// passed; a Handler of AwaitRoom, when it is writable or that deadline has passed. The
// goroutine of the call then owns this side of the descriptor, until it calls Close, or
// Idle or AwaitRoom returns true. A Handler that waits in straight code calls Enter with
// t first.
type Handler interface {
	Ready(t *Turn)
}

// Watcher is a Handler with a method that a Loop calls when the peer has ended its
// sending side, closed or reset while the descriptor has an owner, which has called
// Watch. Left may run while the owner works, and must use nothing that only the owner
// may use.
type Watcher interface {
	Handler
	Left(t *Turn)
}

// Bits of a Descriptor's state.
const (
	readable   uint32 = 1 << iota // reported since the last read began
	writable                      // reported since the last write began
	halfClosed                    // the peer has ended its sending side
	dead                          // the connection is closed both ways, or has failed
	untried                       // nothing was written since the peer has ended its sending side
	watched                       // the handler is a Watcher
	both                          // IdleBoth has given both sides to the Loop

	readNews = readable | halfClosed | dead
	roomNews = writable | dead
)

// Bits of a side in the state: those of reading. Those of writing are shifted further
// to the left, by writing.
const (
	idle    uint32 = 1 << (8 + iota) // the side belongs to the Loop
	waits                            // a goroutine waits
	expired                          // the deadline of the last wait has passed
	late                             // the deadline has passed while a goroutine worked, or was about to wait

	writing = 8
)

// Descriptor is a descriptor in a Loop. Each side, reading and writing, has an owner,
// often the same goroutine. The owner of writing may call AdoptWriter, AwaitRoom,
// RoomExpired and TryWrite; the owner of both, Close; any goroutine, Cut, Gone, Lost, Idled,
// Pending and Hurry; the owner of reading, the other methods. Enter, Detach, Turn,
// Overran, Labor and Rest are for straight code: for a goroutine that owns both sides,
// or one that has detached.
type Descriptor struct {
	loop    *Loop
	fd      int
	tag     int32
	state   atomic.Uint32
	labors  bool  // the owner has one of the Group's places for labor
	shares  bool  // a Source expected work when the owner took its place
	overran bool  // the watch has taken the lead from the owner
	polled  bool  // the poller reports also when there is room
	closed  bool  // guarded by mu
	yields  uint8 // calls of Yield, modulo 256
	in      side
	out     *side        // of writing; nil until someone waits for room
	turn    *Turn        // of the straight code that runs; nil if it does not lead
	idled   atomic.Int64 // when the Loop was last given the reading, by the Loop's clock
	mu      sync.Mutex   // orders Cut and Close
}

// Add registers fd, which must be non-blocking, and takes it over. The Loop calls h
// when fd is readable, or after timeout (0: never). Until then nobody owns its reading.
// If h is nil, readiness is only remembered: see Readable.
func (l *Loop) Add(fd int, h Handler, timeout time.Duration) (*Descriptor, error) {
	d := &Descriptor{}
	d.attach(l, fd)
	return d, d.start(h, timeout)
}

// attach makes d the Descriptor of fd, which is not registered yet.
func (d *Descriptor) attach(l *Loop, fd int) {
	d.loop, d.fd = l, fd
	d.in.d = d
	d.in.timer.reset()
}

func (d *Descriptor) start(h Handler, timeout time.Duration) error {
	now := d.loop.clock()
	d.idled.Store(now)
	if h != nil {
		d.in.call(h)
		d.state.Or(idle)
	}
	if timeout > 0 {
		d.loop.timers.set(&d.in, now+int64(timeout))
	}
	return d.register(false)
}

// register adds d to the Loop's table and poller. If polled is set, the poller reports
// also when there is room.
func (d *Descriptor) register(polled bool) error {
	d.polled = polled // before another goroutine may own d
	d.loop.table.put(d)
	if err := d.loop.poller.watch(d.fd, d.tag, polled); err != nil {
		d.loop.timers.remove(&d.in)
		d.loop.table.drop(d)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// Detach calls Turn.Detach if the owner leads, and otherwise does nothing.
func (d *Descriptor) Detach() {
	if t := d.turn; t != nil {
		d.overran = d.overran || t.taken()
		d.turn = nil
		t.Detach()
	}
}

// Overran reports whether the watch has taken the lead from the owner since the last
// call of Overran: the owner has blocked its loop.
func (d *Descriptor) Overran() bool {
	if t := d.turn; t != nil && t.taken() {
		d.Detach()
	}
	ran := d.overran
	d.overran = false
	return ran
}

// Enter sets the turn that straight code now leads; nil: it runs on a goroutine that
// does not lead.
func (d *Descriptor) Enter(t *Turn) { d.turn = t }

// Loop returns the Loop of d.
func (d *Descriptor) Loop() *Loop { return d.loop }

// Turn returns the turn that Enter has set.
func (d *Descriptor) Turn() *Turn { return d.turn }

// Adopt makes h the Handler of a descriptor that was started; if it was not, Adopt
// returns false. The caller owns the reading, and keeps it. Left of the Watcher before
// may still be running.
func (d *Descriptor) Adopt(h Handler) bool {
	if d.in.handler.Load() == nil {
		return false
	}
	d.in.call(h)
	d.state.And(^expired) // the Handler before has seen it
	return true
}

// AdoptWriter sets the Handler that the Loop calls after AwaitRoom.
func (d *Descriptor) AdoptWriter(h Handler) { d.writer().call(h) }

func (d *Descriptor) writer() *side {
	if d.out == nil {
		d.out = &side{d: d}
		d.out.timer.reset()
		d.out.timer.writing = true
	}
	return d.out
}

// Idle gives the reading back to the Loop, which calls the Handler when there is
// something to read or after timeout (0: never). If there is something to read already,
// Idle returns false, and the caller keeps the reading. A caller that leaves the reading
// alone until the Handler is called may call Idle again meanwhile.
func (d *Descriptor) Idle(timeout time.Duration) bool { return d.idle(timeout, readNews) }

// idle gives the reading back to the Loop, unless one of the bits unless is set.
func (d *Descriptor) idle(timeout time.Duration, unless uint32) bool {
	var now, due int64
	t := d.turn
	if t != nil {
		now = d.loop.since(t.Now())
		d.turn = nil
	} else {
		now = d.loop.clock()
	}
	if timeout > 0 {
		due = now + int64(timeout)
	}
	d.idled.Store(now)
	if d.in.leave(due, unless) {
		return true
	}
	if t != nil {
		d.turn = t
	}
	return false
}

// AwaitRoom gives the writing to the Loop, which calls AdoptWriter's Handler when there
// is room, when the connection is lost, or after timeout (0: never). If there is room or
// the connection is lost already, AwaitRoom returns false, and the caller keeps the
// writing.
func (d *Descriptor) AwaitRoom(timeout time.Duration) bool {
	if err := d.pollRoom(); err != nil {
		d.Cut() // the next write returns an error
		return false
	}
	var due int64
	if timeout > 0 {
		due = d.loop.clock() + int64(timeout)
	}
	return d.writer().leave(due, roomNews)
}

// pollRoom makes the poller report when there is room. A descriptor is polled for room only
// after a goroutine or a handler has waited for it.
func (d *Descriptor) pollRoom() error {
	if d.polled {
		return nil
	}
	err := d.loop.poller.rewatch(d.fd, d.tag, true)
	d.polled = err == nil
	return os.NewSyscallError("epoll_ctl", err)
}

// IdleBoth is Idle for an owner of both sides: the Loop calls the Handler also when
// there is room, and the call owns both sides.
func (d *Descriptor) IdleBoth(timeout time.Duration) bool {
	if err := d.pollRoom(); err != nil {
		d.Cut() // the next write returns an error
		return false
	}
	d.state.Or(both)
	if d.idle(timeout, readNews|writable) {
		return true
	}
	d.state.And(^both)
	return false
}

// Again gives the reading back to the Loop although there is something to read: the Loop
// calls the Handler in a later turn, after those of the descriptors that are ready now.
func (d *Descriptor) Again() {
	d.loop.again.Store(true)
	d.in.leave(d.loop.clock(), 0)
}

// Take takes the reading back from the Loop: the caller owns it. If the Loop has called
// the Handler or is about to, Take returns false: that call owns it.
func (d *Descriptor) Take() bool { return d.state.And(^(idle|both))&idle != 0 }

// Hurry shortens the rest of Idle's timeout. Any goroutine may call it. It has no effect on a
// descriptor that has an owner; the next Idle sets its own timeout.
func (d *Descriptor) Hurry(timeout time.Duration) {
	if due := d.loop.clock() + int64(timeout); d.in.timer.due.Load() > due {
		d.loop.timers.set(&d.in, due)
	}
}

// Idled returns when Idle was called last. Any goroutine may call it.
func (d *Descriptor) Idled() time.Time { return d.loop.base.Add(time.Duration(d.idled.Load())) }

// Expired reports whether the Loop has called the Handler because of Idle's timeout.
func (d *Descriptor) Expired() bool { return d.state.Load()&expired != 0 }

// RoomExpired is Expired for AwaitRoom's timeout.
func (d *Descriptor) RoomExpired() bool { return d.state.Load()&(expired<<writing) != 0 }

// Gone reports whether the peer has ended its sending side, closed or reset: no more bytes
// will come. Any goroutine may call it.
func (d *Descriptor) Gone() bool { return d.state.Load()&(halfClosed|dead) != 0 }

// Lost reports whether the connection is lost: the peer has closed both ways or reset, and
// no more bytes can reach it. Any goroutine may call it.
func (d *Descriptor) Lost() bool { return d.state.Load()&dead != 0 }

// Watch makes the Loop call Left of the handler when the peer leaves. The handler, and
// each one that is adopted later, must be a Watcher.
func (d *Descriptor) Watch() {
	if d.state.Load()&watched == 0 {
		d.state.Or(watched)
	}
}

// Readable reports whether there may be something to read, or the end.
func (d *Descriptor) Readable() bool { return d.state.Load()&readNews != 0 }

// TryRead reads without waiting. It returns unix.EAGAIN if nothing has come, 0 and nil
// at the end.
func (d *Descriptor) TryRead(p []byte) (int, error) {
	d.state.And(^readable)
	n, err := read(d.fd, p)
	if n == len(p) {
		d.state.Or(readable)
	}
	return n, err
}

// TryReadBoth is TryRead into p and, once that is full, into more. A caller that wants the
// bytes of p alone learns so, without another system call, that there are no others yet.
func (d *Descriptor) TryReadBoth(p, more []byte) (int, error) {
	d.state.And(^readable)
	n, err := readBoth(d.fd, p, more)
	if n == len(p)+len(more) {
		d.state.Or(readable)
	}
	return n, err
}

// TryWrite writes without waiting. It returns unix.EAGAIN if there is no room.
func (d *Descriptor) TryWrite(p []byte) (int, error) {
	d.state.And(^(writable | untried))
	return write(d.fd, p)
}

// Missed says that the caller has read the socket without TryRead, and that more bytes may be
// there.
func (d *Descriptor) Missed() { d.state.Or(readable) }

// Forget says that the caller is about to read all that is there without TryRead.
func (d *Descriptor) Forget() { d.state.And(^readable) }

// waitRead waits until there is something to read. It returns os.ErrDeadlineExceeded
// after due (by the Loop's clock; 0: never). The caller must have detached.
func (d *Descriptor) waitRead(due int64) error { return d.in.wait(due) }

// waitWrite waits until there is room; otherwise it is as waitRead.
func (d *Descriptor) waitWrite(due int64) error {
	if err := d.pollRoom(); err != nil {
		return err
	}
	return d.writer().wait(due)
}

// readiness sets the bits that the poller has reported, wakes goroutines that wait for
// them, and reports which handlers are to be called: the one of reading, the one of
// writing, and the former's Left.
func (d *Descriptor) readiness(bits uint32) (read, room, left bool) {
	for {
		s := d.state.Load()
		next := s | bits
		if bits&^s&halfClosed != 0 {
			next |= untried
		}
		var ends uint32 // the waits that end
		if bits&readNews != 0 || s&both != 0 && bits&writable != 0 {
			ends = s & (idle | waits | both)
		}
		if bits&roomNews != 0 {
			ends |= s & ((idle | waits) << writing)
		}
		if !d.state.CompareAndSwap(s, next&^ends) {
			continue
		}
		if ends&waits != 0 {
			d.in.tell()
		}
		if ends&(waits<<writing) != 0 {
			d.out.tell()
		}
		return ends&idle != 0, ends&(idle<<writing) != 0, s&(idle|watched) == watched && bits&^s&(halfClosed|dead) != 0
	}
}

// Pending reports whether the system holds bytes that were not read yet. Any goroutine may
// call it.
func (d *Descriptor) Pending() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	n, _, err := unix.Recvfrom(d.fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// Cut shuts the connection down both ways, so that the owner's reads and writes fail. Any
// goroutine may call it.
func (d *Descriptor) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		unix.Shutdown(d.fd, unix.SHUT_RDWR)
	}
}

// Close closes the descriptor. The caller owns both sides. If a side belongs to the Loop
// nevertheless, the Loop does not call its handler any more, except when it is just about to.
// A second call returns net.ErrClosed.
func (d *Descriptor) Close() error {
	d.loop.timers.remove(&d.in)
	if d.out != nil {
		d.loop.timers.remove(d.out)
	}
	d.state.And(^(idle | idle<<writing))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	d.loop.table.drop(d)
	return unix.Close(d.fd) // the poller then forgets it
}
