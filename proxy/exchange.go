package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Request is a client's request. The protocol loop sets the fields up to Chunked, the Engine
// those from Host on. Strings may share the memory of the connection's buffer: they are
// valid until the log phase ends.
type Request struct {
	Method string // a token, in the case that was sent
	Target string // request-target as received: $request_uri
	Line   string // the request line as received: $request
	Proto  string // "HTTP/1.1"
	Major  uint8
	Minor  uint8
	Scheme string // "http" or "https"
	// Authority is the host, with its port, of the target or else of the Host field, as
	// received. The protocol loop has checked it. It is "" if an HTTP/1.0 client sent none.
	Authority     string
	Header        Header
	ContentLength int64 // in bytes; -1: not known (chunked)
	Chunked       bool

	Host    string // lower case, no port, no trailing dot: $host
	Path    string // decoded and normalised; rewriting and internal redirects change it: $uri
	Asked   string // the path as sent, decoded but not normalised; Path once that was changed
	Args    string // without "?": $args
	HasArgs bool   // the target has a "?"
}

// Compact copies all strings of r into memory of exactly their size, so that r does not
// need the connection's buffer any more. It is for an exchange that lasts long.
func (r *Request) Compact() {
	texts := []*string{&r.Method, &r.Target, &r.Line, &r.Proto, &r.Scheme, &r.Authority, &r.Host, &r.Path, &r.Asked, &r.Args}
	for i := range r.Header.fields {
		f := &r.Header.fields[i]
		texts = append(texts, &f.Name, &f.Value)
	}
	n := 0
	for _, t := range texts {
		n += len(*t)
	}
	var all strings.Builder
	all.Grow(n)
	for _, t := range texts {
		all.WriteString(*t)
	}
	rest := all.String()
	for _, t := range texts {
		n := len(*t)
		*t, rest = rest[:n], rest[n:]
	}
}

// Exchange is one request and its response. It belongs to one goroutine, or to none while
// it is suspended. After the log phase it serves another request: nothing may keep a
// reference to it, or a string of its Request without a copy.
type Exchange struct {
	Conn *Conn
	served

	wire     Wire
	lease    *lease
	waiting  *Waiting   // never changes
	captures []string   // the last match of a regular expression, and its groups
	vars     []variable // the variables that the configuration defines, by slot
	state    []resetter // the features' state, by place
}

// served is the part of an Exchange that begins anew with each request.
type served struct {
	Req Request
	Res Response

	Server     *Server
	Location   *Location
	Generation *Generation
	Start      time.Time // when the first bytes of the request came
	Upstream   Upstream
	// Remote is a client's address that a module has set in place of the connection's;
	// nil: none. RemoteAddr reads both.
	Remote    *Remote
	Internal  bool   // x is after an internal redirect or a rewrite, or is a subrequest
	Number    int    // the number of the request on its connection, from 1: $connection_requests
	Pipelined bool   // its first bytes came before the response to the previous request: $pipe
	User      string // $remote_user, once authenticated

	cursor    cursor
	redirects int
	status    status
	requestID string
	meanwhile func() // the function of Meanwhile
	limitRate int64  // the rate of SetLimitRate
	limited   bool   // SetLimitRate was called
	fault     error  // see Fault
	changes   int    // see URIChanges
	bodyRead  int64
	bodyEnded bool         // the whole body was read
	body      bodyCopy     // for $request_body
	kept      *keptBody    // what ReadBody reads before the wire's bytes; nil: nothing
	pending   Continuation // the Continuation of a suspended exchange; otherwise nil
	parent    *Exchange    // the exchange whose subrequest this is; nil: it is the client's request
	copied    bool         // it is a copy of its parent: see Mirror
	copies    atomic.Int32 // the copies of x that have not ended
	refusal   *Fail        // with satisfy any, the answer if no action lets the request in
}

// status is the state of error_page processing.
type status struct {
	override int  // the status that the error page gets; 0: its own
	inPage   bool // an error page answers
	noBody   bool // the body was refused with 413: the error page's handler sees none
	badRange bool // the error is 416: the file has no byte of the range that the client asks for
	lastPage bool // an error of this error page has none itself, as recursive_error_pages is off
}

