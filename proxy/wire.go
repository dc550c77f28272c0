package proxy

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxyproto"
)

// Wire is all that a protocol loop gives an Exchange: where its response goes, where the
// body of its request comes from, and how it waits. ResponseWire and RequestWire are
// used by one goroutine at a time, the Exchange's, and only until Engine.Serve or Resume
// has ended the exchange. Their errors are sticky and wrap ErrClientGone. Features use
// the methods of Exchange and Response instead.
type Wire interface {
	ResponseWire
	RequestWire
	Scheduler
}

// ResponseWire takes the response of an exchange.
type ResponseWire interface {
	// WriteHead queues the status line and header of x.Res, with the fields
	// that belong to the protocol (Date, Server, Connection, framing). It is
	// called at most once. bodyless: no body will follow (HEAD, 204, 304).
	WriteHead(x *Exchange, bodyless bool) error
	// Write sends body bytes, perhaps later; p is not kept.
	Write(p []byte) (int, error)
	// SendFile sends n bytes of f from offset off: it reads and writes what is
	// small, and leaves what is large to the kernel. ErrFileShrank: the response
	// cannot be completed.
	SendFile(f File, off, n int64) error
	// Flush sends what is queued.
	Flush() error
	// Finish ends the body and sends what is queued. It fails when fewer bytes
	// than x.Res.Length were written.
	Finish() error
	// Abort gives up: the response ends in the way that tells the client it
	// is incomplete, and the connection is not reused.
	Abort()
	// Upgrade sends x.Res's head as 101 and returns the connection for what
	// follows it, in both directions (RFC 9110 section 7.8). HTTP has ended on it:
	// it closes when the exchange ends. ErrNoUpgrade: the request or the
	// protocol does not allow it, and nothing was sent.
	Upgrade(x *Exchange) (Upgraded, error)
	// DropConnection closes the connection after this exchange.
	DropConnection()
	// BytesSent counts what this exchange has sent on the wire: $bytes_sent.
	BytesSent() int64
}

// RequestWire gives the body of an exchange's request.
type RequestWire interface {
	// ReadBody reads the decoded request body; io.EOF at its end. It sends
	// 100 Continue when the client waits for it. Malformed framing is
	// Status(400), a pause longer than client_body_timeout Status(408).
	ReadBody(p []byte) (int, error)
	// TryReadBody is ReadBody, but ErrNotYet in place of waiting. Where the exchange
	// cannot be suspended it waits.
	TryReadBody(p []byte) (int, error)
	// AwaitBody has Watch's Waiting looked at once TryReadBody, which has just returned
	// ErrNotYet, returns something else. It is false where that may be so already.
	AwaitBody() bool
	// BytesRead counts what this exchange has read from the wire, its head too:
	// $request_length.
	BytesRead() int64
}

// Scheduler is what a protocol loop does for the waiting of its exchanges. Only
// Exchange and Waiting call it.
type Scheduler interface {
	// Suspends reports that the exchange can wait without a goroutine. Where it
	// cannot, Engine.Serve returns when it has ended; else perhaps before, and then
	// the protocol loop parks it.
	Suspends() bool
	// Loop is the loop that calls the exchange's connection; nil without one.
	Loop() *eventloop.Loop
	// Resume goes on with a suspended exchange that was parked, on the
	// caller's goroutine: t is the turn it leads, nil when it does not.
	Resume(t *eventloop.Turn)
	// Detach has another goroutine lead in the caller's place, which is about to
	// wait or to work for long. It costs nothing the second time.
	Detach()
	// Overran reports whether the exchange has blocked its loop since the last call,
	// so that another goroutine was given the lead in its place.
	Overran() bool
	// Now is the time, as old as the turn of the loop that the exchange runs in.
	Now() time.Time
	// Watch has w looked at as soon as the client has ended its sending side or has
	// gone, also if it has before; nil ends that. It is false where the wire does
	// not learn of it.
	Watch(w *Waiting) bool
	// Gone reports, without blocking, that the client has closed or reset, or
	// ended its sending side.
	Gone() bool
	// Client returns the client as goroutines beside the exchange's may look at
	// it; nil where only writing tells that it has gone. It stays valid.
	Client() Client
}

// Client tells, to anyone and at any time, whether an exchange's client is there.
type Client interface {
	// Gone reports that nothing comes from the client any more: it has closed
	// or reset, or ended its sending side.
	Gone() bool
	// Lost reports that nothing reaches the client any more: it has closed both
	// ways or reset. One that has only ended its sending side is not lost, but one
	// that has closed looks like it until something was sent to it (TCP).
	Lost() bool
	// Silent reports that the client has ended its sending side and that nothing
	// was sent to it since: whether it has closed shows when something is.
	Silent() bool
}

// ErrNotYet says that the client has sent no more of the body yet.
var ErrNotYet = errors.New("the client has sent no more of the request body yet")

// ErrNoUpgrade is a request that cannot leave HTTP.
var ErrNoUpgrade = errors.New("request cannot be upgraded")

// Conn is what is known of the client's connection. It lives as long as the
// connection and is written by its protocol loop only.
type Conn struct {
	ID       uint64 // $connection; unique in this process
	Accepted time.Time
	Listener *Listener
	// RemoteAddr and RemotePort are text, ready for logs: "192.0.2.1", "4711";
	// "unix:" and "" for unix sockets. RemoteBinary is 4 or 16 bytes of network order.
	RemoteAddr   string
	RemotePort   string
	RemoteBinary string
	LocalAddr    string // "192.0.2.7", or "unix:/path"
	LocalPort    string
	// ProxyProtocol is the header of the PROXY protocol that the connection began
	// with; nil where none was due, or it told no addresses.
	ProxyProtocol *proxyproto.Header
	TLS           *tls.ConnectionState // nil without TLS
	// Refusal is what the connection's first request is answered with, and the
	// connection ends; nil where it is served.
	Refusal  *Fail
	Requests int // that the protocol loop has begun; for that alone

	state  atomic.Pointer[connState] // of features; nil: none
	leases leases
	site   atomic.Pointer[Site] // of the Generation that was asked last
}
