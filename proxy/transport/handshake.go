package transport

import (
	"crypto/tls"
	"syscall"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// acmeProtocol is what an authority's handshake verifies a name by (RFC 8737):
// it is over with the handshake.
const acmeProtocol = "acme-tls/1"

// secure lays TLS over the connection and does the handshake. Where that is not
// done the connection waits for its loop, or is to be closed. A client that speaks
// HTTP in place of TLS is left to its protocol, which answers it with nginx's 497.
func (o *opening) secure() (done, waits bool) {
	plain, waits, err := o.speaksPlain()
	switch {
	case waits:
		return false, true
	case err != nil:
		o.fail(err, "while SSL handshaking", handshakeFault)
		return false, false
	case plain:
		o.info.Refusal = &proxy.Fail{Status: proxy.StatusHTTPToHTTPS, Level: proxy.LevelInfo, Reason: "client sent plain HTTP request to HTTPS port"}
		return true, false
	}
	if o.sock != nil { // it computes for long
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
		return false, false
	}
	state := t.ConnectionState()
	o.info.TLS = &state
	return state.NegotiatedProtocol != acmeProtocol, false
}

// speaksPlain looks at the first byte and reports whether it begins an HTTP request
// in place of a TLS record.
func (o *opening) speaksPlain() (plain, waits bool, err error) {
	waits, err = o.await(func(fd uintptr) (done bool) {
		var first [1]byte
		n, err := receive(int(fd), first[:], syscall.MSG_PEEK)
		plain = n == 1 && err == nil && proxy.IsTokenByte(first[0])
		return err != syscall.EAGAIN
	})
	return plain, waits, err
}