var exchanges = sync.Pool{New: func() any {
	x := new(Exchange)
	x.waiting = &Waiting{x: x}
	return x
}}

// NewExchange returns an empty Exchange for requests on c, with the wire w.
func NewExchange(c *Conn, w Wire) *Exchange {
	x := exchanges.Get().(*Exchange)
	x.Conn, x.wire, x.lease = c, w, c.leases.lend()
	x.Res.x = x
	x.Res.Length = -1
	return x
}

// Release puts x back into the pool. The caller must not use x again.
func (x *Exchange) Release() {
	x.Reset()
	x.Conn.leases.takeBack(x.lease)
	x.Conn, x.wire, x.lease = nil, nil, nil
	exchanges.Put(x)
}

// Reset makes x ready for the connection's next request.
func (x *Exchange) Reset() {
	x.waiting.end()
	for x.kept != nil {
		x.dropKept()
	}
	clear(x.vars)
	for _, c := range x.state {
		if c != nil {
			c.reset()
		}
	}
	x.captures = x.captures[:0]
	sent, answered, tries := x.Req.Header, x.Res.Header, x.Upstream.tries
	x.served = served{}
	sent.Reset()
	answered.Reset()
	x.Req.Header, x.Res.Header, x.Upstream.tries = sent, answered, tries[:0]
	x.Res.x, x.Res.Length = x, -1
}

// Main returns the client's own request: x itself or, if x is a subrequest, the exchange
// that waits for it. A copy stands for itself: the client's request goes on beside it.
func (x *Exchange) Main() *Exchange {
	for x.parent != nil && !x.copied {
		x = x.parent
	}
	return x
}

// Copied reports that x is a copy of a request: see Mirror.
func (x *Exchange) Copied() bool { return x.copied }

// Gone reports, without blocking, whether the client has closed, reset, or ended its
// sending side.
func (x *Exchange) Gone() bool { return x.wire.Gone() }

// Client returns the client, for other goroutines than the exchange's; nil if only a write
// shows that the client has gone. The result stays valid after the exchange.
func (x *Exchange) Client() Client { return x.wire.Client() }

// BytesRead returns how many bytes of the request were read, its head included:
// $request_length.
func (x *Exchange) BytesRead() int64 { return x.wire.BytesRead() }

// BytesSent returns how many bytes were sent, the response's head included: $bytes_sent.
func (x *Exchange) BytesSent() int64 { return x.wire.BytesSent() }

// DropConnection makes the connection close after the exchange.
func (x *Exchange) DropConnection() { x.wire.DropConnection() }

// ReadBody reads the decoded request body. If the body is larger than client_max_body_size,
// the error is a *Fail with Status 413 that names the directive's place. The error page of
// a 413 reads an empty body.
func (x *Exchange) ReadBody(p []byte) (int, error) {
	if x.status.noBody {
		return 0, io.EOF
	}
	if n, ok, err := x.readKept(p); ok {
		return n, err
	}
	n, err := x.wire.ReadBody(p)
	return x.countBody(p, n, err)
}

// TryReadBody is ReadBody, but instead of waiting for the client it returns ErrNotYet, and
// the caller suspends x. An event comes when there is more to read, the client has gone, or
// client_body_timeout is over.
func (x *Exchange) TryReadBody(p []byte) (int, error) {
	if x.status.noBody {
		return 0, io.EOF
	}
	if n, ok, err := x.readKept(p); ok {
		return n, err
	}
	for {
		n, err := x.wire.TryReadBody(p)
		if err != ErrNotYet {
			return x.countBody(p, n, err)
		}
		x.waiting.watch() // before the event may come
		if x.wire.AwaitBody() {
			return 0, ErrNotYet
		}
	}
}

// keptBody is the bytes of a request body that one handler has read, for the next one.
type keptBody struct {
	from   io.ReadCloser
	behind *keptBody // the bytes after these; nil: none
}

// KeepBody makes the next handler of x read the bytes of from before the rest of the body.
// A handler that has read the body calls it if it leads on (see LeadsOn). x closes from.
func (x *Exchange) KeepBody(from io.ReadCloser) { x.kept = &keptBody{from, x.kept} }

