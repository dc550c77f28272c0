package upstream

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// Feed passes a request body on while it comes: the client is read no faster than the
// upstream takes the bytes. It holds a buffer only while some of them wait for room. The
// request's Exchange owns it; the event loop clears full, and anyone may ask Starved.
type Feed struct {
	framing Framing
	timeout time.Duration // for which the upstream may have no room; 0: for ever
	waker   proxy.Waker
	to      Sink
	buffer  *[]byte
	rest    []byte // framed, in buffer, to be sent
	taken   int64
	sent    int64
	ended   bool  // the client has sent all, and rest has the end
	failed  error // of the upstream
	broken  error // of the client's body

	full    atomic.Bool // the upstream has to read before there is room
	starved atomic.Bool // the client has to send before there is more
}

// Sink is what takes the bytes: an eventloop.Descriptor, of which the Feed owns the
// writing.
type Sink interface {
	AdoptWriter(h eventloop.Handler)
	AwaitRoom(timeout time.Duration) bool
	RoomExpired() bool
	TryWrite(p []byte) (int, error)
}

// Framing is how the parts of a body are told apart on their way. The zero value is a
// body of known length.
type Framing struct {
	Head func(dst []byte, size int) []byte // appends what stands before size bytes, FrameRoom at most; nil: nothing
	Tail string                            // stands behind them
	End  string                            // stands behind the last
}

// Part makes a part of n bytes, which stand in b behind FrameRoom.
func (fr *Framing) Part(b []byte, n int) []byte {
	start := FrameRoom
	if fr.Head != nil {
		head := fr.Head(b[:0], n)
		start -= len(head)
		copy(b[start:], head)
	}
	return append(b[start:FrameRoom+n], fr.Tail...)
}

const (
	// FrameRoom is left before the bytes of a part, and behind them.
	FrameRoom = 16
	// feedShare is what a Feed passes on before others have their turn.
	feedShare = 1 << 20
)

// NewFeed returns the Feed of x's body.
func NewFeed(x *proxy.Exchange, framing Framing, timeout time.Duration) *Feed {
	return &Feed{framing: framing, timeout: timeout, waker: x.Waker()}
}

// Preread reads what has come already, as far as it fits into the buffer. Where that is
// all of the body it is moved to b, and f is of no use any more.
func (f *Feed) Preread(x *proxy.Exchange, into *Body) (all bool, err error) {
	f.buffer = blocks.Get().(*[]byte)
	b := (*f.buffer)[FrameRoom : len(*f.buffer)-FrameRoom]
	n := 0
	for n < len(b) && err == nil {
		var m int
		m, err = x.TryReadBody(b[n:])
		n += m
	}
	switch err {
	case io.EOF:
		*into = Body{Inline: b[:n], Length: int64(n), block: f.buffer}
		f.buffer = nil
		return true, nil
	case nil, proxy.ErrNotYet:
		if f.frame(n); n == 0 {
			f.release()
		}
		return false, nil
	}
	f.release()
	return false, err
}

// Begin has the bytes go to s. It may be called again as long as nothing was sent.
func (f *Feed) Begin(s Sink) {
	f.to, f.failed = s, nil
	f.full.Store(false)
	s.AdoptWriter(f)
}

// Ready implements eventloop.Handler: there is room.
func (f *Feed) Ready(t *eventloop.Turn) {
	f.full.Store(false)
	f.waker.WakeIn(t)
}

// Pump passes on the bytes that have come, as far as there is room for them. x has an
// event when more can be passed on. An error is about the client's body, and stays; see
// Failed for the upstream's.
func (f *Feed) Pump(x *proxy.Exchange) error {
	for passed := f.sent; f.broken == nil && f.push() && !f.ended; {
		if f.sent-passed > feedShare {
			passed = f.sent
			x.Offload(func() {}) // from here on it leads no loop
		}
		err := f.pull(x)
		if f.starved.Store(err == proxy.ErrNotYet); err == proxy.ErrNotYet {
			return nil
		}
		f.broken = err
	}
	return f.broken
}

// push sends what is left of the part, and reports whether that was all. What the
// upstream does not take stays: where that is all of it, another upstream may get it.
func (f *Feed) push() bool {
	if f.full.Load() || f.failed != nil {
		return false
	}
	for late := len(f.rest) > 0 && f.to.RoomExpired(); len(f.rest) > 0; {
		n, err := f.to.TryWrite(f.rest)
		if n > 0 {
			f.rest, f.sent, late = f.rest[n:], f.sent+int64(n), false
		}
		switch {
		case err == unix.EAGAIN && late:
			f.failed = os.ErrDeadlineExceeded
			return false
		case err == unix.EAGAIN:
			f.full.Store(true)
			if f.to.AwaitRoom(f.timeout) {
				return false
			}
			f.full.Store(false)
		case err != nil:
			f.failed = err
			return false
		}
	}
	f.release()
	return true
}

// pull frames the bytes that have come.
func (f *Feed) pull(x *proxy.Exchange) error {
	if f.buffer == nil {
		f.buffer = blocks.Get().(*[]byte)
	}
	b := *f.buffer
	n, err := x.TryReadBody(b[FrameRoom : len(b)-FrameRoom])
	if err != nil && err != io.EOF {
		f.release()
		return err
	}
	if f.frame(n); err == io.EOF {
		f.ended = true
		f.rest = append(f.rest, f.framing.End...)
	}
	return nil
}

// frame makes the next part of n bytes, which are in the buffer behind FrameRoom.
func (f *Feed) frame(n int) {
	b := *f.buffer
	f.rest = b[FrameRoom:FrameRoom]
	if n == 0 {
		return
	}
	f.rest = f.framing.Part(b, n)
	f.taken += int64(n)
}

// Taken returns how many bytes of the body were read from the client.
func (f *Feed) Taken() int64 { return f.taken }

// Sent returns how many bytes the upstream has, those of the framing too: they are gone.
func (f *Feed) Sent() int64 { return f.sent }

// Failed returns why the upstream takes no more, os.ErrDeadlineExceeded where it had
// no room for too long; nil while it does.
func (f *Feed) Failed() error { return f.failed }

// Over reports that nothing is passed on any more.
func (f *Feed) Over() bool { return f.failed != nil || f.ended && len(f.rest) == 0 }

// Starved reports that the upstream waits for the client to send more. Anyone may ask.
func (f *Feed) Starved() bool { return f.starved.Load() }

// Done reports that all of the body was passed on.
func (f *Feed) Done() bool { return f.Over() && f.failed == nil }

// Close gives the buffer back. Nothing is passed on any more. f may be nil.
func (f *Feed) Close() {
	if f != nil && !f.Over() {
		f.failed = os.ErrClosed
	}
	if f != nil {
		f.rest = nil
		f.release()
	}
}

// GiveBack closes f, and leaves to the next handler of x what was read of the body and
// not sent. Where a part was sent, reading the body fails.
func (f *Feed) GiveBack(x *proxy.Exchange) {
	switch {
	case f.taken == 0:
	case f.sent > 0:
		x.KeepBody(lost{errBodySent})
	default: // it is one part
		part := &Body{Inline: (*f.buffer)[FrameRoom:][:f.taken], Length: f.taken, block: f.buffer}
		f.buffer = nil
		x.KeepBody(part.Again(part.Close))
	}
	f.Close()
}

func (f *Feed) release() {
	if f.buffer != nil {
		blocks.Put(f.buffer)
		f.buffer = nil
	}
}
