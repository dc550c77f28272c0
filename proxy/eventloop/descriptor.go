package eventloop

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Handler is what a Loop calls when a Descriptor is ready for reading, or past the
// deadline that Idle gave; or for writing, as AwaitRoom asked. The goroutine owns that
// side of the descriptor then, until it calls Idle or AwaitRoom (and that returns true)
// or Close. A Handler that waits in straight code enters t first.
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
	untried                       // nothing was written since the peer has ended its sending side
	watched                       // the handler is a Watcher
	both                          // left to the Loop by IdleBoth

	readNews = readable | halfClosed | dead
	roomNews = writable | dead
)

// Bits of a side in the state: reading's, and those of writing so much higher.
const (
	idle    uint32 = 1 << (8 + iota) // the Loop has it
	waits                            // a goroutine waits
	expired                          // the deadline of the last wait has passed
	late                             // it has passed while a goroutine worked, or was about to wait

	writing = 8
)

// Descriptor is a descriptor in a Loop. Reading and writing have an owner each, often
// the same goroutine. The methods are for the owners: AdoptWriter, AwaitRoom,
// RoomExpired and TryWrite for that of writing, Close for the owner of both. Anyone may
// call Cut, Gone, Lost, Idled, Pending and Hurry. Enter, Detach, Turn, Overran, Labor
// and Rest are for straight code: for one goroutine that does both, or for one that has
// detached.
type Descriptor struct {
	loop    *Loop
	fd      int
	tag     int32
	state   atomic.Uint32
	labors  bool // the owner has a place for work that takes long
	overran bool // the watch has taken the lead from the owner
	polled  bool // for writing too
	closed  bool // guarded by mu
	in      side
	out     *side        // made by the first that waits for room
	turn    *Turn        // under which straight code runs; nil when it does not lead
	idled   atomic.Int64 // when reading was given to the Loop last, by the Loop's clock
	mu      sync.Mutex   // orders Cut and Close
}

// Add registers fd, which must not block, and takes it over. h is called when
// it is readable, or when timeout has passed (0: never). Nobody owns its reading at
// first. Without a handler readiness is only noted: see Readable.
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

// register has the Loop know d, which the poller reports for room, too, where polled
// is set.
func (d *Descriptor) register(polled bool) error {
	d.polled = polled // before another may own it
	d.loop.table.put(d)
	if err := d.loop.poller.watch(d.fd, d.tag, polled); err != nil {
		d.loop.timers.remove(&d.in)
		d.loop.table.drop(d)
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

// Enter says that straight code now runs under t; nil: on a goroutine of its own.
func (d *Descriptor) Enter(t *Turn) { d.turn = t }

// Loop returns the Loop that it is in.
func (d *Descriptor) Loop() *Loop { return d.loop }

// Turn returns what Enter set.
func (d *Descriptor) Turn() *Turn { return d.turn }

// Adopt has h called in place of the Handler before, and reports true, where the
// descriptor was started: the caller, who owns its reading, goes on owning it. A
// Watcher's Left may be under way still.
func (d *Descriptor) Adopt(h Handler) bool {
	if d.in.handler.Load() == nil {
		return false
	}
	d.in.call(h)
	d.state.And(^expired) // the Handler before has been told
	return true
}

// AdoptWriter sets the Handler that AwaitRoom leaves the writing to.
func (d *Descriptor) AdoptWriter(h Handler) { d.writer().call(h) }

func (d *Descriptor) writer() *side {
	if d.out == nil {
		d.out = &side{d: d}
		d.out.timer.reset()
		d.out.timer.writing = true
	}
	return d.out
}

// Idle gives the reading back to the Loop: the Handler is called when there is
// something to read or after timeout (0: never). It returns false, and the caller goes
// on owning it, when there is something to read. Who only looks what there is when the
// Handler is called may call Idle again meanwhile.
func (d *Descriptor) Idle(timeout time.Duration) bool { return d.idle(timeout, readNews) }

// idle gives the reading back to the Loop, unless the descriptor is in one of these
// states.
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

// AwaitRoom gives the writing to the Loop: AdoptWriter's Handler is called when there
// is room, nothing reaches the peer any more, or timeout has passed (0: never). It
// returns false, and the caller goes on owning it, when that is so already.
func (d *Descriptor) AwaitRoom(timeout time.Duration) bool {
	if err := d.pollRoom(); err != nil {
		d.Cut() // the next write tells
		return false
	}
	var due int64
	if timeout > 0 {
		due = d.loop.clock() + int64(timeout)
	}
	return d.writer().leave(due, roomNews)
}

// pollRoom has the poller report that there is room, from the first time that it is
// waited for.
func (d *Descriptor) pollRoom() error {
	if d.polled {
		return nil
	}
	err := d.loop.poller.rewatch(d.fd, d.tag, true)
	d.polled = err == nil
	return os.NewSyscallError("epoll_ctl", err)
}

// IdleBoth is Idle for an owner of both sides, but the Handler is called when something
// can be written, too, and owns both again.
func (d *Descriptor) IdleBoth(timeout time.Duration) bool {
	if err := d.pollRoom(); err != nil {
		d.Cut() // the next write tells
		return false
	}
	d.state.Or(both)
	if d.idle(timeout, readNews|writable) {
		return true
	}
	d.state.And(^both)
	return false
}

// Again gives the reading back to the Loop as Idle does, also where there is something
// to read: the Handler is called in a turn to come, behind what else is ready.
func (d *Descriptor) Again() {
	d.loop.again.Store(true)
	d.in.leave(d.loop.clock(), 0)
}

// Take takes the reading back from the Loop, for the caller to own. It is false where
// the Handler is called, or about to be: that owns it.
func (d *Descriptor) Take() bool { return d.state.And(^(idle|both))&idle != 0 }

// Hurry shortens what is left of an Idle's timeout. Anyone may call it; it has
// no effect on a descriptor that is owned, or has been since.
func (d *Descriptor) Hurry(timeout time.Duration) {
	if due := d.loop.clock() + int64(timeout); d.in.timer.due.Load() > due {
		d.loop.timers.set(&d.in, due)
	}
}

// Idled returns when Idle was called last. Anyone may call it.
func (d *Descriptor) Idled() time.Time { return d.loop.base.Add(time.Duration(d.idled.Load())) }

// Expired reports whether the Handler was called because of the deadline.
func (d *Descriptor) Expired() bool { return d.state.Load()&expired != 0 }

// RoomExpired is Expired for the Handler of AwaitRoom.
func (d *Descriptor) RoomExpired() bool { return d.state.Load()&(expired<<writing) != 0 }

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
func (d *Descriptor) Readable() bool { return d.state.Load()&readNews != 0 }

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
// the deadline (a Loop's clock; 0: none). The caller must have detached.
func (d *Descriptor) waitRead(due int64) error { return d.in.wait(due) }

// waitWrite is waitRead for a write.
func (d *Descriptor) waitWrite(due int64) error {
	if err := d.pollRoom(); err != nil {
		return err
	}
	return d.writer().wait(due)
}

// readiness notes what the poller told and returns what is to be done: run the handler
// of reading, that of writing, or tell the former that the peer has left its owner.
func (d *Descriptor) readiness(bits uint32) (read, room, left bool) {
	for {
		s := d.state.Load()
		next := s | bits
		if bits&^s&halfClosed != 0 {
			next |= untried
		}
		var ends uint32 // what was waited for
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

// Close closes the descriptor, whose reading and writing the caller owns. One that the
// Loop has is not called any more, unless it is about to be. A second call returns
// net.ErrClosed.
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
	return unix.Close(d.fd) // which the poller forgets
}
