package transport

import (
	"cmp"
	"io"
	"sync"
	"syscall"

	"alicorn/proxy"
	"alicorn/proxy/proxyproto"
)

var headerBuffers = sync.Pool{New: func() any { return new([proxyproto.MaxSize]byte) }}

// readHeader reads the PROXY header.
func (o *opening) readHeader() outcome {
	buf := headerBuffers.Get().(*[proxyproto.MaxSize]byte)
	defer headerBuffers.Put(buf)
	var broken error
	waits, err := o.await(func(fd uintptr) (enough bool) {
		enough, broken = o.takeHeader(int(fd), buf[:])
		return enough
	})
	if waits {
		return waiting
	}
	if err = cmp.Or(err, broken); err != nil {
		o.fail(err, "while reading PROXY protocol", headerFault)
		return over
	}
	o.header, o.part = proxy.ProxyProtocol{}, nil
	return done
}

// takeHeader consumes the bytes of the header that have come, and none after the header.
// enough reports whether the header is complete, or can never be. Each call parses all bytes
// of the header again, as headers are short.
func (o *opening) takeHeader(fd int, buf []byte) (enough bool, err error) {
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
			return !may, nil // the bytes may be a request's: they stay
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

// believe sets the addresses of the connection from h, or refuses the connection if its peer
// must not send a header.
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

// consume reads the next len(b) bytes into b. They were peeked at before.
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
