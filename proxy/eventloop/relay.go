package eventloop

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// End is one of the two connections of a Relay.
type End struct {
	Duplex
	// Early are bytes that were received from it before. They go to the other end first.
	Early []byte
	// Silence is how long it may send nothing while nothing is sent to it either; 0: no
	// limit.
	Silence time.Duration
	// Room is how long it may have no room for bytes that are to be sent to it; 0: no
	// limit.
	Room time.Duration
}

// Relay passes bytes between two connections, both ways, without a goroutine, until
// both have ended their sending sides or one of them fails. When one end has ended its
// sending side, the Relay ends that of the other connection, and the other way goes on.
// While a way has bytes that wait for room it reads no more. It holds at most one buffer, and
// another one that TLS has encrypted. The bytes that an end has sent before it was lost are
// passed on. They are dropped only if the other end has no room for them while it sends to the
// lost end: it may read nothing until its own bytes are taken.
type Relay struct {
	ends   [2]End
	ways   [2]way // ways[i] is of the bytes that ends[i] sends
	open   atomic.Int32
	done   func(t *Turn, end int, err error)
	began  time.Time
	passed atomic.Int64 // when bytes have last passed, in nanoseconds since began
	over   atomic.Bool  // Stop or an error has ended the Relay

	mu     sync.Mutex
	err    error // the first error
	failed int   // the end that has failed with err
}

// way is one of a Relay's two directions, from one end to the other. It waits for one
// thing at a time, and so runs on one goroutine at a time.
type way struct {
	relay    *Relay
	from, to *End
	waits    atomic.Uint32 // a waited
	rest     []byte        // received, and not sent yet
	buf      *[]byte       // the buffer that holds rest; nil if rest is Early
	unsent   bool          // bytes wait for room
	ended    bool          // from has ended its sending side, and so has the way on to
	failed   atomic.Bool   // a send has failed: to is lost
	closed   atomic.Bool
}

// waited is what a way waits for.
type waited = uint32

const (
	nothingMore waited = iota
	bytesToCome
	room
)

// turnShare is how much one way passes before others have their turn.
const turnShare = 64 << 10

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}

// ErrSilence and ErrNoRoom end a Relay with a connection that was silent, or had no
// room, for too long. Both are also os.ErrDeadlineExceeded.
var (
	ErrSilence error = &timeout{"nothing was sent for too long"}
	ErrNoRoom  error = &timeout{"nothing was taken for too long"}
)

type timeout struct{ text string }

func (e *timeout) Error() string        { return e.text }
func (e *timeout) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// StartRelay begins to pass bytes between a and b. The caller owns both sides of both
// and gives them away until done is called, once. err is the reason for an early end,
// and end, 0 or 1, the connection that has failed; err is nil if both have ended their
// sending sides, or a connection was lost or cut. t is the turn that the call leads; nil
// if it does not lead.
func StartRelay(a, b End, done func(t *Turn, end int, err error)) *Relay {
	r := &Relay{ends: [2]End{a, b}, done: done, began: time.Now()}
	r.open.Store(2)
	for i := range r.ways {
		from, to := &r.ends[i], &r.ends[1-i]
		r.ways[i] = way{relay: r, from: from, to: to, rest: from.Early}
		from.Adopt(&r.ways[i])
		to.AdoptWriter(&r.ways[i])
	}
	for i := range r.ends {
		r.ends[i].Watch()
	}
	for i := range r.ways {
		r.ways[i].Ready(nil)
	}
	return r
}

// Stop ends the Relay soon, whatever it waits for. Any goroutine may call it.
func (r *Relay) Stop() { r.stop(nil, nil) }

// stop ends both ways. If there is no error yet, err is the reason, and end has failed.
func (r *Relay) stop(end *End, err error) {
	r.over.Store(true)
	r.mu.Lock()
	if r.err == nil && err != nil {
		r.err, r.failed = err, r.index(end)
	}
	r.mu.Unlock()
	for i := range r.ends {
		r.ends[i].Cut()
	}
}

func (r *Relay) index(end *End) int {
	if end == &r.ends[1] {
		return 1
	}
	return 0
}

// Ready implements Handler: there is something to read, or room, or a deadline has
// passed.
func (w *way) Ready(t *Turn) {
	if !w.late() && w.run() {
		return
	}
	w.keep(nil)
	r := w.relay
	w.closed.Store(true)
	w.lookForLoss()
	if r.open.Add(-1) == 0 {
		r.done(t, r.failed, r.err)
	}
}

// Left implements Watcher: the peer that the way comes from has ended its sending side or has
// gone.
func (w *way) Left(*Turn) { w.lookForLoss() }

