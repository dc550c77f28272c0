package proxypass

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
	"alicorn/proxy"
	"alicorn/proxy/cgi"
	"alicorn/proxy/upstream"
)

// inlineBody is the largest body that is kept in memory, behind the head of its request.
const inlineBody = 64 << 10

// prepare reads the body, as far as it has come, and once it has come it writes the head.
func (p *pass) prepare(x *proxy.Exchange) error {
	h := p.h
	length := int64(noBody)
	var err error
	var own []byte
	switch passes := h.passBody && h.settings.body == nil; {
	case passes && h.feeds(x):
		length, err = p.beginFeed(x)
	case passes && (x.Req.Chunked || hasLength(x)):
		err = p.readBody(x)
		length = p.body.Length
	case x.RemembersBody():
		if err = p.readBody(x); err == nil && p.body.Length > 0 {
			p.keepBody(x)
		}
	}
	if err == proxy.ErrNotYet {
		return errWaits
	} else if err != nil {
		return err
	}
	if h.settings.body != nil {
		own = h.settings.body.Append(x, make([]byte, 0, 64))
		length = int64(len(own))
	}
	if p.stage = choosing; p.lookup != nil {
		p.stage = resolving
	}
	if p.security != nil {
		p.way.name = p.peerName(x)
	}
	if h.bind.address != nil {
		p.way.from = h.bind.local(x)
	}
	to := place{moved: h.pass.uri != "" && x.URIChanges() != *h.state.moves.In(x)}
	switch {
	case p.probe != nil:
		to.uri = p.probe.uri
	case h.aims != nil:
		to.uri = p.target.uri
	}
	if p.request, err = h.encoder.append(p.request[:0], x, to, length); err == nil {
		err = x.TakeFault()
	}
	if err != nil {
		return err
	}
	switch {
	case own != nil:
		p.request = h.encoder.body(p.request, own)
	case p.feed == nil && p.body.File == nil:
		p.request = h.encoder.body(p.request, p.body.Inline)
	}
	return nil
}

// readBody reads the whole body.
func (p *pass) readBody(x *proxy.Exchange) error {
	core := x.Core()
	return p.body.Read(x, &upstream.Storage{Inline: inlineBody, Memory: core.BodyBufferSize, Dir: core.BodyTempPath, Space: p.h.space})
}

// beginFeed makes the body be passed on while it comes. If all of it has come already, it is
// kept, so that the request can be repeated, as in nginx.
func (p *pass) beginFeed(x *proxy.Exchange) (length int64, err error) {
	length = chunkedBody
	if !x.Req.Chunked {
		length = x.Req.ContentLength
	}
	p.feed = upstream.NewFeed(x, p.h.encoder.framing(length), p.h.sendTimeout)
	all, err := p.feed.Preread(x, &p.body)
	if all {
		length, p.feed = p.body.Length, nil
	}
	return length, err
}

// feeds reports whether the body of x's request is passed on while it comes.
func (h *handler) feeds(x *proxy.Exchange) bool {
	chunked := x.Req.Chunked && h.protocol.chunks && h.version == "1.1"
	return !h.readFirst && x.Loop() != nil && (x.Req.ContentLength > 0 || chunked)
}

func hasLength(x *proxy.Exchange) bool {
	_, ok := x.Req.Header.Lookup(proxy.FieldContentLength)
	return ok
}

// choose chooses a peer, or puts the request into the queue.
func (p *pass) choose(x *proxy.Exchange) error {
	r, now := p.roster, x.Now()
	p.peer = nil
	if m := r.choose(&p.sel, now); m != nil {
		return p.try(x, m, now)
	}
	m, w, err := r.enqueue(&p.sel, p.waker, p.group.queueTimeout, now)
	switch {
	case m != nil:
		return p.try(x, m, now)
	case err != nil:
		return p.noPeer(x, err)
	}
	p.waits, p.stage = w, queued
	return nil
}

// queue waits until a peer has room.
func (p *pass) queue(x *proxy.Exchange) error {
	w := p.waits
	m, over := p.roster.waited(w, x.Now())
	switch {
	case m != nil:
		p.waits = nil
		err := p.try(x, m, w.given)
		x.Upstream.Last().Queue = w.given.Sub(w.began)
		return err
	case over:
		p.waits = nil
		err := p.noPeer(x, tooLong)
		x.Upstream.Last().Queue = x.Now().Sub(w.began)
		return err
	}
	return errWaits
}

// noPeer ends a request that no peer can take. As in nginx, $upstream_addr is the group's
// name.
func (p *pass) noPeer(x *proxy.Exchange, why *failure) error {
	t := x.Upstream.Try(p.groupName())
	t.Status, t.Response = int(why.status), 0
	return why
}

