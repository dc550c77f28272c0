package proxypass

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// errUnasked is the failure of a peer that answers 101 although the client has not asked for
// it, or by FastCGI, whose records cannot carry a tunnel.
var errUnasked = &failure{kind: upstream.OnInvalidHeader, status: 502, reason: "upstream switched protocols, which the client did not ask for, " + whileReadingHead}

// switchProtocols sends the client the peer's 101, and starts a tunnel: bytes pass both ways,
// until both sides have ended or one was silent for too long.
func (p *pass) switchProtocols(x *proxy.Exchange) error {
	if _, asked := x.Req.Header.Lookup(proxy.FieldUpgrade); !asked || p.h.protocol.records {
		return errUnasked
	}
	p.head.Apply(x, -1)
	client, err := x.Res.Upgrade()
	if errors.Is(err, proxy.ErrNoUpgrade) {
		return errUnasked
	}
	if err != nil {
		return err
	}
	c, early := p.conn, bytes.Clone(p.data)
	p.conn, p.stage = nil, tunneling
	p.received -= int64(len(early)) // they count with what the tunnel passes on
	p.before = x.BytesRead()
	p.release()
	var other net.Conn = c.blocking
	switch {
	case c.sealed != nil:
		if other, err = c.sealed.Stream(); err != nil {
			c.close()
			client.Close()
			return err
		}
	case c.looped != nil:
		other = c.looped
	default:
		other.SetDeadline(time.Time{}) // the tunnel has its own
	}
	err = x.Tunnel(&proxy.Tunnel{Client: client, Other: other, Early: early,
		Silence: p.h.readTimeout, Room: p.h.sendTimeout, Then: p.tunneled})
	if err != nil {
		return err // the tunnel runs, and calls tunneled at its end
	}
	return errDone
}

// tunneled ends the exchange after its tunnel. What has passed counts, as in nginx.
func (p *pass) tunneled(x *proxy.Exchange, err error) error {
	var failed *proxy.TunnelError
	switch {
	case errors.As(err, &failed) && !failed.Client && errors.Is(err, syscall.ECONNRESET):
		x.Log(proxy.LevelError, "%s", err)
	case err != nil:
		x.Log(proxy.LevelInfo, "%s", err)
	}
	p.received += x.Res.Written
	p.note(x, p.head.Status, x.Now())
	x.Upstream.Last().Sent += x.BytesRead() - p.before
	p.end(x)
	return nil
}
