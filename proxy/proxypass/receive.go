package proxypass

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// maxInterims is the largest number of interim responses before an answer.
const maxInterims = 16

// errTooManyInterims is the error of an answer behind more than maxInterims interim responses.
var errTooManyInterims = errors.New("too many interim responses")

// receive reads bytes of the answer into buf, behind data. io.EOF is the end of the
// connection, or of FastCGI's request. unix.EAGAIN: none have come.
func (p *pass) receive(x *proxy.Exchange, where string) (n int, err error) {
	if p.h.protocol.records {
		return p.receiveRecords(x, where)
	}
	return p.receiveBytes(x, where)
}

// receiveBytes reads bytes of the connection into buf, behind data. io.EOF is its end.
// unix.EAGAIN: none have come.
func (p *pass) receiveBytes(x *proxy.Exchange, where string) (n int, err error) {
	if p.buf == nil {
		p.buf = blocks.Get().(*[]byte)
	}
	if b := (*p.buf)[len(p.data):]; p.conn.looped != nil {
		n, err = p.conn.read(b)
	} else {
		n, err = p.readBlocking(x, b)
	}
	var left *proxy.Fail
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
	case errors.As(err, &left):
		return 0, err
	case isTimeout(err):
		return 0, timedOut(where)
	}
	return 0, callFailed("recv", err, where)
}

// lookEvery is how often a goroutine that waits for the peer checks that the client is there.
const lookEvery = time.Second / 2

// readBlocking reads from a goroutine's connection. It ends if the client leaves.
func (p *pass) readBlocking(x *proxy.Exchange, b []byte) (int, error) {
	for began := time.Now(); ; {
		wait, last := lookEvery, false
		if p.h.readTimeout > 0 {
			left := p.h.readTimeout - time.Since(began)
			wait, last = min(left, lookEvery), left <= lookEvery
		}
		p.conn.blocking.SetReadDeadline(time.Now().Add(wait))
		n, err := p.conn.blocking.Read(b)
		if n > 0 || !isTimeout(err) || last {
			return n, err
		}
		if err := p.left(x); err != nil {
			return 0, err
		}
	}
}

// wait waits for more of the answer, and passes on what comes of the body meanwhile. The
// timeout of the answer begins once the peer has the whole request.
func (p *pass) wait(x *proxy.Exchange) error {
	if err := p.pump(x); err != nil {
		return err
	}
	timeout := p.h.readTimeout
	if p.feeds() {
		timeout = 0
	}
	if p.conn.await(p.waker, false, timeout) {
		return errWaits
	}
	return nil
}

// readHead reads the head of the answer, behind interim responses, and then decides.
func (p *pass) readHead(x *proxy.Exchange) error {
	n, err := p.receive(x, whileReadingHead)
	switch {
	case err == unix.EAGAIN && !p.headSent():
		p.stage = sending
		return nil
	case err == unix.EAGAIN:
		return p.wait(x)
	case err == io.EOF:
		return p.brokenOff(whileReadingHead)
	case err != nil:
		return err
	}
	rest, whole, err := p.parseHead((*p.buf)[:n])
	if err != nil {
		return invalidHead(err)
	}
	if !whole {
		return nil
	}
	if p.speaksHTTP() {
		return invalidHead(errSpeaksHTTP)
	}
	if err := p.checkHead(); err != nil {
		return invalidHead(err)
	}
	p.keepTrailer()
	x.Upstream.Last().Header = x.Now().Sub(p.began)
	p.data = (*p.buf)[:copy(*p.buf, rest)]
	return p.decide(x)
}

// errSpeaksHTTP is the error of an HTTP server that got a request in a gateway's protocol.
var errSpeaksHTTP = errors.New("the answer that HTTP servers have for what is no HTTP: it speaks HTTP, use proxy_pass,")

// speaksHTTP reports that the answer to a request of a gateway's protocol is one of an HTTP
// server. Those of gateways have a status line as well, but do not speak of connections.
func (p *pass) speaksHTTP() bool {
	_, hopByHop := p.raw.Header.Lookup(proxy.FieldConnection)
	return p.raw.Status == 400 && hopByHop && p.h.protocol.cgi && !p.h.protocol.records
}

// parseHead reads the head from what has come, and returns what is behind it.
func (p *pass) parseHead(chunk []byte) (rest []byte, whole bool, err error) {
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

// checkHead makes the checked head, without the fields that the client does not get.
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
		if p.h.shownAccel.has(f.ID(), f.Name) {
			p.head.Fields = append(p.head.Fields, upstream.Field{ID: f.ID(), Name: f.Name, Value: f.Value})
		}
	}
	p.h.ignored.apply(&p.head.Accel)
	p.head.End()
	return nil
}

// decode removes the framing from data, in place, up to the end of the body, and returns the
// body's bytes.
func (p *pass) decode(data []byte) (out []byte, err error) {
	body := &p.raw.Body
	out = data[:0]
	used := 0
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
			return out, err
		}
	}
	p.surplus = p.surplus || used < len(data)
	return out, nil
}

// over reports whether the answer has ended. FastCGI has a record for that, which may come
// later than the end of the body.
func (p *pass) over() bool {
	if p.h.protocol.records {
		return p.records.Ended() || p.raw.Bodyless()
	}
	return p.raw.Body.Ended()
}

// keepsAlive reports whether the connection can carry another request.
func (p *pass) keepsAlive() bool {
	if p.h.protocol.records {
		return p.h.gateway.keepConn && p.records.Clean()
	}
	return p.raw.KeepAlive && !p.surplus
}

// finishConn keeps the connection for other requests, or closes it, once the answer was
// read. Where the goroutine that has read it has done so, what is left is to note it.
func (p *pass) finishConn(x *proxy.Exchange) {
	c := p.conn
	if c == nil {
		return
	}
	p.conn = nil
	if p.surplus || p.records.Late() {
		p.warnOfSurplus(x)
	}
	now, gone := p.ended, !p.ended.IsZero()
	if !gone {
		now = x.Now()
	}
	p.note(x, p.raw.Status, now)
	if !gone {
		p.keepOrClose(c, p.complete(), now)
	}
	p.leave(x, answered, "")
}

// keepOrClose keeps c, which has carried an answer, for other requests, or closes it. sent
// says that the peer has the whole request. Another pass may have c by the return.
func (p *pass) keepOrClose(c *conn, sent bool, now time.Time) {
	if sent && p.keepsAlive() && p.lane.keeps(c, now) {
		p.lane.keep(c)
		return
	}
	c.close()
}

// warnOfSurplus logs that the peer has sent more than its answer, as nginx does. The body of an
// answer to HEAD from a gateway is not logged: RFC 3875 section 4.3.3.
func (p *pass) warnOfSurplus(x *proxy.Exchange) {
	what, level := `more data than specified in "Content-Length" header`, proxy.LevelWarn
	_, chunked := p.raw.Header.Lookup(proxy.FieldTransferEncoding)
	switch head := p.raw.Method == "HEAD"; {
	case p.records.Late():
		what = "more FastCGI stdout after its end"
	case head && p.h.protocol.cgi:
		return
	case head:
		what, level = "a body with its answer to HEAD", proxy.LevelInfo // gunicorn does so
	case chunked:
		what = "data after final chunk"
	}
	x.Log(level, "upstream sent %s %s", what, whileReading)
}
