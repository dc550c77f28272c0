package proxypass

import (
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// readAhead is how much of an answer a loop reads before others have their turn.
const readAhead = 4 * blockSize

// beginStream gives the client the head and what has come of the body. The rest is read by
// the connection's loop, or by a goroutine where there is none, without regard to how fast
// the client takes it.
func (p *pass) beginStream(x *proxy.Exchange) error {
	p.length = int64(len(p.data))
	if err := p.rewriteFields(x); err != nil {
		return err
	}
	p.head.Apply(x, -1)
	p.offerRanges(x)
	if err := x.Res.Send(); err != nil {
		return err
	}
	h := p.h
	p.limit.begin(x, h, len(p.data))
	p.out.Memory, p.out.Disk, p.out.Dir, p.out.Space = h.buffers, h.maxTemp, h.tempDir, h.space
	if !h.buffering || h.ignored&ignoreBuffering == 0 && strings.EqualFold(p.raw.Header.Get("X-Accel-Buffering"), "no") {
		p.out.Memory, p.out.Disk = h.bufferSize, 0
	}
	kept, over, err := p.out.Put(p.data, p.buf)
	p.noteNoFile(err)
	if kept {
		p.buf, p.data = nil, nil
	} else {
		p.release()
	}
	p.stage, p.headTook = streaming, x.Upstream.Last().Header
	p.whole, p.feeding = p.complete(), p.feed != nil && !p.feed.Over()
	p.conn.readAhead(p, over)
	return nil
}

// stream gives the client what has come, until the answer ends. What comes of the body is
// passed on meanwhile.
func (p *pass) stream(x *proxy.Exchange) error {
	p.logComplaints(x, whileReading)
	if err := p.pump(x); err != nil {
		return err
	}
	if p.feeding { // also while the client does not take what it is given
		x.Meanwhile(func() { p.goOn(x) })
		defer x.Meanwhile(nil)
	}
	p.finishAnswer(x)
	ended, err := p.out.Give(x, &p.head, p)
	if why := p.noFile.Swap(nil); why != nil {
		x.Log(proxy.LevelCrit, "%s; the upstream waits for the client", *why)
	}
	switch {
	case err != nil:
		return err
	case !ended:
		if err := p.left(x); err != nil {
			return err
		}
		return p.looksLater(x)
	}
	p.logComplaints(x, whileReading)
	p.finishAnswer(x)
	p.passTrailer(x)
	if err := x.Res.Finish(); err != nil {
		return err
	}
	return errDone
}

// goOn passes on what has come of the request's body, until the peer has answered.
func (p *pass) goOn(x *proxy.Exchange) {
	if p.feeds() {
		p.feed.Pump(x)
	}
	p.finishAnswer(x)
}

// finishAnswer lets go of a peer whose whole answer has come: it gets no more of the request's
// body. What the client has not taken yet is in out.
func (p *pass) finishAnswer(x *proxy.Exchange) {
	if p.conn != nil && p.out.Complete() {
		p.finishConn(x)
		p.feed.Close()
	}
}

// looksLater waits for more of the answer. Where no loop tells that the client leaves, the
// pass looks for that now and then.
func (p *pass) looksLater(x *proxy.Exchange) error {
	if p.conn != nil && p.conn.looped == nil {
		wait := lookEvery
		if _, rest := x.Res.Room(); rest > 0 {
			wait = min(wait, rest)
		}
		if err := x.Res.Later(wait); err != nil {
			return err
		}
	}
	return errWaits
}

// Name is upstream.Source's.
func (p *pass) Name() string { return p.peer.name }

// Repay has the peer send again, where it has waited for the client.
func (p *pass) Repay(int64) {
	if p.conn != nil {
		p.conn.resume(p)
	}
}

// Free is upstream.Source's.
func (p *pass) Free(buffer *[]byte) { blocks.Put(buffer) }

// produce reads ahead on a loop's goroutine, which has the connection.
func (p *pass) produce(t *eventloop.Turn) {
	c := p.conn
	for room := readAhead; room > 0; {
		most := p.most(t)
		if most == 0 {
			return
		}
		buf := blocks.Get().(*[]byte)
		n, err := c.read((*buf)[:most])
		if n == 0 && err == unix.EAGAIN && !c.expired() {
			blocks.Put(buf)
			break
		}
		ended, over := p.take(t, buf, n, err)
		if ended {
			return
		}
		if over {
			p.pauses(t)
			return
		}
		room -= n
	}
	waker := p.waker
	if c.goesOn(p) {
		waker.WakeIn(t)
	}
}

// produceAlone is produce for a connection without a loop, on a goroutine of its own. That
// ends where the client has to catch up, with the answer, and when the pass drops the
// connection.
func (p *pass) produceAlone() {
	for c, waker := p.conn, p.waker; ; waker.Wake() {
		most := p.most(nil)
		if most == 0 {
			return
		}
		buf := blocks.Get().(*[]byte)
		n, err := c.readWithin((*buf)[:most], p.h.readTimeout)
		ended, over := p.take(nil, buf, n, err)
		if ended {
			return
		}
		if over {
			p.pauses(nil)
			return
		}
	}
}

// take takes what was read of the answer, or why nothing was. ended says that no more comes:
// then the peer was let go.
func (p *pass) take(t *eventloop.Turn, buf *[]byte, n int, err error) (ended, over bool) {
	if n == 0 {
		p.ends(t, p.endedBy(err), nil, buf)
		return true, false
	}
	p.received += int64(n)
	p.limit.read += int64(n)
	data := (*buf)[:n]
	var cut error // why the answer has ended too early
	if p.h.protocol.records {
		if data, err = p.feedRecords(data); err != nil {
			cut = invalidRecord(err, whileReading)
		}
	}
	out, err := p.decode(data)
	if err != nil {
		cut = invalidBody(err)
	}
	p.length += int64(len(out))
	if cut == nil && p.over() && p.raw.Body.EOF() != nil {
		cut = p.brokenOff(whileReading)
	}
	if cut != nil || p.over() {
		p.ends(t, cut, out, buf)
		return true, false
	}
	return false, p.put(out, buf)
}

// put gives the client data, which is a part of buf. over says that the client has to catch up.
func (p *pass) put(data []byte, buf *[]byte) (over bool) {
	kept, over, err := p.out.Put(data, buf)
	p.noteNoFile(err)
	if !kept {
		blocks.Put(buf)
	}
	return over
}

// noteNoFile has the pass log why out has no file; err is nil in most cases. Only the
// Exchange may log: the loop that reads ahead leaves the error to it.
func (p *pass) noteNoFile(err error) {
	if err != nil {
		why := err // a variable of its own: err stays on the stack
		p.noFile.Store(&why)
	}
}

// endedBy returns why an answer of which no more comes is not complete; nil where it is.
func (p *pass) endedBy(err error) error {
	switch {
	case err == io.EOF && !p.h.protocol.records && p.raw.Body.EOF() == nil:
		return nil
	case err == io.EOF:
		return p.brokenOff(whileReading)
	case err == unix.EAGAIN:
		return timedOut(whileReading)
	}
	return callFailed("recv", err, whileReading)
}

// ends says that nothing more comes of the answer than last, which is a part of buf. cut is why
// it is not complete. The peer is let go at once, as the client may take nothing, and before
// the client gets last: a client that has its whole answer finds the peer free.
func (p *pass) ends(t *eventloop.Turn, cut error, last []byte, buf *[]byte) {
	waker, c := p.waker, p.conn
	c.mu.Lock()
	if c.state == dropped {
		c.mu.Unlock()
		blocks.Put(buf)
		c.close()
		return
	}
	c.state = busy
	if p.feeding { // the pass writes to it
		p.put(last, buf)
		p.out.End(cut)
		c.mu.Unlock()
		waker.WakeIn(t)
		return
	}
	c.pass = nil // from here on the pass cannot drop it
	c.mu.Unlock()
	p.letGo(c, t, cut)
	p.put(last, buf)
	p.out.End(cut) // and from here on p is the pass's alone
	waker.WakeIn(t)
}

// letGo lets go of a peer on the goroutine that has read its answer. What fails behind the
// head does not count against the peer; see outcomeOf.
func (p *pass) letGo(c *conn, t *eventloop.Turn, cut error) {
	if p.ended = time.Now(); t != nil {
		p.ended = t.Now()
	}
	if cut == nil {
		p.keepOrClose(c, p.whole, p.ended)
	} else {
		c.close()
	}
	if p.member != nil {
		res := result{outcome: answered, began: p.began, header: p.headTook, whole: p.ended.Sub(p.began), landed: p.landed}
		p.roster.leave(p.member, res, p.ended)
	}
}

// pauses has the peer wait until the client has caught up.
func (p *pass) pauses(t *eventloop.Turn) {
	waker, c := p.waker, p.conn
	c.mu.Lock()
	switch {
	case c.state == dropped:
		c.mu.Unlock()
		c.close()
		return
	case p.out.Full():
		c.state = full
	default: // it has caught up already
		c.look(p)
	}
	c.mu.Unlock()
	waker.WakeIn(t)
}

// readAhead begins to read the answer for p. over says that the client has to catch up first.
func (c *conn) readAhead(p *pass, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass = p
	if over {
		c.state = full
		return
	}
	c.look(p)
}

// look leaves the connection to its loop, also where there is something to read, or to a
// goroutine. c.mu is held.
func (c *conn) look(p *pass) {
	if c.looped == nil {
		c.state = producing
		go p.produceAlone()
		return
	}
	c.state = reading
	given := (c.sealed == nil || c.sealed.Drained()) && c.looped.Idle(p.h.readTimeout)
	if c.again = !given; c.again {
		c.looped.Again()
	}
}

// goesOn leaves the connection to its loop once more; false where the pass has dropped it.
func (c *conn) goesOn(p *pass) bool {
	c.mu.Lock()
	if c.state == dropped {
		c.mu.Unlock()
		c.close()
		return false
	}
	c.look(p)
	c.mu.Unlock()
	return true
}

// resume has the connection read again, where the peer has waited for the client.
func (c *conn) resume(p *pass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == full && c.pass == p {
		c.look(p)
	}
}
