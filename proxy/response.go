package proxy

import (
	"strconv"
	"sync"
)

// Response is the answer to an Exchange. A handler sets Status, ContentType,
// Length and Header, calls Send, writes the body, and calls Finish; or uses
// Reply for a body that is ready.
type Response struct {
	Status      int
	ContentType string // the Content-Type field; "" sends none
	Charset     string // of ContentType, behind it; "" adds none
	// Length is the body's length, sent as Content-Length; -1 when unknown.
	Length int64
	// Header holds the other fields. Date, Server, Connection, Content-Type,
	// Content-Length and Transfer-Encoding do not belong in it; a Server or
	// Date field given here replaces ours.
	Header Header
	// Trailer holds the fields after the body. They go out only to a client that has said
	// "TE: trailers", with a body whose framing allows it (RFC 9110 section 6.5).
	Trailer Header
	// Written counts body bytes given to the wire: $body_bytes_sent.
	Written int64

	reason   string // an application's own, for the status reasonOf
	reasonOf int

	x        *Exchange
	pace     *pace // nil: the rate has no limit
	sent     bool
	bodyless bool
	done     bool
	aborted  bool
	filters  []BodyFilter
}

// SetStatus sets Status as an application has it, with a reason phrase of its
// own, which holds no control character; "" is the usual one.
func (r *Response) SetStatus(status int, reason string) {
	r.Status, r.reason, r.reasonOf = status, reason, status
}

// Reason returns the reason phrase of Status: the application's own, unless a
// filter or an error page has put another status in its place.
func (r *Response) Reason() string {
	if r.reason != "" && r.reasonOf == r.Status {
		return r.reason
	}
	return StatusText(r.Status)
}

// Sent reports whether the head has gone to the wire, after which the status
// cannot change any more.
func (r *Response) Sent() bool { return r.sent }

// Finished reports whether the response is complete or given up.
func (r *Response) Finished() bool { return r.done }

// Bodyless reports, once the head was sent, that no body goes out: HEAD, 204
// and 304 and 1xx. Writes are then accepted and dropped.
func (r *Response) Bodyless() bool { return r.bodyless }

// Ordinary reports whether the status is one of those that add_header and
// expires are for. As in nginx, which finds it out behind them, 416 is one where
// the range of a file was asked for.
func (r *Response) Ordinary() bool {
	switch r.Status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return r.Status == 416 && r.x.status.badRange
}

// AppendType appends ContentType with Charset.
func (r *Response) AppendType(dst []byte) []byte {
	dst = append(dst, r.ContentType...)
	if r.ContentType != "" && r.Charset != "" {
		dst = append(append(dst, "; charset="...), r.Charset...)
	}
	return dst
}

// Use installs a body filter; called by a HeaderFilter. Filters installed
// first see the body first.
func (r *Response) Use(f BodyFilter) { r.filters = append(r.filters, f) }

// Filtered reports whether a body filter is installed.
func (r *Response) Filtered() bool { return len(r.filters) > 0 }

// Send runs the header filters and queues the head.
func (r *Response) Send() error {
	x := r.x
	if x.status.override != 0 && r.Status >= 200 {
		r.Status = x.status.override
	}
	r.bodyless = x.Req.Method == "HEAD" || r.Status == 204 || r.Status == 304 || r.Status < 200 || x.parent != nil
	l := x.Location
	if l == nil && x.Server != nil {
		l = x.Server.Root // a server's own return
	}
	if l != nil && x.parent == nil {
		for _, f := range l.headerFilters {
			if err := f(x); err != nil {
				r.dropFilters() // they are not for the status page
				return err
			}
		}
	}
	if x.fault != nil {
		r.dropFilters()
		return x.TakeFault()
	}
	if r.Status == 204 {
		r.Length = -1
	}
	r.sent = true
	r.setPace(l)
	return x.wire.WriteHead(x, r.bodyless)
}

