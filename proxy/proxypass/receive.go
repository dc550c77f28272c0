package proxypass

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

// maxInterims bounds the interim responses before an answer.
const maxInterims = 16

// errTooManyInterims is a peer that does not come to its answer.
var errTooManyInterims = errors.New("too many interim responses")

// receive reads what is there behind what buf holds. io.EOF is the end of the connection.
func (p *pass) receive(where string) (n int, err error) {
	if p.buf == nil {
		p.buf = blocks.Get().(*[]byte)
	}
	n, err = p.conn.read((*p.buf)[len(p.data):], p.h.readTimeout)
	switch {
	case n > 0:
		p.received += int64(n)
		return n, nil
	case err == unix.EAGAIN:
		if len(p.data) == 0 {
			p.release()
		}
		if p.conn.expired() {
			return 0, timedOut(where)
		}
		return 0, unix.EAGAIN
	case err == io.EOF:
		return 0, io.EOF
	case isTimeout(err):
		return 0, timedOut(where)
	}
	return 0, callFailed("recv", err, where)
}

// wait waits for more of the answer.
func (p *pass) wait() error {
	if p.conn.await(p.waker, false, p.h.readTimeout) {
		return errWaits
	}
	return nil
}

// readHead reads the head of the answer, past interim ones, and then says what becomes
// of it.
func (p *pass) readHead(x *proxy.Exchange) error {
	n, err := p.receive(whileReadingHead)
	switch {
	case err == unix.EAGAIN && !p.complete():
		p.stage = sending
		return nil
	case err == unix.EAGAIN:
		return p.wait()
	case err == io.EOF:
		return brokenOff(whileReadingHead)
	case err != nil:
		return err
	}
	rest, whole, err := p.feed((*p.buf)[:n])
	if err != nil {
		return invalidHead(err)
	}
	if !whole {
		return nil
	}
	if err := p.checkHead(); err != nil {
		return invalidHead(err)
	}
	x.Upstream.Last().Header = x.Now().Sub(p.began)
	p.data = (*p.buf)[:copy(*p.buf, rest)]
	return p.decide(x)
}

// feed reads the head from what has come, and returns what is behind it.
func (p *pass) feed(chunk []byte) (rest []byte, whole bool, err error) {
	for len(chunk) > 0 {
		m := min(len(chunk), int(p.h.rules.Head)+1-len(p.text))
		p.text = append(p.text, chunk[:m]...)
		n, err := p.raw.Feed(p.text, &p.h.rules)
		if err != nil || n == 0 {
			return nil, false, err
		}
		rest = chunk[m-(len(p.text)-n):]
		if !p.raw.Interim() {
			return rest, true, nil
		}
		if p.interims++; p.interims > maxInterims {
			return nil, false, errTooManyInterims
		}
		p.text = p.text[:0]
		p.raw.Reset(p.raw.Method)
		chunk = rest
	}
	return nil, false, nil
}

// checkHead makes the head that the client gets. Fields that it does not see are left out.
func (p *pass) checkHead() error {
	if err := p.head.Begin(p.raw.Status, p.raw.Reason); err != nil {
		return err
	}
	for i := range p.raw.Header.Len() {
		f := p.raw.Header.At(i)
		if p.h.hides(f) {
			continue
		}
		if err := p.head.AddID(f.ID(), f.Name, f.Value); err != nil {
			return err
		}
	}
	p.head.End()
	return nil
}

// decode takes the framing out of data, in place, as far as body goes. It returns the body's
// bytes, and how many of data it has looked at.
func decode(body *h1.Body, data []byte) (out []byte, used int, err error) {
	out = data[:0]
	for used < len(data) && !body.Ended() {
		if left := body.Left(); left > 0 {
			n := int(min(left, int64(len(data)-used)))
			if len(out) != used {
				copy(data[len(out):], data[used:used+n])
			}
			out = data[:len(out)+n]
			used += n
			body.Take(int64(n))
			continue
		}
		n, err := body.Frame(data[used:])
		used += n
		if err != nil {
			return out, used, err
		}
	}
	return out, used, nil
}

// finishConn keeps the connection for other requests, or closes it, once the answer was
// read. clean says that nothing came behind it.
func (p *pass) finishConn(x *proxy.Exchange, clean bool) {
	c := p.conn
	p.conn = nil
	now := x.Now()
	p.note(x, p.raw.Status, now)
	p.lane.report(c.peer, false, p.began)
	if clean && p.raw.KeepAlive && p.complete() && p.lane.keeps(c, now) {
		p.lane.keep(c)
		return
	}
	c.close()
}
