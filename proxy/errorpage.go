package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"alicorn/config"
)

// errorPage is one error_page directive.
type errorPage struct {
	codes    []Status
	override int  // =CODE; 0: none
	keep     bool // "=": the answer keeps its own status
	named    string
	uri      *Template
}

func (m core) setErrorPage(s *config.Scope, n *config.Node) error {
	p := &errorPage{}
	last := len(n.Args) - 1
	codes := n.Args[:last]
	if w := codes[len(codes)-1].Text; strings.HasPrefix(w, "=") {
		codes = codes[:len(codes)-1]
		if w == "=" {
			p.keep = true
		} else if v, err := config.ParseInt(w[1:], 200, 599); err != nil {
			return err
		} else {
			p.override = v
		}
	}
	if len(codes) == 0 {
		return errors.New("error_page needs at least one status code")
	}
	for _, a := range codes {
		v, err := config.ParseInt(a.Text, 300, 599)
		if err != nil || v == 499 {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%q is not a status from 300 to 599 (499 cannot have a page)", a.Text)}
		}
		p.codes = append(p.codes, Status(v))
	}
	if uri := n.Arg(last); strings.HasPrefix(uri, "@") {
		p.named = uri
	} else {
		p.uri = ParseTemplate(s.Load(), n.Args[last].Pos, uri)
	}
	m.settings.In(s).errorPages.Add(s, p)
	return nil
}

// HasErrorPage reports whether error_page has a page for status.
func (c *Core) HasErrorPage(status int) bool { return c.errorPage(Status(status)) != nil }

func (c *Core) errorPage(status Status) *errorPage {
	for _, p := range c.errorPages.Items() {
		for _, code := range p.codes {
			if code == status {
				return p
			}
		}
	}
	return nil
}

// pageOf returns the error_page that answers in place of an error; nil: there is none.
func (x *Exchange) pageOf(status Status) *errorPage {
	if x.status.lastPage || x.redirects > maxInternalRedirects {
		return nil
	}
	return x.Core().errorPage(status)
}

// LeadsOn reports whether another handler may answer x if this one returns err: after an
// internal redirect, or for an error page.
func (x *Exchange) LeadsOn(err error) bool {
	var r *Redirect
	switch {
	case err == nil || err == Done || err == errSuspended || x.Res.sent:
		return false
	case errors.As(err, &r):
		return true
	}
	return x.pageOf(StatusOf(err)) != nil
}

