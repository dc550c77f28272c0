package proxypass

import (
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
)

// readAhead is how much of an answer a loop reads before others have their turn.
const readAhead = 4 * blockSize

// beginStream gives the client the head and what has come of the body. The rest is read by
// the connection's loop, without regard to how fast the client takes it.
func (p *pass) beginStream(x *proxy.Exchange) error {
	p.length = int64(len(p.data))
	p.apply(x, -1)
	if err := x.Res.Send(); err != nil {
		return err
	}
	if p.conn.looped == nil {
		return p.copy(x)
	}
	h := p.h
	p.out.Memory, p.out.Disk, p.out.Dir, p.out.Space = h.buffers, h.maxTemp, h.tempDir, h.space
	if !h.buffering || strings.EqualFold(p.raw.Header.Get("X-Accel-Buffering"), "no") {
		p.out.Memory, p.out.Disk = h.bufferSize, 0
	}
	kept, over, err := p.out.Put(p.data, p.buf)
	if err != nil {
		x.Log(proxy.LevelCrit, "%s", err)
	}
	if kept {
		p.buf, p.data = nil, nil
	} else {
		p.release()
	}
	p.stage = streaming
	p.conn.readAhead(p, over)
	return nil
}

// copy is the stream of a goroutine's connection.
func (p *pass) copy(x *proxy.Exchange) error {
	for {
		if _, err := x.Res.Write(p.data); err != nil {
			return err
		}
		if err := x.Res.Flush(); err != nil {
			return err
		}
		p.data = nil
		if p.raw.Body.Ended() {
			break
		}
		n, err := p.receive(whileReading)
		if err == io.EOF && p.raw.Body.EOF() == nil {
			break
		}
		if err != nil {
			return p.cutShort(err)
		}
		out, used, err := decode(&p.raw.Body, (*p.buf)[:n])
		if err != nil {
			return p.cutShort(err)
		}
		p.data = out
		p.length += int64(len(out))
		p.raw.KeepAlive = p.raw.KeepAlive && used == n
	}
	p.finishConn(x, true)
	if err := x.Res.Finish(); err != nil {
		return err
	}
	return errDone
}

// cutShort is why an answer ends before its end.
func (p *pass) cutShort(err error) error {
	if err == io.EOF {
		err = brokenOff(whileReading)
	}
	return err
}

// stream gives the client what has come, until the answer ends.
func (p *pass) stream(x *proxy.Exchange) error {
	for {
		b, ok, ended, back := p.out.Next()
		if back > 0 {
			p.conn.resume(p)
		}
		switch {
		case ok:
			if err := p.write(x, &b); err != nil {
				return err
			}
		case ended:
			if f := p.failed.Load(); f != nil {
				return f
			}
			p.finishConn(x, true)
			if err := x.Res.Finish(); err != nil {
				return err
			}
			return errDone
		default:
			if err := x.Res.Flush(); err != nil {
				return err
			}
			if err := p.left(x); err != nil {
				return err
			}
			return errWaits
		}
	}
}

// write gives the client a block.
func (p *pass) write(x *proxy.Exchange, b *upstream.Block) (err error) {
	if b.File != nil {
		return x.Res.SendFile(b.File, b.Offset, b.Size)
	}
	_, err = x.Res.Write(b.Data)
	if b.Buffer != nil {
		blocks.Put(b.Buffer)
	}
	return err
}

// produce reads ahead on a loop's goroutine, which has the connection.
func (p *pass) produce(t *eventloop.Turn) {
	c := p.conn
	for room := readAhead; room > 0; {
		buf := blocks.Get().(*[]byte)
		n, err := c.read(*buf, 0)
		if n == 0 && err == unix.EAGAIN && !c.expired() {
			blocks.Put(buf)
			break
		}
		ended, over := p.take(buf, n, err)
		if ended {
			p.ends(t)
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

// take takes what was read of the answer, or why nothing was.
func (p *pass) take(buf *[]byte, n int, err error) (ended, over bool) {
	var kept bool
	body := &p.raw.Body
	if n > 0 {
		var out []byte
		var used int
		if out, used, err = decode(body, (*buf)[:n]); err != nil {
			p.failed.Store(&failure{kindError, 502, "upstream sent " + err.Error() + " " + whileReading})
		}
		p.received += int64(n)
		p.length += int64(len(out))
		kept, over, _ = p.out.Put(out, buf)
		if ended = err != nil || body.Ended(); used < n {
			p.raw.KeepAlive = false
		}
	} else {
		ended = true
		switch {
		case err == io.EOF && body.EOF() == nil:
		case err == io.EOF:
			p.failed.Store(brokenOff(whileReading))
		case err == unix.EAGAIN:
			p.failed.Store(timedOut(whileReading))
		default:
			p.failed.Store(callFailed("recv", err, whileReading))
		}
	}
	if !kept {
		blocks.Put(buf)
	}
	return ended, over
}

// ends gives the connection back to the pass.
func (p *pass) ends(t *eventloop.Turn) {
	waker, c := p.waker, p.conn
	c.mu.Lock()
	if c.state == dropped {
		c.mu.Unlock()
		c.close()
		return
	}
	c.state = busy
	p.out.End()
	c.mu.Unlock()
	waker.WakeIn(t)
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

// look leaves the connection to its loop, also where there is something to read. c.mu is held.
func (c *conn) look(p *pass) {
	c.state = reading
	if c.again = !c.looped.Idle(p.h.readTimeout); c.again {
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
	if c.state == full {
		c.look(p)
	}
}
