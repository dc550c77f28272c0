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

// Feed passes a request body on while it comes. It reads the client no faster than the
// upstream takes the bytes, and has a buffer only while bytes wait for room. The request's
// Exchange owns it. The event loop clears full; any goroutine may call Starved.
type Feed struct {
	framing Framing
	timeout time.Duration // how long the upstream may have no room; 0: no limit
	waker   proxy.Waker
	to      Sink
	buffer  *[]byte
	rest    []byte // the part in buffer, with its framing, that is not sent yet
	taken   int64  // bytes of the body
	sent    int64  // bytes, with the framing
	ended   bool   // the client has sent all, and rest has the end
	failed  error  // why the upstream takes no more
	broken  error  // why the client's body cannot be read

	full    atomic.Bool // the upstream has no room
	starved atomic.Bool // the client has to send before there is more to pass on
}

// Sink takes the bytes: an eventloop.Descriptor whose writing the Feed owns.
type Sink interface {
	AdoptWriter(h eventloop.Handler)
	AwaitRoom(timeout time.Duration) bool
	RoomExpired() bool
	TryWrite(p []byte) (int, error)
}

// Framing marks the parts of a body and its end. The zero value is for a body of known
// length, which needs no marks.
type Framing struct {
	Head func(dst []byte, size int) []byte // appends the mark before a part of size bytes, at most FrameRoom; nil: none
	Tail string                            // the mark after each part, at most FrameRoom
	End  string                            // the mark after the last part; with Tail at most FrameRoom
}

// Part returns the part of n bytes that b has from FrameRoom on, with its Head and Tail.
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
	// FrameRoom is the room in a buffer before the bytes of a part, and behind them.
	FrameRoom = 16
	// feedShare is how many bytes a Feed passes on before it lets others lead the loop.
	feedShare = 1 << 20
)

// NewFeed returns the Feed of x's body.
func NewFeed(x *proxy.Exchange, framing Framing, timeout time.Duration) *Feed {
	return &Feed{framing: framing, timeout: timeout, waker: x.Waker()}
}

// Preread reads the bytes that have come, as far as they fit into a buffer. If that is all
// of the body, Preread moves it to into, and the caller drops f.
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

// Begin makes Pump send the bytes to s. It may be called again while nothing is sent.
func (f *Feed) Begin(s Sink) {
	f.to, f.failed = s, nil
	f.full.Store(false)
	s.AdoptWriter(f)
}

// Ready implements eventloop.Handler: the upstream has room.
func (f *Feed) Ready(t *eventloop.Turn) {
	f.full.Store(false)
	f.waker.WakeIn(t)
}

// Pump passes on the bytes that have come, as far as there is room for them. x gets an
// event when more can be passed on. An error is one of the client's body, and later calls
// return it, too. Failed has the upstream's error.
func (f *Feed) Pump(x *proxy.Exchange) error {
	for passed := f.sent; f.broken == nil && f.push() && !f.ended; {
		if f.sent-passed > feedShare {
			passed = f.sent
			x.Offload(func() {}) // afterwards the goroutine leads no loop
		}
		err := f.pull(x)
		if f.starved.Store(err == proxy.ErrNotYet); err == proxy.ErrNotYet {
			return nil
		}
		f.broken = err
	}
	return f.broken
}

// push sends what is left of the part, and reports whether all of it is sent. The rest
// stays in the buffer: if nothing was sent, another upstream may get the part.
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

// pull reads the bytes that have come, and makes them the next part.
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

// Sent returns how many bytes the upstream has taken, with the framing. They are kept
// nowhere.
func (f *Feed) Sent() int64 { return f.sent }

// Failed returns why the upstream takes no more: os.ErrDeadlineExceeded if it had no room
// for too long; nil if it takes bytes.
func (f *Feed) Failed() error { return f.failed }

// Over reports whether nothing more will be passed on.
func (f *Feed) Over() bool { return f.failed != nil || f.ended && len(f.rest) == 0 }

// Starved reports whether the upstream waits for the client to send more. Any goroutine may
// call it.
func (f *Feed) Starved() bool { return f.starved.Load() }

// Done reports whether all of the body was passed on.
func (f *Feed) Done() bool { return f.Over() && f.failed == nil }

// Close gives the buffer back. f passes on nothing more. f may be nil.
func (f *Feed) Close() {
	if f != nil && !f.Over() {
		f.failed = os.ErrClosed
	}
	if f != nil {
		f.rest = nil
		f.release()
	}
}

// GiveBack closes f, and gives the bytes that were read but not sent to the next handler of
// x that reads the body. If some were sent, that handler gets an error.
func (f *Feed) GiveBack(x *proxy.Exchange) {
	switch {
	case f.taken == 0:
	case f.sent > 0:
		x.KeepBody(lost{errBodySent})
	default: // nothing was sent, so taken is in the buffer, as one part
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
