package transport

import (
	"io"
	"sync"
	"syscall"

	"alicorn/proxy"
	"alicorn/proxy/proxyproto"
)

var headerBuffers = sync.Pool{New: func() any { return new([proxyproto.MaxSize]byte) }}

// readHeader reads the PROXY header. Where it is not read the connection waits for
// its loop, or is to be closed.
func (o *opening) readHeader() (read, waits bool) {
	buf := headerBuffers.Get().(*[proxyproto.MaxSize]byte)
	defer headerBuffers.Put(buf)
	var failed error
	waits, err := o.await(func(fd uintptr) (done bool) {
		done, failed = o.takeHeader(int(fd), buf[:])
		return done
	})
	if waits {
		return false, true
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		o.fail(err, "while reading PROXY protocol", headerFault)
		return false, false
	}
	o.header, o.part = proxy.ProxyProtocol{}, nil
	return true, false
}

// takeHeader consumes what has come of the header, and nothing behind it, until
// the socket is empty; done when the header is complete, or will never be. Its first
// bytes are parsed again with those that come later, which the shortness of headers
// bounds.
func (o *opening) takeHeader(fd int, buf []byte) (done bool, err error) {
	for {
		n, err := receive(fd, buf, syscall.MSG_PEEK)
		switch {
		case err == syscall.EAGAIN:
			return false, nil
		case err != nil:
			return true, err
		case n == 0 && len(o.part) > 0:
			return true, io.ErrUnexpectedEOF
		case n == 0:
			return true, io.EOF
		}
		seen := append(o.part, buf[:n]...)
		may, begun := proxyproto.Begins(seen)
		if o.header.Optional && !begun {
			return !may, nil // what may be a request's is left
		}
		h, size, err := proxyproto.Parse(seen)
		switch {
		case err == nil:
			o.believe(h)
			return true, consume(fd, buf[:size-len(o.part)])
		case err != proxyproto.ErrShort:
			return true, err
		}
		if err := consume(fd, buf[:n]); err != nil {
			return true, err
		}
		o.part = seen
	}
}

// believe takes h for what it says, or refuses the connection whose peer may not
// say it.
func (o *opening) believe(h *proxyproto.Header) {
	if !o.header.Allows(o.info) {
		o.info.Refusal = &proxy.Fail{Status: 403, Level: proxy.LevelError, Reason: "PROXY header of " + o.info.RemoteAddr + ", which proxy_protocol_from does not have"}
		return
	}
	o.info.ProxyProtocol = h
	if o.header.Optional && h != nil {
		o.info.SetRemote(h.Source)
	}
}

// consume reads b, which was looked at.
func consume(fd int, b []byte) error {
	n, err := receive(fd, b, 0)
	if err == nil && n < len(b) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// receive reads without waiting.
func receive(fd int, b []byte, flags int) (int, error) {
	for {
		n, _, err := syscall.Recvfrom(fd, b, flags|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