// readKept reads bytes of KeepBody. ok is false if none are left.
func (x *Exchange) readKept(p []byte) (n int, ok bool, err error) {
	for x.kept != nil {
		if n, err := x.kept.from.Read(p); err != io.EOF {
			return n, true, err
		}
		x.dropKept()
	}
	return 0, false, nil
}

func (x *Exchange) dropKept() {
	k := x.kept
	x.kept = k.behind
	k.from.Close()
}

// countBody counts the n bytes of the body in p, and returns an error if it has more than
// client_max_body_size.
func (x *Exchange) countBody(p []byte, n int, err error) (int, error) {
	x.bodyRead += int64(n)
	if limit := x.Core().MaxBodySize; limit > 0 && x.bodyRead > limit {
		return 0, x.bodyTooLarge(x.bodyRead)
	}
	x.bodyEnded = err == io.EOF || !x.Req.Chunked && x.bodyRead == x.Req.ContentLength
	if x.RemembersBody() {
		x.body.add(p[:n], x.Core().BodyBufferSize)
	}
	return n, err
}

// Body returns the request body as a Reader over ReadBody.
func (x *Exchange) Body() io.Reader { return bodyReader{x} }

type bodyReader struct{ x *Exchange }

func (b bodyReader) Read(p []byte) (int, error) { return b.x.ReadBody(p) }

// Core returns the core settings in effect: the location's; the server's before a location
// is found.
func (x *Exchange) Core() *Core {
	return x.place().Core
}

// RequestID returns $request_id: 32 hexadecimal digits that nobody can guess, the
// same for the life of the request.
func (x *Exchange) RequestID() string {
	switch u := &x.Upstream; {
	case x.requestID != "":
	case u.Key != nil:
		x.requestID = u.Key.id(u.Number)
	default:
		x.requestID = newRequestID()
	}
	return x.requestID
}

// HasRequestID reports whether RequestID was called before.
func (x *Exchange) HasRequestID() bool { return x.requestID != "" }

// GivenStatus returns the status that error_page gives the response, for which
// preconditions and ranges do not apply; 0 if there is none.
func (x *Exchange) GivenStatus() int { return x.status.override }

// TakeOK drops an error_page's "=200", for a response that has status 200 anyway. So
// preconditions and ranges apply, as in nginx.
func (x *Exchange) TakeOK() {
	if x.status.override == 200 {
		x.status.override = 0
	}
}

// Logs reports whether Log writes messages of level. Callers ask before they make a message
// at some cost.
func (x *Exchange) Logs(level Level) bool {
	l := x.logger()
	return l != nil && l.Enabled(context.Background(), level)
}

// Log writes one line to the location's error log. As in nginx, the line ends with client,
// server, request, upstream and host.
func (x *Exchange) Log(level Level, format string, args ...any) {
	l := x.logger()
	if l == nil || !l.Enabled(context.Background(), level) {
		return
	}
	msg := fmt.Appendf(nil, format, args...)
	msg = x.appendWho(msg)
	l.LogAttrs(context.Background(), level, string(msg), slog.Uint64("cid", x.Conn.ID))
}

func (x *Exchange) logger() *slog.Logger {
	switch {
	case x.Location != nil:
		return x.Location.Core.ErrorLog
	case x.Server != nil:
		return x.Server.Root.Core.ErrorLog
	case x.Generation != nil:
		return x.Generation.ErrorLog
	}
	return nil
}

func (x *Exchange) appendWho(dst []byte) []byte {
	dst = append(append(dst, ", client: "...), x.RemoteAddr()...)
	if x.Server != nil {
		dst = append(append(dst, ", server: "...), x.Server.Name...)
	}
	if x.Req.Line != "" {
		dst = append(append(append(dst, `, request: "`...), quotable(x.Req.Line)...), '"')
	}
	if x.Upstream.At != nil {
		if url := x.Upstream.At.AppendURL(nil); len(url) > 0 {
			dst = append(append(append(dst, `, upstream: "`...), quotable(string(url))...), '"')
		}
	}
	if x.Req.Authority != "" {
		dst = append(append(append(dst, `, host: "`...), quotable(x.Req.Authority)...), '"')
	}
	return dst
}
