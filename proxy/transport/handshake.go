package transport

import (
	"crypto/tls"
	"syscall"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// acmeProtocol is the ALPN name with which a certificate authority verifies a
// domain (RFC 8737). The connection ends after the handshake.
const acmeProtocol = "acme-tls/1"

// secure puts TLS on the connection and does the handshake. A client that speaks
// plain HTTP goes on without TLS: its protocol answers with nginx's status 497.
func (o *opening) secure() outcome {
	plain, waits, err := o.speaksPlain()
	switch {
	case waits:
		return waiting
	case err != nil:
		o.fail(err, "while SSL handshaking", handshakeFault)
		return over
	case plain:
		o.info.Refusal = &proxy.Fail{Status: proxy.StatusHTTPToHTTPS, Level: proxy.LevelInfo, Reason: "client sent plain HTTP request to HTTPS port"}
		return done
	}
	if o.sock != nil { // the handshake is labor, which computes for long
		o.sock.Detach()
		o.sock.Labor()
		defer o.sock.Rest()
		o.wire = eventloop.NewCarrier(o.sock)
	}
	t := tls.Server(o.wire, o.tls)
	o.wire = t
	t.SetDeadline(o.ends)
	if err := t.Handshake(); err != nil {
		o.fail(err, "while SSL handshaking", handshakeFault)
		return over
	}
	state := t.ConnectionState()
	o.info.TLS = &state
	if state.NegotiatedProtocol == acmeProtocol {
		return over
	}
	return done
}

// speaksPlain peeks at the first byte. plain reports whether it begins an HTTP request
// instead of a TLS record; waits is that of await.
func (o *opening) speaksPlain() (plain, waits bool, err error) {
	waits, err = o.await(func(fd uintptr) (enough bool) {
		var first [1]byte
		n, err := receive(int(fd), first[:], syscall.MSG_PEEK)
		plain = n == 1 && err == nil && proxy.IsTokenByte(first[0])
		return err != syscall.EAGAIN
	})
	return plain, waits, err
}
