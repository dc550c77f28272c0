package http1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"alicorn/proxy"
)

// body decodes one request body.
type body struct {
	left      int64 // bytes of the body, or of the current chunk, not yet read
	read      int64 // bytes read so far
	chunked   bool
	ended     bool
	inChunk   bool // a chunk's data has begun: its CRLF is still to come
	await100  bool // the client waits for 100 Continue
	err       error
	trailer   int // bytes of the trailer section so far
	extension int // bytes of chunk extensions of the current chunk
	overhead  int // and of all chunks
}

// Bounds of what chunked framing may carry besides data.
const (
	maxExtension = 1 << 10  // in one chunk
	maxOverhead  = 16 << 10 // extensions of all chunks
	maxTrailer   = 8 << 10
)

func (b *body) begin(r *proxy.Request, h *head) {
	*b = body{left: max(r.ContentLength, 0), chunked: r.Chunked}
	b.ended = !b.chunked && b.left == 0
	b.await100 = !b.ended && h.expect != "" && r.Minor > 0
}

// ReadBody reads the decoded body; see proxy.Stream.
func (c *conn) ReadBody(p []byte) (int, error) {
	b := &c.body
	if b.err != nil {
		return 0, b.err
	}
	n, err := c.readBody(p)
	if err != nil && err != io.EOF {
		b.err = c.bodyError(err)
		return n, b.err
	}
	return n, err
}

func (c *conn) readBody(p []byte) (int, error) {
	b := &c.body
	if b.ended {
		return 0, io.EOF
	}
	if b.await100 {
		b.await100 = false
		if err := c.continue100(); err != nil {
			return 0, err
		}
	}
	if b.chunked && b.left == 0 {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
		if b.ended {
			return 0, io.EOF
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.readRaw(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.read += int64(n)
	if b.left == 0 && !b.chunked {
		b.ended = true
	}
	if err == io.EOF && !b.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *conn) bodyError(err error) error {
	var fail *proxy.Fail
	c.mustClose = true
	switch {
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
	c.readDeadline(c.bodyTimeout())
	n, err := c.nc.Read(p)
	c.bytesRead += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (c *conn) readByte() (byte, error) {
	if c.r == c.w {
		if c.bodyBuf == nil {
			c.bodyBuf = bodyBuffers.Get().(*[]byte)
		}
		// The head's bytes stay where they are: strings of the request alias
		// them. Framing is read into a buffer of its own.
		c.readDeadline(c.bodyTimeout())
		n, err := c.nc.Read(*c.bodyBuf)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		c.keepHead()
		c.buf, c.r, c.w = *c.bodyBuf, 0, n
	}
	ch := c.buf[c.r]
	c.r++
	c.bytesRead++
	return ch, nil
}

// nextChunk reads the end of a chunk and the size of the next; after the last
// chunk also the trailer section. RFC 9112 section 7.1.
func (c *conn) nextChunk() error {
	b := &c.body
	if b.inChunk {
		if err := c.expectCRLF(); err != nil {
			return err
		}
	}
	b.inChunk, b.extension = true, 0
	size, err := c.chunkSize()
	if err != nil {
		return err
	}
	if limit := c.bodyCore().MaxBodySize; limit > 0 && size > limit-b.read {
		return &proxy.Fail{Status: 413, Level: proxy.LevelError,
			Reason: fmt.Sprintf("client intended to send too large chunked body: %d+%d bytes", b.read, size)}
	}
	if b.left = size; size == 0 {
		if err := c.trailers(); err != nil {
			return err
		}
		b.ended = true
	}
	return nil
}

func (c *conn) expectCRLF() error {
	for _, want := range "\r\n" {
		ch, err := c.readByte()
		if err != nil {
			return err
		}
		if ch != byte(want) {
			return bad("invalid chunked framing")
		}
	}
	return nil
}

func (c *conn) chunkSize() (int64, error) {
	var size int64
	digits := 0
	for {
		ch, err := c.readByte()
		if err != nil {
			return 0, err
		}
		v := hexValue(ch)
		if v < 0 {
			if digits == 0 {
				return 0, bad("an invalid chunk size")
			}
			return size, c.chunkExtension(ch)
		}
		if digits++; digits > 15 {
			return 0, bad("an invalid chunk size")
		}
		size = size<<4 | int64(v)
	}
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// chunkExtension skips to the CRLF that ends the size line; ch is the first
// byte after the digits. Extensions are not interpreted. Blanks may stand before
// the ";" of one, not alone (RFC 9112 section 7.1.1).
func (c *conn) chunkExtension(ch byte) error {
	b := &c.body
	if ch != '\r' && ch != ';' && ch != ' ' && ch != '\t' {
		return bad("an invalid chunk size")
	}
	seen, blank := ch == ';', ch == ' ' || ch == '\t'
	for ch != '\r' {
		var err error
		if ch, err = c.readByte(); err != nil {
			return err
		}
		b.extension++
		b.overhead++
		switch {
		case b.extension > maxExtension, b.overhead > maxOverhead, ch < ' ' && ch != '\t' && ch != '\r', ch == 0x7f:
			return bad("an invalid chunk extension")
		case ch == ';':
			seen = true
		case !seen && ch != ' ' && ch != '\t' && ch != '\r':
			return bad("an invalid chunk size")
		}
	}
	if blank && !seen {
		return bad("blanks between a chunk size and its CRLF")
	}
	ch, err := c.readByte()
	if err == nil && ch != '\n' {
		err = bad("invalid chunked framing")
	}
	return err
}

// trailers reads and drops the trailer section.
func (c *conn) trailers() error {
	b := &c.body
	for lineLen, colon := 0, false; ; {
		ch, err := c.readByte()
		if err != nil {
			return err
		}
		if b.trailer++; b.trailer > maxTrailer {
			return bad("too large trailers")
		}
		switch {
		case ch == '\r':
			if ch, err = c.readByte(); err != nil {
				return err
			}
			if ch != '\n' {
				return bad("a bare CR in the trailers")
			}
			if lineLen == 0 {
				return nil
			}
			if !colon {
				return bad("an invalid trailer field")
			}
			lineLen, colon = 0, false
		case ch == ':' && !colon && lineLen > 0:
			colon = true
			lineLen++
		case !colon && !tokenByte[ch], colon && ch < ' ' && ch != '\t', ch == 0x7f:
			return bad("an invalid trailer field")
		default:
			lineLen++
		}
	}
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
	return c.body.err == nil && !c.body.await100 && c.body.left <= maxDrain
}

// drain reads what is left of the body so that the connection can go on, as
// long as that is little and comes soon. It reports whether it got to the end.
func (c *conn) drain() bool {
	if c.body.ended {
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