// lookForLoss stops the Relay if the way's connection is lost and all that it has sent
// was passed on: the other way cannot send to it any more.
func (w *way) lookForLoss() {
	if w.closed.Load() && w.from.Lost() && !w.relay.back(w).closed.Load() {
		w.relay.stop(w.from, nil)
	}
}

// back returns the way in the other direction.
func (r *Relay) back(w *way) *way { return &r.ways[1-r.index(w.from)] }

// late stops the Relay if the way's wait has taken too long.
func (w *way) late() bool {
	switch waits := w.waits.Swap(nothingMore); {
	case waits == room && w.to.RoomExpired():
		w.relay.stop(w.to, ErrNoRoom)
		return true
	case waits == bytesToCome && w.from.Expired() && w.silence() <= 0:
		w.relay.stop(w.from, ErrSilence)
		return true
	}
	return false
}

// silence returns how long the end may still send nothing. It is for an end with a limit.
func (w *way) silence() time.Duration {
	r := w.relay
	return w.from.Silence - (time.Since(r.began) - time.Duration(r.passed.Load()))
}

// run passes bytes on until the way waits or is over. waits: another goroutine may run
// the way by now.
func (w *way) run() (waits bool) {
	for passed := 0; ; {
		if w.relay.over.Load() {
			return false
		}
		if len(w.rest) > 0 || w.unsent {
			n, err := w.send()
			if passed += n; err == unix.EAGAIN {
				if len(w.rest) == 0 {
					w.keep(nil)
				}
				if w.awaitRoom() {
					return true
				}
				continue
			}
			if err != nil {
				return false
			}
		}
		switch {
		case w.ended:
			return false
		case passed >= turnShare:
			w.waits.Store(nothingMore)
			w.keep(nil)
			w.from.Again()
			return true
		case !w.receive():
			return false
		case len(w.rest) == 0 && !w.ended && w.idle():
			return true
		}
	}
}

// awaitRoom gives the writing to the Loop. It returns false if there is room, or if the
// Relay is stopped.
func (w *way) awaitRoom() bool {
	w.waits.Store(room)
	if w.relay.back(w).failed.Load() { // see send
		w.relay.stop(w.from, nil)
	}
	if w.to.AwaitRoom(w.to.Room) {
		return true
	}
	w.waits.Store(nothingMore)
	return false
}

// send sends what was received. If it fails, the way ends; the other way goes on, as it
// may have bytes to pass on, until it has to wait for room.
func (w *way) send() (n int, err error) {
	n, err = w.to.Send(w.rest)
	w.rest = w.rest[n:]
	w.unsent = err == unix.EAGAIN
	if n > 0 {
		w.relay.passed.Store(int64(time.Since(w.relay.began)))
	}
	if err == nil || err == unix.EAGAIN {
		return n, err
	}
	w.failed.Store(true)
	if back := w.relay.back(w); back.closed.Load() || back.waits.Load() == room {
		w.unsendable(err)
	}
	return n, err
}

// unsendable stops the Relay because sending to the way's end has failed with err. If the peer
// has closed or reset, that is not an error of the Relay, as in lookForLoss: the poller may not
// have reported it yet.
func (w *way) unsendable(err error) {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		err = nil
	}
	w.relay.stop(w.to, err)
}

// receive reads what has come, which may be nothing. At the end it ends the sending side
// of the other connection. It returns false if a connection has failed.
func (w *way) receive() bool {
	if w.buf == nil {
		w.keep(relayBuffers.Get().(*[]byte))
	}
	n, err := w.from.Receive(*w.buf)
	w.rest = (*w.buf)[:n]
	if err == nil {
		return true
	}
	w.keep(nil)
	switch {
	case err == unix.EAGAIN:
		return true
	case errors.Is(err, io.EOF):
		w.ended, w.unsent = true, true
		if err = w.to.CloseWrite(); err == nil {
			return true
		}
		w.unsendable(err)
	default:
		w.relay.stop(w.from, err)
	}
	return false
}

// idle gives the reading to the Loop. It returns false if there is something to read.
func (w *way) idle() bool {
	w.waits.Store(bytesToCome)
	if w.from.Silence == 0 {
		return w.from.Idle(0)
	}
	return w.from.Idle(max(w.silence(), time.Millisecond))
}

// keep makes buf the way's buffer, and gives back the one before.
func (w *way) keep(buf *[]byte) {
	if w.buf != nil {
		relayBuffers.Put(w.buf)
	}
	w.buf = buf
	if buf == nil {
		w.rest = nil
	}
}
