package proxypass

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// inlineBody is the largest body that is kept behind the head of its request.
const inlineBody = 64 << 10

// prepare reads the body, as far as it has come, and then writes the head.
func (p *pass) prepare(x *proxy.Exchange) error {
	h := p.h
	length := int64(-1)
	if h.passBody && (x.Req.ContentLength >= 0 && hasLength(x) || x.Req.Chunked) {
		core := x.Core()
		s := upstream.Storage{Inline: inlineBody, Memory: core.BodyBufferSize, Dir: core.BodyTempPath, Space: h.space}
		if err := p.body.Read(x, &s); err == proxy.ErrNotYet {
			return errWaits
		} else if err != nil {
			return err
		}
		length = p.body.Length
	}
	moved := h.encoder.uri.uri != "" && x.URIChanges() != *h.state.moves.In(x)
	var err error
	if p.request, err = h.encoder.append(p.request[:0], x, moved, length); err != nil {
		return err
	}
	p.request = append(p.request, p.body.Inline...)
	p.stage = choosing
	return nil
}

func hasLength(x *proxy.Exchange) bool {
	_, ok := x.Req.Header.Lookup(proxy.FieldContentLength)
	return ok
}

// choose chooses a peer, and takes a connection to it or begins one.
func (p *pass) choose(x *proxy.Exchange) error {
	p.began = x.Now()
	p.peer = p.lane.choose(p.tried, p.began)
	if p.peer == nil {
		return &failure{0, 502, "no live upstreams " + whileConnecting}
	}
	p.tries++
	x.Upstream.Try(p.peer.name)
	p.sent, p.sentFile, p.reused, p.received, p.length, p.interims = 0, 0, false, 0, 0, 0
	p.text = p.text[:0]
	p.raw.Reset(x.Req.Method)
	for p.conn = p.lane.takeKept(p.peer); p.conn != nil; p.conn = p.lane.takeKept(p.peer) {
		if isIdempotent(x.Req.Method) || p.conn.alive() {
			x.Upstream.Last().Connect = 0
			p.reused, p.stage = true, sending
			return nil
		}
		p.conn.close()
	}
	c, connected, err := p.lane.dial(p.peer, p.loop, p.h.connectTimeout, p.began)
	if err != nil {
		return connectFailed(err)
	}
	p.conn, p.stage = c, sending
	if !connected {
		p.stage = connecting
		return nil
	}
	x.Upstream.Last().Connect = x.Now().Sub(p.began)
	return nil
}

func connectFailed(err error) error {
	if isTimeout(err) {
		return timedOut(whileConnecting)
	}
	return callFailed("connect", err, whileConnecting)
}

// connect sends what it can at once: a connection on the same host is there by now.
func (p *pass) connect(x *proxy.Exchange) error {
	c := p.conn
	n, err := c.write(p.request[p.sent:], 0)
	switch {
	case err == nil:
		p.sent += n
		p.stage = sending
		x.Upstream.Last().Connect = x.Now().Sub(p.began)
		return nil
	case err != unix.EAGAIN:
		return connectFailed(err)
	case c.expired():
		return timedOut(whileConnecting)
	case c.await(p.waker, true, p.h.connectTimeout):
		return errWaits
	}
	return nil
}

// send sends the request. A peer that answers before it has it all is read first.
func (p *pass) send() error {
	for {
		rest, err := p.unsent()
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			p.conn.requests++
			p.stage = readingHead
			p.release()
			return nil
		}
		n, err := p.conn.write(rest, p.h.sendTimeout)
		if p.sent < len(p.request) {
			p.sent += n
		} else {
			p.sentFile += int64(n)
		}
		switch {
		case err == nil:
		case isTimeout(err):
			return timedOut(whileSending)
		case err != unix.EAGAIN:
			if p.conn.looped != nil && p.conn.looped.Readable() {
				p.stage = readingHead // the answer may tell why
				return nil
			}
			return callFailed("send", err, whileSending)
		case p.conn.looped.Readable():
			p.stage = readingHead
			return nil
		case p.conn.expired():
			return timedOut(whileSending)
		case p.conn.await(p.waker, true, p.h.sendTimeout):
			return errWaits
		}
	}
}

// unsent returns the next bytes of the request; none when it was sent.
func (p *pass) unsent() ([]byte, error) {
	if p.sent < len(p.request) {
		return p.request[p.sent:], nil
	}
	left := p.body.Length - p.sentFile
	if p.body.File == nil || left == 0 {
		return nil, nil
	}
	if p.buf == nil {
		p.buf = blocks.Get().(*[]byte)
	}
	b := (*p.buf)[:min(left, blockSize)]
	if n, err := p.body.File.ReadAt(b, p.sentFile); n < len(b) && err != nil {
		if err == io.EOF {
			err = proxy.ErrFileShrank
		}
		return nil, err
	}
	return b, nil
}

// complete reports that the request was sent.
func (p *pass) complete() bool {
	return p.sent == len(p.request) && (p.body.File == nil || p.sentFile == p.body.Length)
}

// isIdempotent reports whether a request of the method may be sent twice, as nginx sees it.
func isIdempotent(method string) bool {
	switch method {
	case "POST", "LOCK", "PATCH":
		return false
	}
	return true
}

// repeats reports whether the request is sent once more after f, to another peer, or by
// another connection where a kept one has turned out to be closed.
func (p *pass) repeats(x *proxy.Exchange, f *failure) bool {
	stale := p.reused && f.kind == kindError && p.received == 0
	now := x.Now()
	p.note(x, int(f.status), now)
	x.Upstream.URL = p.url()
	if c := p.conn; c != nil {
		c.drop()
		p.conn = nil
	}
	if p.peer != nil && !stale && f.kind != 0 {
		p.lane.report(p.peer, f.kind&harmless == 0, now)
	}
	if p.peer == nil || x.Res.Sent() || !p.repeatable(x) || !stale && !p.mayRepeat(x, f.kind) {
		return false
	}
	if stale {
		p.tries-- // as if it had not been one
	} else {
		p.tried[p.peer.index] = true
		if f.kind&failures != 0 {
			x.Log(proxy.LevelError, "%s", f.reason)
		}
	}
	p.stage = choosing
	p.release()
	return true
}

// url is the request at the peer, as nginx's error log has it.
func (p *pass) url() string {
	if p.peer == nil {
		return ""
	}
	line, _, _ := bytes.Cut(p.request, []byte("\r\n"))
	_, line, _ = bytes.Cut(line, []byte(" "))
	uri, _, _ := bytes.Cut(line, []byte(" "))
	return "http://" + p.peer.name + string(uri)
}

// repeatable reports whether the peer may get the request twice.
func (p *pass) repeatable(x *proxy.Exchange) bool {
	return p.sent == 0 || p.h.next&kindNonIdempotent != 0 || isIdempotent(x.Req.Method)
}

// mayRepeat reports whether proxy_next_upstream wants another peer to be asked after a
// failure of that kind, and there is one.
func (p *pass) mayRepeat(x *proxy.Exchange, kind failureKind) bool {
	most := p.h.group.tries()
	if p.h.nextTries > 0 {
		most = min(most, p.h.nextTries)
	}
	return p.h.next&kind != 0 && p.tries < most && (p.h.nextTimeout == 0 || x.Now().Sub(p.arrived) < p.h.nextTimeout)
}
