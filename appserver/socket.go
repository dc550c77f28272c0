package appserver

import (
	"errors"
	"sync/atomic"

	"alicorn/appserver/pool"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket"
)

// socket is a WebSocket of an application. It joins the client's end, a websocket.Conn, and
// the application's end, a pool.Job. It is the Socket of the Job and, as a peer, the Peer of
// the Conn. It is never used again for another WebSocket, so that late calls reach none.
type socket struct {
	conn     *websocket.Conn
	request  *request
	received atomic.Int64 // bytes of messages from the application
	sent     atomic.Int64 // bytes of messages to the application
}

// A part of a message must cost the same on both sides: this compiles only if they are equal.
const _ = -uint(pool.PartCost ^ websocket.PartCost)

// Message implements pool.Socket.
func (s *socket) Message(t *eventloop.Turn, part []byte, text, last bool) {
	s.received.Add(int64(len(part)))
	s.conn.Send(t, part, text, last)
}

// Grant implements pool.Socket.
func (s *socket) Grant(t *eventloop.Turn, n int) { s.conn.Grant(t, n) }

// Close implements pool.Socket.
func (s *socket) Close(t *eventloop.Turn, code uint16, reason string) { s.conn.Close(t, code, reason) }

// peer is a socket as the Peer of its Conn: it passes messages of the client to the
// application.
type peer socket

// Message implements websocket.Peer.
func (p *peer) Message(t *eventloop.Turn, part []byte, text, last bool) {
	p.sent.Add(int64(len(part)))
	p.request.runner.Message(t, &p.request.Job, part, text, last)
}

// Taken implements websocket.Peer.
func (p *peer) Taken(_ *eventloop.Turn, n int) { p.request.runner.Taken(&p.request.Job, n) }

// Closed implements websocket.Peer. It is the last call: afterwards the request may be used
// for another Exchange.
func (p *peer) Closed(t *eventloop.Turn, code uint16, reason string) {
	p.request.runner.Hangup(t, &p.request.Job, code, reason)
}

// serveSocket passes x's request for a WebSocket to a worker. If the application accepts it,
// open opens the WebSocket.
func (h *handler) serveSocket(x *proxy.Exchange) error {
	shake, err := h.sockets.Handshake(x)
	if err != nil {
		return err
	}
	r, err := newRequest(h, true)
	if err != nil {
		return err
	}
	s := &socket{request: r}
	s.conn = shake.NewConn((*peer)(s), pool.Window)
	r.socket, r.Job.Socket = s, s
	return h.send(x, r)
}

// open opens the WebSocket that the application has accepted. x goes on once it has ended.
func (h *handler) open(x *proxy.Exchange, r *request) error {
	try := x.Upstream.Last()
	took := x.Now().Sub(r.Began)
	try.Peer, try.Status, try.Connect, try.Header = r.Worker(), 101, r.Waited(), took
	r.Head.Apply(x, -1)
	ended := false
	err := r.socket.conn.Open(x, r.Subprotocol, func(x *proxy.Exchange) error {
		ended = true
		return h.endSocket(x, r)
	})
	if ended || x.Suspended() {
		return err
	}
	r.runner.Abandon(&r.Job)
	try.Response, x.Upstream.Time = took, took
	r.Drop()
	if errors.Is(err, proxy.ErrNoUpgrade) {
		return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: "a request with a body cannot become a WebSocket"}
	}
	return err
}

// endSocket completes the values of $upstream_* for a WebSocket, whose messages count as the
// answer.
func (h *handler) endSocket(x *proxy.Exchange, r *request) error {
	try := x.Upstream.Last()
	try.Response = x.Now().Sub(r.Began)
	try.Length = r.socket.received.Load()
	try.Received = r.Head.Size + try.Length
	try.Sent += r.socket.sent.Load()
	x.Upstream.Time = try.Response
	r.Drop()
	return nil
}
