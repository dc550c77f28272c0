package appserver

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
)

// feed passes the body of a request on to its worker while it comes
// (app_request_buffering off). The request's Exchange owns it.
type feed struct {
	*upstream.Feed
	socket *eventloop.Descriptor // the front's end
	theirs *os.File              // the worker's end; kept until the request has ended, as another worker may get it
}

// blocks is the framing of the body for the worker: blocks of bytes, each behind its length.
// An empty block ends the body.
func blocks() upstream.Framing {
	return upstream.Framing{
		Head: func(dst []byte, size int) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(size)) },
		End:  "\x00\x00\x00\x00",
	}
}

// newFeed returns the feed of x's body. The caller closes and releases it.
func newFeed(x *proxy.Exchange) (*feed, error) {
	ours, theirs, err := wire.NewBodyStream()
	if err != nil {
		return nil, err
	}
	f := &feed{Feed: upstream.NewFeed(x, blocks(), 0), theirs: theirs}
	if f.socket, err = x.Loop().Add(ours, nil, 0); err != nil {
		unix.Close(ours)
		theirs.Close()
		return nil, err
	}
	f.Begin(f.socket)
	return f, nil
}

// close closes the front's end. If the last block was not sent, the application's reads
// fail.
func (f *feed) close() {
	if f != nil && f.socket != nil {
		f.Close()
		f.socket.Close()
		f.socket = nil
	}
}

// release closes both ends.
func (f *feed) release() {
	if f != nil {
		f.close()
		f.theirs.Close()
	}
}