// Write sends body bytes through the filters. p is not kept.
func (r *Response) Write(p []byte) (int, error) {
	if r.bodyless || len(p) == 0 {
		return len(p), nil
	}
	if len(r.filters) > 0 {
		if err := r.filters[0].Write(tail{r, 1}, p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return r.write(p)
}

func (r *Response) write(p []byte) (int, error) {
	if r.pace != nil {
		return r.writePaced(p)
	}
	n, err := r.x.wire.Write(p)
	r.Written += int64(n)
	return n, err
}

// SendFile sends n bytes of f from off, through the filters where there are some;
// see ResponseWire.
func (r *Response) SendFile(f File, off, n int64) error {
	if r.bodyless || n == 0 {
		return nil
	}
	if len(r.filters) == 0 {
		if r.pace != nil {
			return r.sendPaced(f, off, n)
		}
		err := r.x.wire.SendFile(f, off, n)
		if err == nil {
			r.Written += n
		}
		return err
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for n > 0 {
		p := (*buf)[:min(int64(len(*buf)), n)]
		if err := ReadFile(f, p, off); err != nil {
			return err
		}
		if _, err := r.Write(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Flush sends what filters and wire hold back.
func (r *Response) Flush() error {
	if len(r.filters) > 0 && !r.bodyless {
		if err := r.filters[0].Flush(tail{r, 1}); err != nil {
			return err
		}
	}
	return r.x.wire.Flush()
}

// Finish ends the response. After an error of Write it must not be called;
// returning the error from the handler aborts.
func (r *Response) Finish() error {
	if r.done {
		return nil
	}
	for i, f := range r.filters {
		if r.bodyless {
			break
		}
		if err := f.Finish(tail{r, i + 1}); err != nil {
			return err
		}
	}
	r.close()
	if r.Trailer.Len() > 0 && r.x.Req.Header.HasToken(FieldTE, "trailers") {
		return r.x.wire.Finish(&r.Trailer)
	}
	return r.x.wire.Finish(nil)
}

// Hint sends an interim response, 103 Early Hints, with these fields, before the head.
// Subrequests send none.
func (r *Response) Hint(fields *Header) error {
	if r.sent || r.x.parent != nil {
		return nil
	}
	return r.x.wire.WriteHints(fields)
}

// Abort gives up a response that was begun: the client sees that it is cut.
func (r *Response) Abort() {
	if r.done {
		return
	}
	r.close()
	r.aborted = true
	r.x.wire.Abort()
}

func (r *Response) close() {
	r.done = true
	r.dropFilters()
}

func (r *Response) dropFilters() {
	for _, f := range r.filters {
		f.Close()
	}
	r.filters = r.filters[:0]
}

// Reply gives a whole response: status, content type and body.
func (r *Response) Reply(status int, contentType string, body []byte) error {
	r.Status, r.ContentType, r.Length = status, contentType, int64(len(body))
	if err := r.Send(); err != nil {
		return err
	}
	if _, err := r.Write(body); err != nil {
		return err
	}
	return r.Finish()
}

// Upgrade answers with 101 and the fields of Header, which name the protocol in
// Upgrade, and returns the connection; see ResponseWire and Tunnel. Header filters do not run.
func (r *Response) Upgrade() (Upgraded, error) {
	nc, err := r.x.wire.Upgrade(r.x)
	if err != nil {
		return nil, err
	}
	r.sent, r.done = true, true
	r.dropFilters()
	return nc, nil
}

// RedirectTo answers with status (301, 302, 303, 307, 308) and a Location; not
// with that of the error whose page it is, as in nginx.
func (r *Response) RedirectTo(status int, location string) error {
	r.x.status.override = 0
	r.Header.Set("Location", location)
	return r.Reply(status, "text/html", statusPage(r.x, status))
}

// tail is the rest of the filter chain from index i on.
type tail struct {
	r *Response
	i int
}

// Write passes p to the next filter, or to the wire.
func (t tail) Write(p []byte) (int, error) {
	if t.i == len(t.r.filters) {
		return t.r.write(p)
	}
	if err := t.r.filters[t.i].Write(tail{t.r, t.i + 1}, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush flushes the rest of the chain; the wire is flushed by Response.Flush.
func (t tail) Flush() error {
	if t.i == len(t.r.filters) {
		return nil
	}
	return t.r.filters[t.i].Flush(tail{t.r, t.i + 1})
}

// ContentLengthText returns Length as the field's value.
func (r *Response) ContentLengthText() string { return strconv.FormatInt(r.Length, 10) }