// try begins a try: it takes a kept connection to the member's peer, or connects.
func (p *pass) try(x *proxy.Exchange, m *member, now time.Time) error {
	p.began, p.member, p.peer, p.landed = now, m, m.peer, false
	p.tries++
	x.Upstream.Try(p.peer.name)
	p.sent, p.partly, p.reused, p.received, p.length, p.interims, p.surplus = 0, false, false, 0, 0, 0, false
	p.text = p.text[:0]
	p.file.release()
	p.file = filePart{}
	if p.h.protocol.records {
		p.records = cgi.Records{}
	}
	p.raw.Reset(x.Req.Method)
	for p.conn = p.lane.takeKept(p.peer, p.way); p.conn != nil; p.conn = p.lane.takeKept(p.peer, p.way) {
		if upstream.IsIdempotent(x.Req.Method) && p.feed == nil || p.conn.alive() {
			x.Upstream.Last().Connect = 0
			p.reused, p.stage = true, sending
			return nil
		}
		p.conn.close()
	}
	c, connected, err := p.dial()
	if err != nil {
		return p.connectFailed(err)
	}
	p.conn = c
	if !connected {
		p.stage = connecting
		return nil
	}
	p.connected(x)
	return nil
}

// dial begins to connect to the peer.
func (p *pass) dial() (c *conn, connected bool, err error) {
	b := &p.h.bind
	c = &conn{peer: p.peer, lane: p.lane, way: p.way, born: p.began}
	switch {
	case p.loop == nil:
		return c, true, c.dialBlocking(p.h.connectTimeout, b)
	case b.special():
		c.looped, connected, err = p.loop.DialWith(p.peer.sockaddr, func(fd int) error { return b.prepare(fd, p.way.from, p.peer.sockaddr) }, c)
	default:
		c.looped, connected, err = p.loop.Dial(p.peer.sockaddr, c)
	}
	return c, connected, err
}

// connected sets the next stage after connecting: the handshake of TLS, or sending.
func (p *pass) connected(x *proxy.Exchange) {
	if p.security != nil && !p.conn.shaken {
		p.stage = securing
		return
	}
	p.stage = sending
	x.Upstream.Last().Connect = x.Now().Sub(p.began)
}

// connectFailed returns the failure of connecting. For a unix socket it names the folder or
// the file that refuses this process.
func (p *pass) connectFailed(err error) error {
	if f := failureOf(err); f != nil {
		return f
	}
	if isTimeout(err) {
		return timedOut(whileConnecting)
	}
	f := callFailed("connect", err, whileConnecting)
	if path := p.peer.addr.path; path != "" || p.conn == nil && p.loop != nil { // the call itself has failed: as in nginx
		f.reason = "connect() to " + p.peer.name + strings.TrimPrefix(f.reason, "connect()")
		f.crit = !isOutage(err)
	}
	if path := p.peer.addr.path; path != "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) {
		f.reason += osfile.Refusal(path, osfile.ToWrite)
	}
	return f
}

// isOutage reports whether an error of connecting is a fault of the peer or the network.
func isOutage(err error) bool {
	for _, no := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.EAGAIN, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// connect sends the request, or with TLS asks whether the connection is made. A connection to
// the same host is made by now.
func (p *pass) connect(x *proxy.Exchange) error {
	c := p.conn
	n, err := 0, error(nil)
	if p.security != nil {
		err = c.looped.Connected()
	} else {
		n, err = c.write(p.request[p.sent:], 0)
	}
	switch {
	case err == nil:
		p.sent += n
		p.connected(x)
		return nil
	case err != unix.EAGAIN:
		return p.connectFailed(err)
	case c.expired():
		return timedOut(whileConnecting)
	case c.await(p.waker, true, p.h.connectTimeout):
		return errWaits
	}
	return nil
}

// send sends the request. If the peer answers before it has all of it, the answer is read.
func (p *pass) send() error {
	for {
		rest, err := p.unsent()
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			p.conn.requests++
			p.stage = readingHead
			p.file.release()
			if p.feed != nil {
				p.feed.Begin(p.conn.sink())
			}
			return nil
		}
		n, err := p.conn.write(rest, p.h.sendTimeout)
		if p.sent < len(p.request) {
			p.sent += n
		} else {
			p.file.advance(n)
		}
		p.partly = p.partly || err == unix.EAGAIN && p.conn.sealed != nil
		switch {
		case err == nil:
		case isTimeout(err):
			return timedOut(whileSending)
		case err != unix.EAGAIN:
			if p.conn.readable() {
				p.stage = readingHead // the answer may say why
				return nil
			}
			return callFailed("send", err, whileSending)
		case p.conn.readable():
			p.stage = readingHead
			return nil
		case p.conn.expired():
			return timedOut(whileSending)
		case p.conn.await(p.waker, true, p.h.sendTimeout):
			return errWaits
		}
	}
}

// unsent returns the next bytes of the request; none: all was sent.
func (p *pass) unsent() ([]byte, error) {
	if p.sent < len(p.request) {
		return p.request[p.sent:], nil
	}
	if len(p.file.rest) == 0 && p.body.File != nil && p.file.read < p.body.Length {
		return p.file.next(&p.body, p.h.encoder.framing(p.body.Length))
	}
	return p.file.rest, nil
}

