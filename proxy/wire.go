package proxy

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxyproto"
)

// Wire is how an Exchange uses its protocol loop: to send the response, to read the body
// of the request, and to wait. Only the Exchange's goroutine calls ResponseWire and
// RequestWire, and only until Engine.Serve or Resume has ended the exchange. Errors of the
// connection are sticky and wrap ErrClientGone. Features use the methods of Exchange and
// Response instead.
type Wire interface {
	ResponseWire
	RequestWire
	Scheduler
}

// ResponseWire sends the response of an exchange.
type ResponseWire interface {
	// WriteHints sends an interim response, 103 Early Hints (RFC 8297), with these fields.
	// It does nothing for a client that may not understand interim responses.
	WriteHints(fields *Header) error
	// WriteHead queues the status line and header of x.Res, with the fields that belong
	// to the protocol (Date, Server, Connection, framing). It is called at most once.
	// bodyless says that no body follows (HEAD, 204, 304).
	WriteHead(x *Exchange, bodyless bool) error
	// Write sends body bytes, or queues a copy of them. It does not keep p.
	Write(p []byte) (int, error)
	// SendFile sends n bytes of f from offset off: it copies a small file, and makes the
	// kernel send a large one. After ErrFileShrank the response cannot be completed.
	SendFile(f File, off, n int64) error
	// Flush sends the queued bytes.
	Flush() error
	// Finish ends the body and sends the queued bytes. It sends trailer, which may be nil,
	// if the body's framing allows it. Finish fails if fewer bytes than x.Res.Length were
	// written.
	Finish(trailer *Header) error
	// Abort gives up the response, so that the client sees that it is incomplete. The
	// connection closes.
	Abort()
	// Upgrade sends x.Res's head with status 101 and returns the connection, on which
	// HTTP has ended (RFC 9110 section 7.8). The connection closes when the exchange
	// ends. ErrNoUpgrade means that the request or the protocol does not allow an
	// upgrade, and that nothing was sent.
	Upgrade(x *Exchange) (Upgraded, error)
	// DropConnection makes the connection close after this exchange.
	DropConnection()
	// Meanwhile makes f be called, on the exchange's goroutine, for each event of the
	// exchange while a method of ResponseWire waits for the client. After such a wait an
	// event comes to the exchange, as those of the wait may have been for the method's
	// caller. Meanwhile(nil) ends the calls. Without a loop Meanwhile does nothing.
	Meanwhile(f func())
	// BytesSent returns how many bytes this exchange has sent: $bytes_sent.
	BytesSent() int64
}

// RequestWire reads the body of an exchange's request.
type RequestWire interface {
	// ReadBody reads the decoded request body. The error is io.EOF at its end, Status(400)
	// for malformed framing, and Status(408) after a pause longer than
	// client_body_timeout. ReadBody sends 100 Continue if the client waits for it.
	ReadBody(p []byte) (int, error)
	// TryReadBody is ReadBody, but returns ErrNotYet instead of waiting. If the exchange
	// cannot be suspended, TryReadBody waits.
	TryReadBody(p []byte) (int, error)
	// AwaitBody is called after TryReadBody has returned ErrNotYet. It makes an event come
	// to the Waiting that Watch was called with, once TryReadBody would return something
	// else. AwaitBody returns false, and no event comes, if TryReadBody may do so already.
	AwaitBody() bool
	// BytesRead returns how many bytes of the request were read, its head included:
	// $request_length.
	BytesRead() int64
}

// Scheduler lets exchanges wait. Only package proxy calls it.
type Scheduler interface {
	// Suspends reports whether the exchange can wait without a goroutine. If it can,
	// Engine.Serve may return with a suspended exchange, which the protocol loop parks;
	// if it cannot, Engine.Serve returns when the exchange has ended.
	Suspends() bool
	// Loop returns the loop that calls the exchange's connection; nil if no loop does.
	Loop() *eventloop.Loop
	// Resume goes on with a parked exchange on the caller's goroutine. t is the turn
	// that the caller leads; nil if it does not lead.
	Resume(t *eventloop.Turn)
	// Detach gives the lead away before the caller waits or works for long. A second
	// call does nothing.
	Detach()
	// Overran reports whether the exchange has blocked its loop since the last call, so
	// that the loop's watch gave the lead to another goroutine.
	Overran() bool
	// Now returns the time at which the loop last polled for events if the exchange runs
	// in a turn; otherwise the present time.
	Now() time.Time
	// Watch makes an event come to w when the client ends its sending side, closes or
	// resets; at once if the client has done so. Watch(nil) ends that. Watch returns false
	// if the wire cannot notice it.
	Watch(w *Waiting) bool
	// Gone reports, without blocking, whether the client has closed, reset, or ended
	// its sending side.
	Gone() bool
	// Client returns the client, for other goroutines than the exchange's; nil if only a
	// write shows that the client has gone. The result stays valid after the exchange.
	Client() Client
}

// Client is an exchange's client. Any goroutine may call its methods at any time.
type Client interface {
	// Gone reports whether the client will send no more: it has closed, reset, or ended
	// its sending side.
	Gone() bool
	// Lost reports whether the connection is lost: the client has closed both ways or
	// reset. A client that has only ended its sending side is not lost. Over TCP a client
	// that has closed looks the same, until something is sent to it.
	Lost() bool
	// Silent reports whether the client may have closed: it has ended its sending side,
	// and nothing was sent to it since. The next send shows whether it has closed.
	Silent() bool
}

// ErrNotYet is returned if no more of the request body has come yet.
var ErrNotYet = errors.New("the client has sent no more of the request body yet")

// ErrNoUpgrade is returned for a request that cannot be upgraded.
var ErrNoUpgrade = errors.New("request cannot be upgraded")

// Conn describes a client's connection. Before the first request package transport writes
// its fields, then only the protocol loop does.
type Conn struct {
	ID       uint64 // $connection; unique in this process, from 1
	Accepted time.Time
	Listener *Listener
	// RemoteAddr and RemotePort are text for logs: "192.0.2.1" and "4711", or "unix:" and
	// "". RemoteBinary is the address as 4 or 16 bytes in network order; "" for unix
	// sockets.
	RemoteAddr   string
	RemotePort   string
	RemoteBinary string
	LocalAddr    string // "192.0.2.7", or "unix:/path"
	LocalPort    string // "" for unix sockets
	// ProxyProtocol is the header of the PROXY protocol at the connection's beginning; nil
	// if there was none, or it had no addresses.
	ProxyProtocol *proxyproto.Header
	TLS           *tls.ConnectionState // nil without TLS
	// Refusal answers the connection's first request, after which the connection closes;
	// nil if requests are served.
	Refusal  *Fail
	Requests int // how many requests the protocol loop has begun; only that loop uses it

	state  atomic.Pointer[connState] // the features' state; nil: there is none
	leases leases
	site   atomic.Pointer[Site] // cache of siteOf
}
