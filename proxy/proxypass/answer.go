package proxypass

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/h1"
	"alicorn/proxy/upstream"
)

// hides reports whether the client does not see the field of an answer. What frames the
// answer is read in any case.
func (h *handler) hides(f proxy.Field) bool {
	switch f.ID() {
	case proxy.FieldContentLength, proxy.FieldConnection, proxy.FieldTransferEncoding:
		return false
	}
	return h.hidden.has(f.ID(), f.Name)
}

// decide chooses what to do with an answer whose head has come.
func (p *pass) decide(x *proxy.Exchange) error {
	status := p.head.Status
	if kind := upstream.OnStatus(status); kind != 0 && p.again(x, kind, false) {
		return &failure{kind: kind, status: proxy.Status(status), reason: "upstream answered " + proxy.Status(status).Error()}
	}
	p.headCame(x)
	switch {
	case status == 101:
		return p.switchProtocols(x)
	case p.probe != nil && !p.probe.body:
		return errProbed
	case p.probe != nil:
		return p.begin(x)
	case p.h.intercept && status >= 300 && x.Core().HasErrorPage(status): // comes first in nginx, too
		p.dropBody(x)
		return p.intercepted(x)
	case p.head.Accel.Redirects:
		p.dropBody(x)
		return p.head.Redirect(x, p.peer.name, &p.h.told)
	case p.head.NamesFile(x):
		p.dropBody(x)
		return p.head.RedirectToFile(x, p.peer.name)
	}
	return p.begin(x)
}

// headCame tells the roster and sticky that the head of the answer has come, if they need to
// know that before all of it has come.
func (p *pass) headCame(x *proxy.Exchange) {
	d := p.upstream
	if d.balance.atHead && d.balance.inFlight {
		p.roster.land(p.member, p.began)
		p.landed = true
	}
	if d.sticky != nil {
		d.sticky.headCame(x, p)
	}
}

// intercepted returns the error that makes error_page respond in place of the peer. The
// response keeps WWW-Authenticate, as in nginx.
func (p *pass) intercepted(x *proxy.Exchange) error {
	fail := &proxy.Fail{Status: proxy.Status(p.head.Status), Level: proxy.LevelInfo}
	for _, f := range p.head.Fields {
		if strings.EqualFold(f.Name, "WWW-Authenticate") {
			fail.Field = proxy.Field{Name: "WWW-Authenticate", Value: strings.Clone(f.Value)}
		}
	}
	return fail
}

// dropBody ends the try of an answer whose body is not used. It keeps the connection if the
// whole body has come.
func (p *pass) dropBody(x *proxy.Exchange) {
	_, err := p.decode(p.data)
	if err == nil && p.over() {
		p.finishConn(x)
		return
	}
	p.note(x, p.raw.Status, x.Now())
	p.leave(x, answered, "")
	p.dropConn()
	p.conn = nil
}

// begin sends the answer to the client: in one piece if all of it has come or it fits into one
// buffer, otherwise as it comes.
func (p *pass) begin(x *proxy.Exchange) error {
	if p.h.buffering && p.h.limitRate == nil && !p.over() && !p.h.protocol.records && p.raw.ContentLength >= 0 && p.raw.ContentLength <= blockSize && int64(len(p.data)) < p.raw.ContentLength {
		p.stage = collecting
		return nil
	}
	out, err := p.decode(p.data)
	if err != nil {
		return invalidBody(err)
	}
	p.data = out
	if !p.over() {
		return p.beginStream(x)
	}
	p.length = int64(len(out))
	p.finishConn(x)
	return p.respond(x)
}

// collect reads the rest of a short answer.
func (p *pass) collect(x *proxy.Exchange) error {
	n, err := p.receive(x, whileReading)
	switch {
	case err == unix.EAGAIN:
		return p.wait(x)
	case err == io.EOF:
		return p.brokenOff(whileReading)
	case err != nil:
		return err
	}
	p.data = (*p.buf)[:len(p.data)+n]
	if int64(len(p.data)) < p.raw.ContentLength {
		return nil
	}
	return p.begin(x)
}

// respond sends the client a complete answer.
func (p *pass) respond(x *proxy.Exchange) error {
	if err := p.rewriteFields(x); err != nil {
		return err
	}
	p.offerRanges(x)
	if len(p.trailer) > len("\r\n") {
		return p.respondWithTrailer(x)
	}
	if err := p.head.Reply(x, p.data, p.peer.name); err != nil {
		return err
	}
	return errDone
}

// rewriteFields applies proxy_redirect and proxy_cookie_* to the head.
func (p *pass) rewriteFields(x *proxy.Exchange) (err error) {
	if len(p.h.redirects) == 0 && !p.h.editsCookies {
		return nil
	}
	for i := range p.head.Fields {
		f := &p.head.Fields[i]
		was := f.Value
		switch {
		case f.ID == proxy.FieldLocation:
			f.Value, err = rewriteLocation(x, p.h.redirects, f.Value)
		case p.h.editsCookies && f.ID == proxy.FieldSetCookie:
			f.Value, err = p.h.cookies.rewrite(x, f.Value)
		case f.ID == proxy.FieldOther && strings.EqualFold(f.Name, "Refresh"):
			f.Value, err = rewriteRefresh(x, p.h.redirects, f.Value)
		}
		if err != nil {
			return err
		}
		if f.Value != was && !h1.IsValue(f.Value) {
			return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: fmt.Sprintf("the changed value %q of %s has a control character", f.Value, f.Name)}
		}
	}
	return nil
}
