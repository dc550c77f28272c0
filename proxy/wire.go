package proxy

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxyproto"
)

// Wire is how an Exchange uses its protocol loop: it takes the response, gives the body of
// the request, and lets the exchange wait. Only the Exchange's goroutine calls
// ResponseWire and RequestWire, and only until Engine.Serve or Resume has ended the
// exchange. Their errors are sticky and wrap ErrClientGone. Features use the methods of
// Exchange and Response instead.
type Wire interface {
	ResponseWire
	RequestWire
	Scheduler
}

// ResponseWire takes the response of an exchange.
type ResponseWire interface {
	// WriteHints sends an interim response, 103 Early Hints (RFC 8297), with these fields.
	// It does nothing for a client that may not understand interim responses.
	WriteHints(fields *Header) error
	// WriteHead queues the status line and header of x.Res, with the fields
	// that belong to the protocol (Date, Server, Connection, framing). It is
	// called at most once. bodyless: no body will follow (HEAD, 204, 304).
	WriteHead(x *Exchange, bodyless bool) error
	// Write sends body bytes, perhaps later; p is not kept.
	Write(p []byte) (int, error)
	// SendFile sends n bytes of f from offset off: it copies a small file, and makes
	// the kernel send a large one. ErrFileShrank: the response cannot be completed.
	SendFile(f File, off, n int64) error
	// Flush sends the queued bytes.
	Flush() error
	// Finish ends the body and sends the queued bytes. trailer, which may be nil, goes out
	// where the body's framing allows it. Finish fails if fewer bytes than x.Res.Length
	// were written.
	Finish(trailer *Header) error
	// Abort gives up the response: it ends so that the client sees that it is
	// incomplete, and the connection closes.
	Abort()
	// Upgrade sends x.Res's head with status 101 and returns the connection, on which
	// HTTP has ended (RFC 9110 section 7.8). It closes when the exchange ends.
	// ErrNoUpgrade: the request or the protocol does not allow it, and nothing was
	// sent.
	Upgrade(x *Exchange) (Upgraded, error)
	// DropConnection makes the connection close after this exchange.
	DropConnection()
	// Meanwhile calls f, on the exchange's goroutine, for each event of the exchange while
	// a call of these waits for the client; nil ends that. Without a loop it does nothing.
	Meanwhile(f func())
	// BytesSent returns how many bytes this exchange has sent: $bytes_sent.
	BytesSent() int64
}

// RequestWire gives the body of an exchange's request.
type RequestWire interface {
	// ReadBody reads the decoded request body; io.EOF at its end. It sends
	// 100 Continue when the client waits for it. Malformed framing is
	// Status(400), a pause longer than client_body_timeout Status(408).
	ReadBody(p []byte) (int, error)
	// TryReadBody is ReadBody that returns ErrNotYet instead of waiting. If the
	// exchange cannot be suspended, it waits.
	TryReadBody(p []byte) (int, error)
	// AwaitBody is called after TryReadBody has returned ErrNotYet. It makes an event
	// come, to the Waiting of Watch, when TryReadBody would return something else. If it
	// may do so already, AwaitBody returns false, and no event comes.
	AwaitBody() bool
	// BytesRead returns how many bytes this exchange has read, with its head:
	// $request_length.
	BytesRead() int64
}

// Scheduler lets exchanges wait. Only Exchange and Waiting call it.
type Scheduler interface {
	// Suspends reports whether the exchange can wait without a goroutine. If it can,
	// Engine.Serve may return with a suspended exchange, which the protocol loop parks;
	// if it cannot, Engine.Serve returns when the exchange has ended.
	Suspends() bool
	// Loop returns the loop that calls the exchange's connection; nil without one.
	Loop() *eventloop.Loop
	// Resume goes on with a parked exchange on the caller's goroutine. t is the turn
	// that the caller leads; nil if it does not lead.
	Resume(t *eventloop.Turn)
	// Detach gives the lead away before the caller waits or works for long. A second
	// call does nothing.
	Detach()
	// Overran reports whether the watch has taken the lead from the exchange since the
	// last call: the exchange has blocked its loop.
	Overran() bool
	// Now returns the time of the loop's turn if the exchange runs in one; otherwise
	// the present time.
	Now() time.Time
	// Watch makes an event come to w when the client ends its sending side, closes or
	// resets, or at once if it has; nil ends that. It returns false if the wire does
	// not learn of it.
	Watch(w *Waiting) bool
	// Gone reports, without blocking, whether the client has closed, reset, or ended
	// its sending side.
	Gone() bool
	// Client returns the client, for other goroutines than the exchange's; nil if only
	// a write shows that the client has gone. It stays valid.
	Client() Client
}

// Client is an exchange's client. Anyone may call its methods at any time.
type Client interface {
	// Gone reports whether the client will send no more: it has closed, reset, or ended
	// its sending side.
	Gone() bool
	// Lost reports whether the connection is lost: the client has closed both ways or
	// reset. A client that has only ended its sending side is not lost. Over TCP one
	// that has closed looks the same, until something is sent to it.
	Lost() bool
	// Silent reports that the client may have closed: it has ended its sending side,
	// and nothing was sent to it since. The next send shows whether it has closed.
	Silent() bool
}

// ErrNotYet is returned when the client has sent no more of the body yet.
var ErrNotYet = errors.New("the client has sent no more of the request body yet")

// ErrNoUpgrade is returned for a request that cannot be upgraded.
var ErrNoUpgrade = errors.New("request cannot be upgraded")

// Conn describes the client's connection, for as long as it lives. Only its protocol
// loop writes it.
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
	// ProxyProtocol is the PROXY protocol's header at the connection's beginning; nil if
	// none was expected, or it had no addresses.
	ProxyProtocol *proxyproto.Header
	TLS           *tls.ConnectionState // nil without TLS
	// Refusal is the answer to the connection's first request, after which the
	// connection closes; nil if requests are served.
	Refusal  *Fail
	Requests int // how many the protocol loop has begun; only that loop uses it

	state  atomic.Pointer[connState] // the features' state; nil: there is none
	leases leases
	site   atomic.Pointer[Site] // the Site in the Generation that was last asked
}
