package websocket

import (
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// Open answers x's request with status 101 and x.Res.Header, to which it adds the fields of
// the handshake, and carries the WebSocket until it has ended. Then the exchange goes on
// with then. The handler returns the error of Open. Without a loop Open waits for the end
// and returns the error of then. If the upgrade fails, then is not called. subprotocol is
// one that the client offers, or "".
func (c *Conn) Open(x *proxy.Exchange, subprotocol string, then func(x *proxy.Exchange) error) error {
	h := &x.Res.Header
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Accept", c.shake.accept)
	h.Del("Sec-WebSocket-Protocol")
	if subprotocol != "" {
		h.Add("Sec-WebSocket-Protocol", subprotocol)
	}
	h.Del("Sec-WebSocket-Extensions")
	if extensions := c.shake.deflate.String(); extensions != "" {
		h.Add("Sec-WebSocket-Extensions", extensions)
	}
	nc, err := x.Res.Upgrade()
	if err != nil {
		return err
	}
	o := &opened{c: c, then: then, head: x.BytesSent()}
	c.room, c.heard = x.Core().SendTimeout, c.now()
	if d := nc.Duplex(); d != nil {
		return o.carry(x, nc, d)
	}
	return o.stand(x, nc)
}

// opened is the Continuation that goes on with an exchange when its WebSocket has ended.
type opened struct {
	c    *Conn
	then func(x *proxy.Exchange) error
	head int64 // how many bytes were sent to the client before
}

// looped is a link that an event loop calls.
type looped struct {
	eventloop.Duplex
	loop  *eventloop.Loop
	waker proxy.Waker // of the exchange
}

// Later implements link.
func (l *looped) Later(t *eventloop.Turn, h eventloop.Handler) {
	if !t.Later(h) {
		l.loop.Later(h)
	}
}

// Last implements link. It does nothing, as Send does not wait.
func (l *looped) Last() {}

// Over implements link.
func (l *looped) Over(t *eventloop.Turn) { l.waker.WakeIn(t) }

// carry makes the loop call the WebSocket, and suspends x until it has ended.
func (o *opened) carry(x *proxy.Exchange, nc proxy.Upgraded, d eventloop.Duplex) error {
	c := o.c
	d.Adopt((*reading)(c))
	d.AdoptWriter((*writing)(c))
	err := x.SuspendUpgraded(o)
	c.start(&looped{Duplex: d, loop: x.Loop(), waker: x.Waker()})
	nc.OnCut(c.cut)
	d.Watch()
	c.read(nil)
	return err
}

// start makes l the link, and sends the frames that were gathered before.
func (c *Conn) start(l link) {
	c.mu.Lock()
	c.link = l
	c.unlockAndFlush(nil)
}

// Continue implements proxy.Continuation.
func (o *opened) Continue(x *proxy.Exchange) error {
	if !o.c.over.Load() {
		return x.SuspendUpgraded(o)
	}
	return o.finish(x)
}

// finish goes on with x. The bytes that were sent after the head count as the response's
// body.
func (o *opened) finish(x *proxy.Exchange) error {
	x.Res.Written = x.BytesSent() - o.head
	return o.then(x)
}
