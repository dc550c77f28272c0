package http1

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

const (
	serverName    = "Server: alicorn\r\n"
	serverVersion = "Server: alicorn/" + proxy.Version + "\r\n"
)

// date is the Date line of one second.
type date struct {
	second int64
	line   []byte
}

var lastDate atomic.Pointer[date]

// appendDate appends the Date field, made once a second for all connections.
func appendDate(dst []byte, now time.Time) []byte {
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{second: now.Unix(), line: now.UTC().AppendFormat(nil, "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		lastDate.Store(d)
	}
	return append(dst, d.line...)
}

func (c *conn) buffer() {
	if c.out == nil {
		c.outPool = writeBuffers.Get().(*[]byte)
		c.out = (*c.outPool)[:0]
	}
}

func (c *conn) releaseOut() {
	if c.outPool != nil {
		writeBuffers.Put(c.outPool)
	}
	c.out, c.outPool = nil, nil
}

// WriteHead queues the head of x's response; see proxy.ResponseWire.
func (c *conn) WriteHead(x *proxy.Exchange, bodyless bool) error {
	c.headWritten, c.bodyless, c.chunked = true, bodyless, false
	c.core = x.Core()
	c.buffer()
	c.decideClose(x, bodyless)
	if c.simple {
		return nil // an HTTP/0.9 response is the body alone
	}
	r := &x.Res
	b := h1.AppendStatusLine(c.out, r.Status, r.Reason())
	b = c.appendOwn(b, r)
	b = c.appendFraming(b, x, bodyless)
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

// decideClose settles whether the connection goes on, and the body's framing.
func (c *conn) decideClose(x *proxy.Exchange, bodyless bool) {
	core := c.core
	c.closing = c.mustClose || !c.keepAlive || c.simple || core.KeepaliveTimeout == 0 ||
		c.info.Requests >= core.KeepaliveRequests || c.e.Draining() || c.info.Listener.Closed() ||
		c.state.Load() != stateActive || !c.body.Ended() && !c.drainable() || c.Now().Sub(c.info.Accepted) > core.KeepaliveTime
	c.left = x.Res.Length
	if c.left < 0 && !bodyless {
		if x.Req.Major == 1 && x.Req.Minor > 0 && core.ChunkedEncoding {
			c.chunked = true
		} else {
			c.closing = true
		}
	}
}

// appendOwn appends the fields that are ours unless the response has them.
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

func (c *conn) appendFraming(b []byte, x *proxy.Exchange, bodyless bool) []byte {
	switch status := x.Res.Status; {
	case status < 200 || status == 204 || status == 304:
	case x.Res.Length >= 0:
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, x.Res.Length, 10), '\r', '\n')
	case c.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return b
}

// appendFields appends the response's other fields. One that could change
// the message's shape never goes out.
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

func (c *conn) continue100() error {
	if c.headWritten {
		return nil
	}
	c.buffer()
	c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	return c.send(nil)
}

// errTooLong is a body longer than the Content-Length that was sent.
var errTooLong = errors.New("response body is longer than its Content-Length")

// Write queues or sends body bytes.
func (c *conn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.bodyless || len(p) == 0 {
		return len(p), nil
	}
	if c.left >= 0 {
		if int64(len(p)) > c.left {
			return 0, errTooLong
		}
		c.left -= int64(len(p))
	}
	c.buffer()
	if c.chunked {
		c.out = h1.AppendChunkSize(c.out, len(p))
	}
	var err error
	if len(c.out)+len(p)+2 <= cap(c.out) {
		c.out = append(c.out, p...)
	} else {
		err = c.send(p)
	}
	if c.chunked && err == nil {
		c.buffer()
		c.out = append(c.out, h1.ChunkEnd...)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes what is queued and then p.
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

func (c *conn) sendTimeout() time.Duration {
	if c.core == nil {
		return 60 * time.Second
	}
	return c.core.SendTimeout
}

// fail makes err sticky.
func (c *conn) fail(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.core.ResetTimedOut {
		c.resetOnClose()
	}
	c.err = fmt.Errorf("%w (%w)", proxy.ErrClientGone, err)
	return c.err
}

// Flush sends what is queued.
func (c *conn) Flush() error { return c.send(nil) }

// Finish ends the response.
func (c *conn) Finish() error {
	if c.err != nil {
		return c.err
	}
	if !c.bodyless && c.left > 0 {
		c.Abort()
		return errors.New("response body is shorter than its Content-Length")
	}
	if c.chunked {
		c.buffer()
		c.out = append(c.out, h1.LastChunk...)
	}
	c.last = c.closing
	return c.send(nil)
}

// Abort gives the response up: what follows is a close without its end. A
// response that ends with the connection can only be told apart from a whole
// one by a reset; one that never began (444) is reset as nginx does.
func (c *conn) Abort() {
	c.aborted, c.mustClose = true, true
	switch {
	case !c.headWritten && c.err == nil && c.core.ResetTimedOut,
		c.headWritten && !c.bodyless && !c.chunked && c.left < 0:
		c.resetOnClose()
	case c.headWritten:
		c.send(nil)
	}
}