// answerError answers with the status of err and returns Done, or returns the internal
// redirect to an error page.
func (x *Exchange) answerError(err error) error {
	status, level, reason := classify(err)
	if reason != "" {
		x.Log(level, "%s", reason)
	}
	challenge := ""
	if x.status.inPage { // as in nginx, the challenge stays
		challenge = x.Res.Header.Get("WWW-Authenticate")
	}
	x.Res.Header.Reset()
	if challenge != "" {
		x.Res.Header.Add("WWW-Authenticate", challenge)
	}
	x.Res.ContentType, x.Res.Charset, x.Res.Length, x.Res.reason = "", "", -1, ""
	if f := (*Fail)(nil); errors.As(err, &f) {
		if f.RetryAfter > 0 {
			x.Res.Header.Add("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		x.status.badRange = f.Status == 416
		if f.Field.Name != "" {
			x.Res.Header.Set(f.Field.Name, f.Field.Value)
		}
		for _, more := range f.More {
			x.Res.Header.Add(more.Name, more.Value)
		}
	}
	switch status {
	case StatusClosed, StatusClientClosed:
		x.Res.Status = int(status)
		x.Res.Abort()
		return Done
	}
	p := x.pageOf(status)
	if p == nil {
		return x.plainStatus(status)
	}
	return x.errorPage(p, status)
}

// StatusOf returns the status with which err is answered. StatusClientClosed is not sent.
func StatusOf(err error) Status {
	status, _, _ := classify(err)
	return status
}

func classify(err error) (status Status, level Level, reason string) {
	var f *Fail
	switch {
	case errors.As(err, &f):
		return f.Status, f.Level, f.Reason
	case errors.Is(err, ErrClientGone):
		return StatusClientClosed, LevelInfo, err.Error()
	case errors.As(err, &status):
		return status, LevelInfo, ""
	}
	return 500, LevelError, err.Error()
}

// errorPage makes the page p answer for status.
func (x *Exchange) errorPage(p *errorPage, status Status) error {
	x.status.inPage = true
	x.status.lastPage = !x.Core().RecursivePages
	switch {
	case p.override != 0:
		x.status.override = p.override
	case p.keep:
		x.status.override = 0
	default:
		x.status.override = status.Code()
	}
	x.Res.Status = status.Code()
	if status == 413 {
		x.refuseBody()
	}
	if p.named != "" {
		return &Redirect{URI: p.named, Named: true}
	}
	uri := p.uri.String(x)
	if !strings.HasPrefix(uri, "/") {
		code := 302
		switch p.override {
		case 301, 302, 303, 307, 308:
			code = p.override
		}
		return orDone(x.Res.RedirectTo(code, uri))
	}
	if x.Req.Method != "HEAD" {
		x.Req.Method = "GET"
	}
	path, args, _ := strings.Cut(uri, "?")
	return &Redirect{URI: path, Args: args}
}

// refuseBody leaves the body unread, so that the connection closes. An application that
// makes the page of a 413 gets the request without a body, as behind nginx.
func (x *Exchange) refuseBody() {
	x.status.noBody = true
	x.Req.ContentLength, x.Req.Chunked = 0, false
	x.wire.DropConnection()
}

func (x *Exchange) plainStatus(status Status) error {
	switch status {
	case 400, 408, 413, 414, 501, 505, StatusHeaderTooLarge, StatusCertError, StatusNoCert, StatusHTTPToHTTPS:
		x.wire.DropConnection()
	}
	// The failure of an error page is answered with its own status.
	x.status.override = 0
	if StatusText(status.Code()) == "" {
		return orDone(x.Res.Reply(status.Code(), "", nil)) // nginx has no page for a code that it does not know
	}
	return orDone(x.Res.Reply(status.Code(), "text/html", statusPageOf(x, status)))
}

func orDone(err error) error {
	if err == nil {
		return Done
	}
	return err
}

// statusPage returns the small page of a status, in nginx's form.
func statusPage(x *Exchange, code int) []byte { return statusPageOf(x, Status(code)) }

func statusPageOf(x *Exchange, status Status) []byte {
	code := status.Code()
	text := strconv.Itoa(code) + " " + pageText(code)
	title, detail := text, ""
	if why := whyBad(status); why != "" {
		title, detail = "400 "+why, "<center>"+why+"</center>\r\n"
	}
	name := "alicorn"
	if x.Server != nil && x.Core().ServerTokens {
		name += "/" + Version
	}
	return fmt.Appendf(nil, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n%s<hr><center>%s</center>\r\n</body>\r\n</html>\r\n",
		title, text, detail, name)
}

// whyBad returns the line that the page of a 400 has for 494 to 497; "" for others.
func whyBad(status Status) string {
	switch status {
	case StatusHeaderTooLarge:
		return "Request Header Or Cookie Too Large"
	case StatusCertError:
		return "The SSL certificate error"
	case StatusNoCert:
		return "No required SSL certificate was sent"
	case StatusHTTPToHTTPS:
		return "The plain HTTP request was sent to HTTPS port"
	}
	return ""
}

// bodyTooLarge returns a 413. Its reason names the directive that sets the bound.
func (x *Exchange) bodyTooLarge(size int64) error {
	c := x.Core()
	reason := fmt.Sprintf("client intended to send too large body: %d bytes; client_max_body_size is %d", size, c.MaxBodySize)
	if n := c.MaxBodyNode(); n != nil {
		reason += " (" + n.Pos.FileLine() + ")"
	} else {
		reason += " by default"
	}
	return &Fail{Status: 413, Level: LevelError, Reason: reason}
}
