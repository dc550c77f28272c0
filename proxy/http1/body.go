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

// body is the state of reading one request body.
type body struct {
	h1.Body
	read     int64 // bytes of data that were read
	await100 bool  // the client waits for 100 Continue
	mode     readMode
	next     error // what is wrong behind the data that was returned; the next read fails with it
	err      error
}

// readMode is how a read of the body waits for the client.
type readMode uint8

const (
	reads  readMode = iota // on its goroutine
	tries                  // not at all: it returns proxy.ErrNotYet
	drains                 // the bytes are dropped: as tries with a loop, as reads without one
)

// begin readies b for the body of r, whose head is h.
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
	if c.wire.suspends() {
		c.body.mode = tries
	}
	n, err := c.ReadBody(p)
	c.body.mode = reads
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

// forgetBody ends the wait that AwaitBody has begun. If the loop is about to call Ready,
// awaitsBody stays set until a call of Ready clears it.
func (c *conn) forgetBody() {
	if c.awaitsBody.Load() && c.wire.Take() {
		c.awaitsBody.Store(false)
	}
}

// readBody is ReadBody without a record of its error. It waits for data at most, and then
// returns the data of all chunks that have come: a client that sends a byte a chunk costs its
// reader no call for each.
func (c *conn) readBody(p []byte) (int, error) {
	b := &c.body
	if b.next != nil {
		return 0, b.next
	}
	n, err := c.readPart(p)
	for err == nil && n > 0 && n < len(p) && c.r < c.w && !b.Ended() {
		if b.Left() == 0 {
			if b.next = c.readFraming(false); b.next != nil {
				break
			}
			continue
		}
		m, _ := c.readData(p[n:]) // from the buffer
		n += m
	}
	return n, err
}

// readPart reads data without framing in it.
func (c *conn) readPart(p []byte) (int, error) {
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
		if err := c.readFraming(true); err != nil {
			return 0, err
		}
		if b.Ended() {
			return 0, io.EOF
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.readData(p)
	if err == io.EOF {
		err = b.EOF()
	}
	return n, err
}

// readData reads data of the chunk, or of the body.
func (c *conn) readData(p []byte) (int, error) {
	b := &c.body
	n, err := c.readRaw(p[:min(int64(len(p)), b.Left())])
	b.Take(int64(n))
	b.read += int64(n)
	return n, err
}

// bodyError returns the answer to a body whose reading has failed with err. The connection
// closes.
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
		if c.body.mode != drains && c.bodyCore().ResetTimedOut {
			c.resetOnClose()
		}
		return &proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out while sending the request body"}
	}
	return proxy.ErrClientGone
}

// readRaw reads bytes of the body, first from the buffer, then from the connection.
func (c *conn) readRaw(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		c.bytesRead += int64(n)
		return n, nil
	}
	more := c.behindHead(len(p))
	n, err := c.readWire(p, more)
	if n > len(p) {
		c.r, c.w = c.headEnd, c.headEnd+n-len(p)
		n = len(p)
	}
	c.bytesRead += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// behindHead returns the part of the head's buffer that nobody needs any more, if the body
// ends with its next n bytes; otherwise nil. A read of these bytes reads what follows them
// into that part. If it does not fill the part, nothing else has come, and the connection
// waits for the next request without another read.
func (c *conn) behindHead(n int) []byte {
	if c.headBuf != nil || c.buf == nil || !c.body.EndsWith(n) {
		return nil
	}
	return c.buf[c.headEnd:]
}

// readWire reads bytes of the body from the connection, and what comes after p into more if
// it does not wait.
func (c *conn) readWire(p, more []byte) (int, error) {
	if c.body.mode == reads || !c.wire.suspends() {
		c.wire.boundReads(c.bodyTimeout())
		return c.wire.Read(p)
	}
	n, err := c.wire.readNow(p, more, c.sendTimeout())
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

// readFraming reads the bytes between the data of two chunks, or after the last chunk;
// without waits only those that have come.
func (c *conn) readFraming(waits bool) error {
	b := &c.body
	for b.Left() == 0 && !b.Ended() {
		if c.r == c.w {
			if !waits {
				return nil
			}
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

// fillFraming reads from the connection into another buffer than the head's, as the
// request's strings alias that.
func (c *conn) fillFraming() error {
	if c.bodyBuf == nil {
		c.bodyBuf = bodyBuffers.Get().(*[]byte)
	}
	n, err := c.readWire(*c.bodyBuf, nil)
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

// bodyTimeout returns how long a read of the body may wait: client_body_timeout of the
// exchange's location; lingering_timeout if the body is dropped.
func (c *conn) bodyTimeout() time.Duration {
	if c.body.mode == drains {
		return c.core.LingeringTimeout
	}
	return c.bodyCore().BodyTimeout
}

// bodyCore returns the settings for the body: those of the exchange's location.
func (c *conn) bodyCore() *proxy.Core {
	if c.x.Server != nil {
		return c.x.Core()
	}
	return c.core
}

// drainable reports whether the rest of the body may be read and dropped. A client that
// waits for 100 Continue may never send it (RFC 9110 section 10.1.1), and reading a large
// rest costs more than a new connection.
func (c *conn) drainable() bool {
	return c.body.err == nil && !c.body.await100 && c.body.Left() <= maxDrain
}
