package http1

import (
	"bytes"
	"errors"
	"io"
	"os"

	"alicorn/proxy"
)

// errSilent ends a connection without an answer: the client left, or sent
// nothing but empty lines.
var errSilent = errors.New("connection ends without a request")

var space = []byte(" ")

// maxEmptyLines bounds the empty lines skipped before a request, RFC 9112
// section 2.2.
const maxEmptyLines = 8

// readHead reads and parses one request head. On an error the request is
// filled as far as it was understood.
func (c *conn) readHead(x *proxy.Exchange, h *head) error {
	if err := c.skipEmptyLines(); err != nil {
		return err
	}
	if b := c.buf[c.r]; !tokenByte[b] {
		return bad("invalid method")
	}
	end, err := c.scanHead()
	if err != nil {
		return c.headError(x, err)
	}
	text := c.buf[c.r:end]
	c.bytesRead += int64(len(text))
	c.r = end
	return c.parseHead(x, h, text)
}

func (c *conn) skipEmptyLines() error {
	for lines := 0; ; {
		switch {
		case c.r == c.w, c.buf[c.r] == '\r' && c.r+1 == c.w:
			if err := c.fill(); err != nil {
				return errSilent
			}
			continue
		case c.buf[c.r] == '\n':
			c.r++
		case c.buf[c.r] == '\r' && c.buf[c.r+1] == '\n':
			c.r += 2
		default:
			return nil // a bare CR is no token: the method is then invalid
		}
		if lines++; lines > maxEmptyLines {
			return bad("too many empty lines before a request")
		}
	}
}

// scanHead reads until the head is complete and returns the position behind
// it. Lines and the whole are bounded as large_client_header_buffers says.
func (c *conn) scanHead() (int, error) {
	line := c.r // start of the line being read
	for at, first := c.r, true; ; {
		i := bytes.IndexByte(c.buf[at:c.w], '\n')
		if i < 0 {
			if err := c.tooLong(c.w-line+1, c.w-c.r, first); err != nil {
				return 0, err
			}
			at = c.w
			moved := c.r
			if err := c.fill(); err != nil {
				return 0, err
			}
			shift := moved - c.r
			at, line = at-shift, line-shift
			continue
		}
		nl := at + i
		if n := nl - line; n == 0 || n == 1 && c.buf[line] == '\r' {
			return nl + 1, nil
		}
		if err := c.tooLong(nl-line+1, nl-c.r, first); err != nil {
			return 0, err
		}
		if first && bytes.Count(c.buf[line:nl], space) < 2 {
			return nl + 1, nil // HTTP/0.9, or no request line at all: no fields follow
		}
		at, line, first = nl+1, nl+1, false
	}
}

// tooLong judges the length of the line being read, with its LF, and of the
// head up to it.
func (c *conn) tooLong(line, head int, first bool) error {
	limit := max(c.core.HeaderBufferSize, c.core.LargeBufferSize)
	total := c.core.HeaderBufferSize + int64(c.core.LargeBuffers)*c.core.LargeBufferSize
	switch {
	case int64(line) > limit && first:
		return &proxy.Fail{Status: 414, Level: proxy.LevelInfo, Reason: "client sent too long URI"}
	case int64(line) > limit:
		return &proxy.Fail{Status: proxy.StatusHeaderTooLarge, Level: proxy.LevelInfo, Reason: "client sent too long header line"}
	case int64(head) > total:
		return &proxy.Fail{Status: proxy.StatusHeaderTooLarge, Level: proxy.LevelInfo, Reason: "client sent too large request"}
	}
	return nil
}

// fill reads more behind buf[:w], making room first. It may move the bytes
// from r on to the start of the buffer or to a larger one.
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
	c.readDeadlineAt(c.headEnds)
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// headError is what a head that did not come to its end is answered with. The
// request line is kept for the log when it was there.
func (c *conn) headError(x *proxy.Exchange, err error) error {
	part := c.buf[c.r:c.w]
	c.bytesRead += int64(len(part))
	if i := bytes.IndexByte(part, '\n'); i >= 0 {
		parseLine(&x.Req, bytes.TrimRight(part[:i], "\r"))
	}
	var fail *proxy.Fail
	switch {
	case errors.As(err, &fail):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.timedOut = true
		if c.core.ResetTimedOut {
			c.resetOnClose()
		}
		return &proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out while sending the request head"}
	case errors.Is(err, io.EOF):
		return bad("an incomplete request and closed the connection")
	}
	return errSilent
}

func (c *conn) parseHead(x *proxy.Exchange, h *head, text []byte) error {
	line, rest := cutLine(text)
	if bytes.IndexByte(line, '\r') >= 0 {
		return bad("a bare CR in the request line")
	}
	simple, err := parseLine(&x.Req, line)
	if err != nil {
		return err
	}
	if simple {
		c.simple, c.mustClose = true, true
		return nil
	}
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		drop, err := h.parseField(&x.Req, c.core, line)
		if err != nil {
			return err
		}
		if drop {
			c.logDropped(line)
		}
	}
	return h.finish(&x.Req)
}

func (c *conn) logDropped(line []byte) {
	l := c.core.ErrorLog
	if l == nil {
		return
	}
	name, _, _ := bytes.Cut(line, []byte(":"))
	l.Info("client sent invalid header line: \""+string(name)+"\", ignored", "client", c.info.RemoteAddr)
}

// cutLine returns the first line without its end, CRLF or LF, and the rest.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, nil
	}
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest
}
