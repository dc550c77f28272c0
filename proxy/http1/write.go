package http1

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

const (
	serverName    = "Server: alicorn\r\n"
	serverVersion = "Server: alicorn/" + proxy.Version + "\r\n"
)

// date is the Date field of one second.
type date struct {
	second int64
	line   []byte
}

var lastDate atomic.Pointer[date]

// appendDate appends the Date field. It is formatted once per second for all connections.
func appendDate(dst []byte, now time.Time) []byte {
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{second: now.Unix(), line: now.UTC().AppendFormat(nil, "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		lastDate.Store(d)
	}
	return append(dst, d.line...)
}

// buffer takes a buffer for queued bytes, unless there is one.
func (c *output) buffer() {
	if c.out == nil {
		c.outPool = writeBuffers.Get().(*[]byte)
		c.out = (*c.outPool)[:0]
	}
}

// releaseOut gives the buffer of queued bytes back.
func (c *output) releaseOut() {
	if c.outPool != nil {
		writeBuffers.Put(c.outPool)
	}
	c.out, c.outPool = nil, nil
}

// WriteHead queues the head of x's response; see proxy.ResponseWire.
func (c *conn) WriteHead(x *proxy.Exchange, bodyless bool) error {
	c.core = x.Core()
	c.buffer()
	c.decideClose(x)
	c.decideFraming(x, bodyless)
	if c.simple {
		return nil
	}
	r := &x.Res
	b := h1.AppendStatusLine(c.out, r.Status, r.Reason())
	b = c.appendOwn(b, r)
	b = c.appendFraming(b, x)
	if c.closing {
		b = append(b, "Connection: close\r\n"...)
	} else {
		if x.Req.Minor == 0 || c.core.KeepaliveHeader > 0 {
			b = append(b, "Connection: keep-alive\r\n"...)
		}
		if c.core.KeepaliveHeader > 0 {
			b = append(b, "Keep-Alive: timeout="...)
			b = append(strconv.AppendInt(b, int64(c.core.KeepaliveHeader/time.Second), 10), '\r', '\n')
		}
	}
	c.out = append(c.appendFields(b, x), '\r', '\n')
	return nil
}

// decideClose decides whether the connection closes after the response.
func (c *conn) decideClose(x *proxy.Exchange) {
	core := c.core
	c.closing = c.mustClose || !c.keepAlive || c.simple || core.KeepaliveTimeout == 0 ||
		c.info.Requests >= core.KeepaliveRequests || c.e.Draining() || c.info.Listener.Closed() ||
		c.state.Load() != stateActive || !c.body.Ended() && !c.drainable() || c.Now().Sub(c.info.Accepted) > core.KeepaliveTime
}

// decideFraming decides the framing of the response's body. If it has neither a length nor
// chunks, the connection has to close.
func (c *conn) decideFraming(x *proxy.Exchange, bodyless bool) {
	switch c.left = x.Res.Length; {
	case bodyless:
		c.framing = noBody
	case c.left >= 0:
		c.framing = byLength
	case x.Req.Major == 1 && x.Req.Minor > 0 && c.core.ChunkedEncoding:
		c.framing = chunked
	default:
		c.framing, c.closing = untilClose, true
	}
}

// appendOwn appends the server's own fields, unless the response has them.
func (c *conn) appendOwn(b []byte, r *proxy.Response) []byte {
	if _, ok := r.Header.Lookup(proxy.FieldServer); !ok {
		if c.core.ServerTokens {
			b = append(b, serverVersion...)
		} else {
			b = append(b, serverName...)
		}
	}
	if _, ok := r.Header.Lookup(proxy.FieldDate); !ok {
		b = appendDate(b, c.Now())
	}
	if r.ContentType != "" && h1.IsValue(r.ContentType) {
		b = append(append(b, "Content-Type: "...), r.ContentType...)
		if r.Charset != "" && h1.IsValue(r.Charset) {
			b = append(append(b, "; charset="...), r.Charset...)
		}
		b = append(b, '\r', '\n')
	}
	return b
}

// appendFraming appends the field that names the framing, if the response has one.
func (c *conn) appendFraming(b []byte, x *proxy.Exchange) []byte {
	switch status := x.Res.Status; {
	case status < 200 || status == 204 || status == 304:
	case x.Res.Length >= 0:
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, x.Res.Length, 10), '\r', '\n')
	case c.framing == chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return b
}

// appendFields appends the response's other fields. Fields that could change the framing
// are left out.
func (c *conn) appendFields(b []byte, x *proxy.Exchange) []byte {
	h := &x.Res.Header
	for i := range h.Len() {
		f := h.At(i)
		switch f.ID() {
		case proxy.FieldConnection, proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldKeepAlive:
			continue
		}
		var ok bool
		if b, ok = h1.AppendField(b, f.Name, f.Value); !ok {
			x.Log(proxy.LevelError, "response header field %q is not well-formed and was dropped", f.Name)
		}
	}
	return b
}

