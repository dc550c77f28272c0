package proxy

import (
	"strconv"
	"sync"
)

// Response is the response of an Exchange. A handler sets Status, ContentType, Length and
// Header, calls Send, writes the body, and calls Finish. For a body that is ready it calls
// Reply instead.
type Response struct {
	Status      int
	ContentType string // the Content-Type field; "" sends none
	Charset     string // the charset parameter of Content-Type; "" adds none
	// Length is the body's length in bytes, sent as Content-Length; -1: not known.
	Length int64
	// Header has the other fields. Connection, Content-Type, Content-Length and
	// Transfer-Encoding must not be in it. A Server or Date field in it replaces the
	// server's own.
	Header Header
	// Trailer has the fields after the body. They are sent only to a client that has sent
	// "TE: trailers", with a body whose framing allows it (RFC 9110 section 6.5).
	Trailer Header
	// Written counts the body bytes given to the wire: $body_bytes_sent.
	Written int64

	reason   string // an application's own reason phrase, for the status reasonOf
	reasonOf int

	x        *Exchange
	pace     *pace // nil: the rate has no limit
	sent     bool  // the head was given to the wire
	bodyless bool
	done     bool // finished or aborted
	complete bool // finished without an error: $request_completion
	aborted  bool
	filters  []BodyFilter
	last     HeaderFilter // see FilterLast
}

// SetStatus sets Status, with a reason phrase of the application. reason has no control
// characters; "" is the usual phrase.
func (r *Response) SetStatus(status int, reason string) {
	r.Status, r.reason, r.reasonOf = status, reason, status
}

// Reason returns the reason phrase of Status: the application's own, unless a filter or an
// error page has changed Status.
func (r *Response) Reason() string {
	if r.reason != "" && r.reasonOf == r.Status {
		return r.reason
	}
	return StatusText(r.Status)
}

// Sent reports whether the head was given to the wire. After that the status cannot change.
func (r *Response) Sent() bool { return r.sent }

// Finished reports whether the response is complete or given up.
func (r *Response) Finished() bool { return r.done }

// Bodyless reports, once the head was sent, whether no body is sent: for HEAD, 204, 304, 1xx
// and subrequests. Writes are dropped then.
func (r *Response) Bodyless() bool { return r.bodyless }

// Ordinary reports whether add_header and expires apply to the status. As in nginx, which
// checks ranges after these filters, they apply to the 416 for the range of a file.
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

// Use installs a body filter. A HeaderFilter calls it. The filter that is installed first
// sees the body first.
func (r *Response) Use(f BodyFilter) { r.filters = append(r.filters, f) }

// FilterLast makes Send call f when all header filters have run: they see the response as
// it is before.
func (r *Response) FilterLast(f HeaderFilter) { r.last = f }

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
		l = x.Server.Root // for example a return in the server block
	}
	if l != nil && x.parent == nil {
		for _, f := range l.headerFilters {
			if err := f(x); err != nil {
				r.dropFilters() // the status page gets filters of its own
				return err
			}
		}
	}
	if r.last != nil && x.fault == nil {
		if err := r.last(x); err != nil {
			r.dropFilters()
			return err
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

// Write sends body bytes through the filters. It does not keep p.
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

// SendFile sends n bytes of f from off, through the filters if there are any; see
// ResponseWire.
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

// Flush sends the bytes that filters and wire hold back.
func (r *Response) Flush() error {
	if len(r.filters) > 0 && !r.bodyless {
		if err := r.filters[0].Flush(tail{r, 1}); err != nil {
			return err
		}
	}
	return r.x.wire.Flush()
}

// Finish ends the response. A handler must not call it after an error of Write, but return
// that error, which aborts the response.
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
	var trailer *Header
	if r.Trailer.Len() > 0 && r.x.Req.Header.HasToken(FieldTE, "trailers") {
		trailer = &r.Trailer
	}
	err := r.x.wire.Finish(trailer)
	r.complete = err == nil
	return err
}

// Hint sends an interim response, 103 Early Hints, with these fields. It does nothing in a
// subrequest, or after the head was sent.
func (r *Response) Hint(fields *Header) error {
	if r.sent || r.x.parent != nil {
		return nil
	}
	return r.x.wire.WriteHints(fields)
}

// Abort gives up the response. The client sees that it is incomplete.
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
	r.filters, r.last = r.filters[:0], nil
}

// Reply sends a whole response: status, content type and body.
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

// Upgrade answers with 101 and the fields of Header, of which Upgrade names the protocol.
// It returns the connection; see ResponseWire and Tunnel. Header filters do not run.
func (r *Response) Upgrade() (Upgraded, error) {
	nc, err := r.x.wire.Upgrade(r.x)
	if err != nil {
		return nil, err
	}
	r.sent, r.done = true, true
	r.dropFilters()
	return nc, nil
}

// RedirectTo answers with a status (301, 302, 303, 307, 308) and a Location. As in nginx, a
// redirect that is an error page has this status, not that of the error.
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

// Flush flushes the rest of the chain. Response.Flush flushes the wire.
func (t tail) Flush() error {
	if t.i == len(t.r.filters) {
		return nil
	}
	return t.r.filters[t.i].Flush(tail{t.r, t.i + 1})
}

// ContentLengthText returns Length as the field's value.
func (r *Response) ContentLengthText() string { return strconv.FormatInt(r.Length, 10) }
