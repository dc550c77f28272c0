package appserver

import (
	"encoding/binary"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// feed passes the body of a request on to its worker while it comes
// (app_request_buffering off). The request's Exchange owns it; the event loop clears
// full, and the pool reads starved.
type feed struct {
	socket *eventloop.Descriptor // the front's end
	theirs *os.File              // the worker's, until the request has ended: another worker may get it
	waker  proxy.Waker
	buffer *[]byte
	rest   []byte // of a block in buffer, to be sent
	read   int64  // bytes of the body
	ended  bool   // rest has the last block, or it was sent

	full    atomic.Bool // the worker has to read before there is room
	starved atomic.Bool // the client has to send before there is more
}

// blockHead is the length in front of a block's bytes.
const blockHead = 4

// newFeed returns the feed of x's body. The caller closes and releases it.
func newFeed(x *proxy.Exchange) (*feed, error) {
	ours, theirs, err := wire.NewBodyStream()
	if err != nil {
		return nil, err
	}
	f := &feed{theirs: theirs, waker: x.Waker()}
	if f.socket, err = x.Loop().Add(ours, nil, 0); err != nil {
		unix.Close(ours)
		theirs.Close()
		return nil, err
	}
	f.buffer = wire.NewBuffer()
	f.socket.AdoptWriter(f)
	return f, nil
}

// Ready implements eventloop.Handler: the worker has read, and there is room.
func (f *feed) Ready(t *eventloop.Turn) {
	f.full.Store(false)
	f.waker.WakeIn(t)
}

// pump passes on the bytes that have come, as far as there is room for them. x gets an
// event when more can be passed on. An error is about the client's body.
func (f *feed) pump(x *proxy.Exchange) error {
	for f.push() && !f.ended {
		err := f.pull(x)
		if f.starved.Store(err == proxy.ErrNotYet); err == proxy.ErrNotYet {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// push sends what is left of the block, and reports whether that was all.
func (f *feed) push() bool {
	if f.full.Load() {
		return false
	}
	for len(f.rest) > 0 {
		n, err := f.socket.TryWrite(f.rest)
		f.rest = f.rest[max(n, 0):]
		switch {
		case err == unix.EAGAIN:
			f.full.Store(true)
			if f.socket.AwaitRoom(0) {
				return false
			}
			f.full.Store(false)
		case err != nil: // the worker has ended its reading
			f.rest, f.ended = nil, true
		}
	}
	return true
}

// pull makes a block of the bytes that have come. A block without bytes ends the body.
func (f *feed) pull(x *proxy.Exchange) error {
	b := *f.buffer
	n, err := x.TryReadBody(b[blockHead : len(b)-blockHead])
	if err != nil && err != io.EOF {
		return err
	}
	f.rest = b[:0]
	if n > 0 {
		f.rest = b[:blockHead+n]
		binary.LittleEndian.PutUint32(b, uint32(n))
		f.read += int64(n)
	}
	if f.ended = err == io.EOF; f.ended {
		f.rest = binary.LittleEndian.AppendUint32(f.rest, 0)
	}
	return nil
}

// close closes the front's end. If the last block was not sent, the application's reads
// fail.
func (f *feed) close() {
	if f != nil && f.buffer != nil {
		f.socket.Close()
		wire.FreeBuffer(f.buffer)
		f.buffer, f.rest = nil, nil
	}
}

// release closes both ends.
func (f *feed) release() {
	if f != nil {
		f.close()
		f.theirs.Close()
	}
}
