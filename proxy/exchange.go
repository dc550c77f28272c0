package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Request is what the client asked. A protocol loop fills the fields up to
// Header and ContentLength; the Engine fills the rest when it routes. Strings
// may alias the connection's buffer: they are valid until the log phase ends.
type Request struct {
	Method string // a token, case as sent
	Target string // request-target as received: $request_uri
	Line   string // the request line as received: $request
	Proto  string // "HTTP/1.1"
	Major  uint8
	Minor  uint8
	Scheme string // "http" or "https"
	// Authority is the host of the target or Host field with its port, as
	// received and checked; "" when an HTTP/1.0 client gave none.
	Authority     string
	Header        Header
	ContentLength int64 // -1: not known (chunked)
	Chunked       bool

	Host    string // lower case, no port, no trailing dot: $host
	Path    string // decoded, normalised; changed by internal redirects: $uri
	Asked   string // decoded, as the client has sent it; Path after that was changed
	Args    string // without "?": $args
	HasArgs bool   // the target had a "?"
}

// Compact copies all strings of r into memory of just their size, so that the connection's
// buffer is not needed any more. It is for an exchange that lasts long.
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

// Exchange is one request and its response. It belongs to one goroutine, or to none
// while it is suspended. After the log phase it is used for another request: nobody may
// keep it, or keep a string of its Request without a copy.
type Exchange struct {
	Req  Request
	Res  Response
	Conn *Conn

	Server     *Server
	Location   *Location
	Generation *Generation
	Start      time.Time // when the first bytes of the request had come
	Upstream   Upstream
	// Remote is the client's address if a module has set another one than the
	// connection's; nil: the connection's. Readers use RemoteAddr.
	Remote    *Remote
	Internal  bool   // an internal redirect led here
	Number    int    // of the request on its connection, from 1: $connection_requests
	Pipelined bool   // its first bytes came before the response to the previous request: $pipe
	User      string // $remote_user, once authenticated

	wire      Wire
	lease     *lease
	cursor    cursor
	redirects int
	status    status
	requestID string
	captures  []string   // $1.. of the last regular expression that matched
	vars      []variable // those that the configuration itself defines, by slot
	meanwhile func()     // of Meanwhile
	limitRate int64      // of SetLimitRate,
	limited   bool       // if it was called
	fault     error      // of a variable that could not be computed
	changes   int        // see URIChanges
	bodyRead  int64
	kept      *keptBody    // what is read of the body before the wire's; nil: nothing
	waiting   *Waiting     // never changes
	pending   Continuation // what a suspended exchange goes on with
	parent    *Exchange    // the one that has asked for this subrequest; nil: the client has
	state     []resetter   // the features' state, by place
	refusal   *Fail        // what satisfy any answers with if nobody lets the request in
}

// status is the state of error_page processing.
type status struct {
	override int  // error_page's =code; 0: none
	keep     bool // error_page's "=": the page's own status is sent
	inPage   bool // an error page is being made
	noBody   bool // the body was refused with 413: the page's handler sees none
	badRange bool // no byte of the file is in the range that the client asks for
	lastPage bool // an error of this page has no page itself: recursive_error_pages was off
}

var exchanges = sync.Pool{New: func() any {
	x := new(Exchange)
	x.waiting = &Waiting{x: x}
	return x
}}

// NewExchange returns an empty Exchange for a request on c, which w answers.
func NewExchange(c *Conn, w Wire) *Exchange {
	x := exchanges.Get().(*Exchange)
	x.Conn, x.wire, x.lease = c, w, c.leases.lend()
	x.Res.x = x
	x.Res.Length = -1
	return x
}

// Release gives x back. The caller must not use it again.
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
	h, rh := x.Req.Header, x.Res.Header
	h.Reset()
	rh.Reset()
	captures, vars := x.captures[:0], x.vars
	clear(vars)
	for _, c := range x.state {
		if c != nil {
			c.reset()
		}
	}
	*x = Exchange{Conn: x.Conn, wire: x.wire, lease: x.lease, waiting: x.waiting, captures: captures, vars: vars, state: x.state, Upstream: x.Upstream.reset()}
	x.Req.Header = h
	x.Res = Response{x: x, Header: rh, Length: -1}
}

