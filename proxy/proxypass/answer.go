package proxypass

import (
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// alwaysHidden are fields of answers that clients do not see unless proxy_pass_header says
// so: this server has its own.
var alwaysHidden = []string{"date", "server", "x-pad"}

// hides reports whether the client does not see the field of an answer.
func (h *handler) hides(f proxy.Field) bool {
	switch f.ID() {
	case proxy.FieldContentType, proxy.FieldContentLength, proxy.FieldConnection, proxy.FieldTransferEncoding:
		return false
	}
	return h.hidden.has(f.ID(), f.Name)
}

// decide says what becomes of the answer whose head has come.
func (p *pass) decide(x *proxy.Exchange) error {
	status := p.head.Status
	if kind := upstream.OnStatus(status); kind != 0 && p.again(x, kind, false) {
		return &failure{kind, proxy.Status(status), "upstream answered " + proxy.Status(status).Error()}
	}
	switch {
	case status == 101:
		return p.switchProtocols(x)
	case p.head.Accel.Redirects:
		p.dropBody(x)
		return p.head.Redirect(x, p.peer.name, &p.h.told)
	case p.h.intercept && status >= 300 && x.Core().HasErrorPage(status):
		p.dropBody(x)
		return p.intercepted(x)
	}
	return p.begin(x)
}

// intercepted has error_page answer in place of the peer. What a client needs to
// authenticate stays, as in nginx.
func (p *pass) intercepted(x *proxy.Exchange) error {
	fail := &proxy.Fail{Status: proxy.Status(p.head.Status), Level: proxy.LevelInfo}
	for _, f := range p.head.Fields {
		if strings.EqualFold(f.Name, "WWW-Authenticate") {
			fail.Field = proxy.Field{Name: "WWW-Authenticate", Value: strings.Clone(f.Value)}
		}
	}
	return fail
}

// dropBody lets go of an answer whose body nobody gets.
func (p *pass) dropBody(x *proxy.Exchange) {
	_, used, err := decode(&p.raw.Body, p.data)
	if err == nil && p.raw.Body.Ended() {
		p.surplus = used < len(p.data)
		p.finishConn(x)
		return
	}
	p.conn.drop()
	p.conn = nil
}

// begin gives the answer to the client: in one piece where it is there, or will fit into
// one buffer, else as it comes.
func (p *pass) begin(x *proxy.Exchange) error {
	body := &p.raw.Body
	if p.h.buffering && !body.Ended() && p.raw.ContentLength >= 0 && p.raw.ContentLength <= blockSize && int64(len(p.data)) < p.raw.ContentLength {
		p.stage = collecting
		return nil
	}
	out, used, err := decode(body, p.data)
	if err != nil {
		return invalidBody(err)
	}
	if !body.Ended() {
		p.data = out
		return p.beginStream(x)
	}
	p.surplus = used < len(p.data)
	p.data, p.length = out, int64(len(out))
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
		return brokenOff(whileReading)
	case err != nil:
		return err
	}
	p.data = (*p.buf)[:len(p.data)+n]
	if int64(len(p.data)) < p.raw.ContentLength {
		return nil
	}
	return p.begin(x)
}

// respond gives the whole answer, which has been read.
func (p *pass) respond(x *proxy.Exchange) error {
	p.rewriteFields(x)
	if err := p.head.Reply(x, p.data, p.peer.name); err != nil {
		return err
	}
	return errDone
}

// rewriteFields gives the head the addresses that proxy_redirect makes of its own.
func (p *pass) rewriteFields(x *proxy.Exchange) {
	if len(p.h.redirects) == 0 {
		return
	}
	for i := range p.head.Fields {
		f := &p.head.Fields[i]
		switch {
		case f.ID == proxy.FieldLocation:
			f.Value = rewriteLocation(x, p.h.redirects, f.Value)
		case f.ID == proxy.FieldOther && strings.EqualFold(f.Name, "Refresh"):
			f.Value = rewriteRefresh(x, p.h.redirects, f.Value)
		}
	}
}