// headSent reports whether the head was sent, and the body if it was read before.
func (p *pass) headSent() bool {
	return p.sent == len(p.request) && (p.body.File == nil || p.file.read == p.body.Length && len(p.file.rest) == 0)
}

// complete reports whether the request was sent, with all of its body.
func (p *pass) complete() bool { return p.headSent() && (p.feed == nil || p.feed.Done()) }

// feeds reports whether the feed may pass on bytes of the body.
func (p *pass) feeds() bool { return p.feed != nil && !p.feed.Over() && p.headSent() }

// pump passes on what has come of a body that is not read first. If the peer takes no more of
// it, the peer may have answered: then that is not a failure yet, and the answer is read.
func (p *pass) pump(x *proxy.Exchange) error {
	if !p.feeds() {
		return nil
	}
	if err := p.feed.Pump(x); errors.Is(err, proxy.ErrClientGone) {
		return p.clientLeft()
	} else if err != nil {
		return err
	}
	switch err := p.feed.Failed(); {
	case err == nil || p.stage == streaming || p.conn.readable():
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut(whileSending)
	default:
		return callFailed("send", err, whileSending)
	}
}

// repeats ends the try after f. It reports whether the request is sent again: to another peer,
// or by another connection if a kept one was closed or has sent something else than an answer.
func (p *pass) repeats(x *proxy.Exchange, f *failure) bool {
	stale := p.reused && (f.kind == upstream.OnError && p.received == 0 || p.misled(f))
	now := x.Now()
	status := int(f.status)
	if x.Res.Sent() { // with the status of the answer
		status = p.raw.Status
	}
	p.note(x, status, now)
	if p.conn != nil {
		p.dropConn()
		p.conn = nil
	}
	p.leave(x, p.outcomeOf(x, f, stale), f.reason)
	if p.peer == nil || !p.again(x, f.kind, stale) {
		return false
	}
	if stale {
		p.tries-- // such a try does not count
		if p.received > 0 {
			x.Log(proxy.LevelWarn, "%s, on a kept connection: the request is sent again by another one", f.reason)
		}
	} else {
		p.sel.tried = append(p.sel.tried, p.peer)
		if f.kind&failures != 0 {
			x.Log(f.level(), "%s", f.reason)
		}
	}
	p.stage = choosing
	p.release()
	return true
}

// outcomeOf returns the outcome of a failed try for the peer. As in nginx, an answer that ends or
// pauses too early after its head has gone to the client does not count against the peer.
func (p *pass) outcomeOf(x *proxy.Exchange, f *failure, stale bool) outcome {
	switch {
	case stale || f.kind == 0 || x.Res.Sent():
		return undecided
	case f.kind&harmless != 0:
		return declined
	}
	return failed
}

// leave ends the try, as far as the roster counts it, unless letGo has done so. A client
// that leaves after the head of the answer has come says nothing bad of the peer. why is the
// reason of a failure.
func (p *pass) leave(x *proxy.Exchange, how outcome, why string) {
	m := p.member
	if m == nil {
		return
	}
	p.member = nil
	t := x.Upstream.Last()
	res := result{outcome: how, began: p.began, header: t.Header, whole: t.Response, landed: p.landed}
	switch {
	case how == failed:
		res.why = why
	case how == undecided && t.Header >= 0:
		res.outcome = answered
	}
	if p.stage == tunneling {
		res.whole = -1
	}
	if s := p.upstream.sticky; s != nil && res.outcome == answered {
		s.ended(x, m)
	}
	if p.ended.IsZero() && p.roster.leave(m, res, x.Now()) {
		x.Log(proxy.LevelWarn, "upstream server temporarily disabled %s", p.where())
	}
}

// misled reports whether f means that the bytes on a kept connection are not an answer, but the
// rest of an earlier one, such as a body behind an answer to HEAD.
func (p *pass) misled(f *failure) bool {
	return f.kind == upstream.OnInvalidHeader && p.raw.Status == 0 && p.interims == 0
}

// again reports whether the request may be sent again after a failure of that kind. stale says
// that it has failed on a kept connection that was closed.
func (p *pass) again(x *proxy.Exchange, kind upstream.Failure, stale bool) bool {
	repeat := p.h.next
	if n := p.roster.tries(); repeat.Tries == 0 || n < repeat.Tries {
		repeat.Tries = n
	}
	o := upstream.Outcome{Failure: kind, Method: x.Req.Method, Begun: p.sent > 0 || p.partly, Answered: x.Res.Sent(), Stale: stale, Tries: p.tries}
	o.Consumed = p.feed != nil && p.feed.Sent() > 0
	if repeat.Timeout > 0 {
		o.Took = x.Now().Sub(p.arrived)
	}
	return repeat.Allows(&o)
}
