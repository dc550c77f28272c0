package http1

import (
	"errors"
	"io"
	"os"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

// errSilent ends a connection without a response: the client has left, or has sent only
// empty lines.
var errSilent = errors.New("connection ends without a request")

// readHead reads and parses one request head. After an error x.Req has what was parsed
// before.
func (c *conn) readHead(x *proxy.Exchange, h *h1.RequestHead) error {
	rules := h1.RequestRules{
		Line:          max(c.core.HeaderBufferSize, c.core.LargeBufferSize),
		Head:          c.core.HeaderBufferSize + int64(c.core.LargeBuffers)*c.core.LargeBufferSize,
		Fields:        c.core.MaxHeaders,
		Underscores:   c.core.Underscores,
		IgnoreInvalid: c.core.IgnoreInvalid,
	}
	for {
		n, err := h.Feed(&x.Req, c.buf[c.r:c.w], &rules)
		if n == 0 && err == nil {
			if err = c.fill(); err == nil {
				continue
			}
			h.Partial(&x.Req, c.buf[c.r:c.w])
		}
		if n == 0 {
			n = c.w - c.r
		}
		c.bytesRead += int64(n - h.Skipped)
		c.r += n
		c.logIgnored(h)
		if err != nil {
			return c.headError(h, err)
		}
		if h.Simple {
			c.simple, c.mustClose = true, true
		}
		c.headEnd = c.r
		return nil
	}
}

// fill reads more bytes to the end of buf[:w]. To make room it may move the bytes from r
// on to the start of the buffer or to a larger one.
func (c *conn) fill() error {
	if c.buf == nil {
		c.takeRead()
	}
	if c.r > 0 && c.w == len(c.buf) {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		grown := make([]byte, 2*len(c.buf))
		copy(grown, c.buf[:c.w])
		r, w := c.r, c.w
		c.releaseRead()
		c.buf, c.r, c.w = grown, r, w
	}
	c.wire.boundReadsBy(c.headEnds)
	n, err := c.wire.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// headError returns the answer to a head that is malformed or incomplete: a *proxy.Fail, a
// proxy.Status, or errSilent.
func (c *conn) headError(h *h1.RequestHead, err error) error {
	var wrong *h1.Error
	switch {
	case errors.As(err, &wrong):
		return refusal(wrong)
	case !h.Begun():
		return errSilent
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.timedOut = true
		if c.core.ResetTimedOut {
			c.resetOnClose()
		}
		return &proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out while sending the request head"}
	case errors.Is(err, io.EOF):
		return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: "client sent an incomplete request and closed the connection"}
	}
	return errSilent
}

// refusal returns the answer to a malformed request.
func refusal(wrong *h1.Error) error {
	if wrong.What == "" {
		return proxy.Status(wrong.Status)
	}
	return &proxy.Fail{Status: proxy.Status(wrong.Status), Level: proxy.LevelInfo, Reason: "client sent " + wrong.What}
}

// logIgnored logs the fields that were left out, in nginx's words.
func (c *conn) logIgnored(h *h1.RequestHead) {
	if len(h.Ignored) == 0 || c.core.ErrorLog == nil {
		return
	}
	for _, name := range h.Ignored {
		c.core.ErrorLog.Info("client sent invalid header line: \""+name+"\", ignored", "client", c.info.RemoteAddr)
	}
}
