package http1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/h1"
)

// body is one request body as it is read.
type body struct {
	h1.Body
	read     int64 // bytes of data so far
	await100 bool  // the client waits for 100 Continue
	err      error
}

func (b *body) begin(r *proxy.Request, h *h1.RequestHead) {
	*b = body{Body: h1.NewBody(r.ContentLength, r.Chunked)}
	b.await100 = h.Continue && !b.Ended()
}

// ReadBody reads the decoded body; see proxy.RequestWire.
func (c *conn) ReadBody(p []byte) (int, error) {
	b := &c.body
	if b.err != nil {
		return 0, b.err
	}
	n, err := c.readBody(p)
	if err != nil && err != io.EOF && err != proxy.ErrNotYet {
		b.err = c.bodyError(err)
		return n, b.err
	}
	return n, err
}

// TryReadBody implements proxy.RequestWire.
func (c *conn) TryReadBody(p []byte) (int, error) {
	c.tries = c.wire.suspends()
	n, err := c.ReadBody(p)
	c.tries = false
	return n, err
}

// AwaitBody implements proxy.RequestWire. The loop calls Ready.
func (c *conn) AwaitBody() bool {
	if c.awaitsBody.Load() {
		return true // Ready is still to come
	}
	c.awaitsBody.Store(true)
	if c.wire.awaitBody(max(c.bodyDue.Sub(c.Now()), time.Millisecond)) {
		return true
	}
	c.awaitsBody.Store(false)
	return false
}

// forgetBody ends the wait that AwaitBody has begun. Where the loop is about to call
// Ready it stays: that call, or the next one, which is as good, takes it for the end.
func (c *conn) forgetBody() {
	if c.awaitsBody.Load() && c.wire.Take() {
		c.awaitsBody.Store(false)
	}
}

func (c *conn) readBody(p []byte) (int, error) {
	b := &c.body
	if b.Ended() {
		return 0, io.EOF
	}
	if b.await100 {
		b.await100 = false
		if err := c.continue100(); err != nil {
			return 0, err
		}
	}
	if b.Left() == 0 {
		if err := c.readFraming(); err != nil {
			return 0, err
		}
		if b.Ended() {
			return 0, io.EOF
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.readRaw(p[:min(int64(len(p)), b.Left())])
	b.Take(int64(n))
	b.read += int64(n)
	if err == io.EOF {
		err = b.EOF()
	}
	return n, err
}

func (c *conn) bodyError(err error) error {
	var wrong *h1.Error
	var fail *proxy.Fail
	c.mustClose = true
	switch {
	case errors.As(err, &wrong):
		return refusal(wrong)
	case errors.As(err, &fail):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.timedOut = true
		if !c.draining && c.bodyCore().ResetTimedOut {
			c.resetOnClose()
		}
		return &proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out while sending the request body"}
	}
	return proxy.ErrClientGone
}

// readRaw reads body bytes: buffered ones first, then from the connection.
func (c *conn) readRaw(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		c.bytesRead += int64(n)
		return n, nil
	}
	n, err := c.readWire(p)
	c.bytesRead += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// readWire reads bytes of the body from the connection. Where c tries it does not wait.
func (c *conn) readWire(p []byte) (int, error) {
	if !c.tries {
		c.wire.boundReads(c.bodyTimeout())
		return c.wire.Read(p)
	}
	n, err := c.wire.readNow(p, c.sendTimeout())
	switch {
	case err != eventloop.ErrNothing:
		c.bodyDue = time.Time{}
		return n, err
	case c.bodyDue.IsZero():
		c.bodyDue = c.Now().Add(c.bodyTimeout())
	case !c.Now().Before(c.bodyDue):
		return 0, os.ErrDeadlineExceeded
	}
	return 0, proxy.ErrNotYet
}

// readFraming reads what stands between the data of two chunks, or behind the
// last one.
func (c *conn) readFraming() error {
	b := &c.body
	for b.Left() == 0 && !b.Ended() {
		if c.r == c.w {
			if err := c.fillFraming(); err != nil {
				return err
			}
		}
		n, err := b.Frame(c.buf[c.r:c.w])
		c.r += n
		c.bytesRead += int64(n)
		if err != nil {
			return err
		}
	}
	if limit := c.bodyCore().MaxBodySize; limit > 0 && b.Left() > limit-b.read {
		return &proxy.Fail{Status: 413, Level: proxy.LevelError,
			Reason: fmt.Sprintf("client intended to send too large chunked body: %d+%d bytes", b.read, b.Left())}
	}
	return nil
}

// fillFraming reads from the connection into a buffer of its own: the head's bytes
// stay where they are, as strings of the request alias them.
func (c *conn) fillFraming() error {
	if c.bodyBuf == nil {
		c.bodyBuf = bodyBuffers.Get().(*[]byte)
	}
	n, err := c.readWire(*c.bodyBuf)
	if n == 0 {
		if err == nil || err == io.EOF {
			err = c.body.EOF()
		}
		return err
	}
	c.keepHead()
	c.buf, c.r, c.w = *c.bodyBuf, 0, n
	return nil
}

// bodyTimeout is how long a read of the body may wait: client_body_timeout of
// the location that reads it, lingering_timeout when it is dropped.
func (c *conn) bodyTimeout() time.Duration {
	if c.draining {
		return c.core.LingeringTimeout
	}
	return c.bodyCore().BodyTimeout
}

// bodyCore returns the settings of the location that reads the body.
func (c *conn) bodyCore() *proxy.Core {
	if c.x.Server != nil {
		return c.x.Core()
	}
	return c.core
}

// drainable reports that what is left of the body can be read and dropped: a
// client that waits for 100 Continue may never send it (RFC 9110 section
// 10.1.1), and a large rest costs more than a new connection.
func (c *conn) drainable() bool {
	return c.body.err == nil && !c.body.await100 && c.body.Left() <= maxDrain
}

// drain reads what is left of the body so that the connection can go on, as
// long as that is little and comes soon. It reports whether it got to the end.
func (c *conn) drain() bool {
	if c.body.Ended() {
		return true
	}
	if c.mustClose || !c.drainable() {
		return false
	}
	c.draining = true
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	deadline := time.Now().Add(c.core.LingeringTime)
	for total := 0; total <= maxDrain && time.Now().Before(deadline); {
		n, err := c.ReadBody(*buf)
		total += n
		if err == io.EOF {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

// maxDrain bounds the unread body that is read to keep a connection.
const maxDrain = 256 << 10