// WriteHints sends 103 Early Hints; see proxy.ResponseWire.
func (c *conn) WriteHints(fields *proxy.Header) error {
	if !c.interim || c.framing != noHead {
		return nil
	}
	c.buffer()
	c.out = append(c.out, "HTTP/1.1 103 Early Hints\r\n"...)
	c.out = append(appendTrailing(c.out, fields), '\r', '\n')
	return c.send(nil)
}

// appendTrailing appends the fields that may stand in hints and trailers: those that change
// neither the framing nor the routing of the message (RFC 9110 section 6.5.1). It drops
// malformed ones.
func appendTrailing(b []byte, fields *proxy.Header) []byte {
	for f := range fields.All() {
		switch f.ID() {
		case proxy.FieldOther, proxy.FieldETag, proxy.FieldLastModified, proxy.FieldServer, proxy.FieldDate:
			if !isFraming(f.Name) {
				b, _ = h1.AppendField(b, f.Name, f.Value)
			}
		}
	}
	return b
}

// isFraming reports whether a field changes how a message is read. name is not the name of
// a field with an ID.
func isFraming(name string) bool {
	for _, other := range []string{"Trailer", "Content-Range", "Proxy-Connection", "Proxy-Authenticate"} {
		if strings.EqualFold(name, other) {
			return true
		}
	}
	return false
}

// continue100 sends 100 Continue, unless the response has begun.
func (c *conn) continue100() error {
	if c.framing != noHead {
		return nil
	}
	c.buffer()
	c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	return c.send(nil)
}

// Errors of a body whose length is not the Content-Length that was sent.
var (
	errTooLong  = errors.New("response body is longer than its Content-Length")
	errTooShort = errors.New("response body is shorter than its Content-Length")
)

// Write queues or sends bytes of the body.
func (c *conn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.framing == noBody || len(p) == 0 {
		return len(p), nil
	}
	if c.framing == byLength {
		if int64(len(p)) > c.left {
			return 0, errTooLong
		}
		c.left -= int64(len(p))
	}
	c.buffer()
	if c.framing == chunked {
		c.out = h1.AppendChunkSize(c.out, len(p))
	}
	var err error
	if len(c.out)+len(p)+2 <= cap(c.out) {
		c.out = append(c.out, p...)
	} else {
		err = c.send(p)
	}
	if c.framing == chunked && err == nil {
		c.buffer()
		c.out = append(c.out, h1.ChunkEnd...)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes the queued bytes and then p.
func (c *conn) send(p []byte) error {
	if c.err != nil {
		return c.err
	}
	if len(c.out) == 0 && len(p) == 0 {
		return nil
	}
	n, err := c.wire.send(c.out, p, c.sendTimeout(), c.last)
	c.bytesSent += n
	c.releaseOut()
	if err != nil {
		return c.fail(err)
	}
	return nil
}

// sendTimeout returns send_timeout, or its default if the connection has no settings.
func (c *conn) sendTimeout() time.Duration {
	if c.core == nil {
		return 60 * time.Second
	}
	return c.core.SendTimeout
}

// fail records the failure of a write as c.err, which it returns, and later writes, too.
func (c *conn) fail(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.core.ResetTimedOut {
		c.resetOnClose()
	}
	c.err = fmt.Errorf("%w (%w)", proxy.ErrClientGone, err)
	return c.err
}

// Meanwhile implements proxy.ResponseWire.
func (c *conn) Meanwhile(f func()) { c.wire.meanwhile(c, f) }

// Flush sends the queued bytes.
func (c *conn) Flush() error { return c.send(nil) }

// Finish ends the response.
func (c *conn) Finish(trailer *proxy.Header) error {
	if c.err != nil {
		return c.err
	}
	if c.framing == byLength && c.left > 0 {
		c.Abort()
		return errTooShort
	}
	if c.framing == chunked {
		c.buffer()
		c.out = appendEnd(c.out, trailer)
	}
	c.last = c.closing
	return c.send(nil)
}

// appendEnd ends a chunked body. trailer may be nil.
func appendEnd(b []byte, trailer *proxy.Header) []byte {
	if trailer == nil {
		return append(b, h1.LastChunk...)
	}
	return append(appendTrailing(append(b, "0\r\n"...), trailer), '\r', '\n')
}

// Abort gives up the response: the connection closes before the response's end. If the
// body ends with the connection, only a reset tells the client that it is incomplete. If
// nothing was sent (444), reset_timedout_connection makes the close a reset, as in nginx.
func (c *conn) Abort() {
	c.mustClose = true
	switch c.framing {
	case noHead:
		if c.err == nil && c.core.ResetTimedOut {
			c.resetOnClose()
		}
	case untilClose:
		c.resetOnClose()
	default:
		c.send(nil)
	}
}