// Main returns the client's own request: x itself, or the one that a subrequest x is for,
// which waits for x.
func (x *Exchange) Main() *Exchange {
	for x.parent != nil {
		x = x.parent
	}
	return x
}

// Gone reports, without blocking, whether the client has closed, reset, or ended its
// sending side.
func (x *Exchange) Gone() bool { return x.wire.Gone() }

// Client returns the client, for other goroutines than the exchange's; nil if only a
// write shows that the client has gone. It stays valid.
func (x *Exchange) Client() Client { return x.wire.Client() }

// BytesRead returns how many bytes of the request were read, with its head:
// $request_length.
func (x *Exchange) BytesRead() int64 { return x.wire.BytesRead() }

// BytesSent returns how many bytes were sent, with the response's head: $bytes_sent.
func (x *Exchange) BytesSent() int64 { return x.wire.BytesSent() }

// DropConnection makes the connection close after the exchange.
func (x *Exchange) DropConnection() { x.wire.DropConnection() }

// ReadBody reads the request body, decoded, up to client_max_body_size; past
// it the error is a *Fail with Status 413 that names the directive and line.
// The error page of a 413 reads an empty body.
func (x *Exchange) ReadBody(p []byte) (int, error) {
	if x.status.noBody {
		return 0, io.EOF
	}
	if n, ok, err := x.readKept(p); ok {
		return n, err
	}
	n, err := x.wire.ReadBody(p)
	return x.countBody(n, err)
}

// TryReadBody is ReadBody for a Continuation: instead of waiting for the client it
// returns ErrNotYet. The caller then suspends x. An event comes when there is more to
// read, the client has gone, or its time is over.
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
			return x.countBody(n, err)
		}
		x.waiting.watch() // before the event may come
		if x.wire.AwaitBody() {
			return 0, ErrNotYet
		}
	}
}

// keptBody is bytes of a request body that one handler has read, for the next one.
type keptBody struct {
	from   io.ReadCloser
	behind *keptBody // which come after it
}

// KeepBody has the next handler of x read from's bytes before what is left of the body. A
// handler calls it that has read the body and leads on (see LeadsOn). x closes from.
func (x *Exchange) KeepBody(from io.ReadCloser) { x.kept = &keptBody{from, x.kept} }

// readKept reads what was kept of the body. ok is false where nothing is left of it.
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

// countBody compares the length of the body that was read with client_max_body_size.
func (x *Exchange) countBody(n int, err error) (int, error) {
	x.bodyRead += int64(n)
	if limit := x.Core().MaxBodySize; limit > 0 && x.bodyRead > limit {
		return 0, x.bodyTooLarge(x.bodyRead)
	}
	return n, err
}

// Body returns the request body as a Reader over ReadBody.
func (x *Exchange) Body() io.Reader { return bodyReader{x} }

type bodyReader struct{ x *Exchange }

func (b bodyReader) Read(p []byte) (int, error) { return b.x.ReadBody(p) }

// Core returns the core settings in effect: the location's, the server's
// before a location is found.
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

// GivenStatus returns the response's status if error_page has set it, so that
// preconditions and ranges do not apply; otherwise 0.
func (x *Exchange) GivenStatus() int { return x.status.override }

// TakeOK drops an error_page's "=200" if the response has status 200 anyway, so that
// preconditions and ranges apply, as in nginx.
func (x *Exchange) TakeOK() {
	if x.status.override == 200 {
		x.status.override = 0
	}
}

// Logs reports whether Log writes messages of level. Callers ask before they make a
// costly message.
func (x *Exchange) Logs(level Level) bool {
	l := x.logger()
	return l != nil && l.Enabled(context.Background(), level)
}

// Log writes one line to the location's error log, with nginx's suffix:
// client, server, request, host.
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
		dst = append(append(append(dst, `, request: "`...), printable(x.Req.Line)...), '"')
	}
	if x.Upstream.URL != "" {
		dst = append(append(append(dst, `, upstream: "`...), printable(x.Upstream.URL)...), '"')
	}
	if x.Req.Authority != "" {
		dst = append(append(append(dst, `, host: "`...), printable(x.Req.Authority)...), '"')
	}
	return dst
}
