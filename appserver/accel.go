package appserver

import (
	"fmt"
	"strings"

	"alicorn/proxy"
)

// accel is what an application tells the server in front of it, in nginx's
// X-Accel-* fields. No client sees them. Redirect and Charset have an effect;
// what Buffering, Expires and Limit-Rate are about is not here: a response goes
// to its client block by block, uncached and as fast as that takes it.
type accel struct {
	redirect string // a path or a named location; "": none
	charset  string // of the Content-Type, in place of its own; "off" for none
}

const accelPrefix = "x-accel-"

// accelField takes a field that is the server's, and reports whether it is one.
func (h *head) accelField(name, value string) bool {
	if len(name) <= len(accelPrefix) || !strings.EqualFold(name[:len(accelPrefix)], accelPrefix) {
		return false
	}
	switch strings.ToLower(name[len(accelPrefix):]) {
	case "redirect":
		h.accel.redirect = value
	case "charset":
		h.accel.charset = value
	case "buffering", "expires", "limit-rate":
	default:
		return false // nginx has no such field
	}
	return true
}

// settleCharset has X-Accel-Charset take the place of Content-Type's charset.
func (h *head) settleCharset() {
	if h.accel.charset == "" || h.contentType == "" {
		return
	}
	kind, parameters, _ := strings.Cut(h.contentType, ";")
	for p := range strings.SplitSeq(parameters, ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(p), "=")
		if name != "" && !strings.EqualFold(name, "charset") {
			kind += ";" + p
		}
	}
	h.contentType = kind
}

// charsetOf returns X-Accel-Charset as a response has it.
func (a *accel) charsetOf() string {
	if a.charset == "off" {
		return ""
	}
	return a.charset
}

// redirected are the fields of an answer that stay when X-Accel-Redirect sends
// the request on, as in nginx.
var redirected = []string{"Set-Cookie", "Content-Disposition", "Cache-Control", "Expires"}

// redirect has x answered by the location that r's answer names. The body of
// that answer is dropped, and its status.
func (h *handler) redirect(x *proxy.Exchange, r *request) error {
	to := r.head.accel.redirect
	h.dropAnswer(r)
	named := strings.HasPrefix(to, "@")
	path, args := to, ""
	if !named {
		var ok bool
		if path, args, ok = accelPath(to); !ok {
			return &proxy.Fail{Status: 404, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave an unsafe X-Accel-Redirect: %q", x.Upstream.Worker, to)}
		}
		if x.Internal && path == x.Req.Path {
			return h.noLocation(x, to)
		}
		if x.Req.Method != "HEAD" {
			x.Req.Method = "GET"
		}
	}
	r.head.applyRedirected(x)
	return &proxy.Redirect{URI: path, Args: args, Named: named}
}

// accelPath splits the value of X-Accel-Redirect into a decoded path and
// arguments. ok is false for what no location can be for, or what leads upwards.
func accelPath(to string) (path, args string, ok bool) {
	raw, args, _ := strings.Cut(to, "?")
	if path, ok = proxy.DecodePath(raw); !ok {
		return "", "", false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == ".." {
			return "", "", false
		}
	}
	return path, args, true
}

// noLocation is the answer where X-Accel-Redirect has led to the application
// once more, which gave it again.
func (h *handler) noLocation(x *proxy.Exchange, to string) error {
	level := proxy.LevelInfo
	if !h.told.Swap(true) {
		level = proxy.LevelError
	}
	return &proxy.Fail{Status: 404, Level: level, Reason: fmt.Sprintf("%s gave the X-Accel-Redirect %q, for which there is no location: one with \"internal\" and \"alias\" serves such files", x.Upstream.Worker, to)}
}

// applyRedirected gives x's response what stays of h.
func (h *head) applyRedirected(x *proxy.Exchange) {
	x.Res.ContentType, x.Res.Charset = h.contentType, h.accel.charsetOf()
	for i := range h.fields {
		f := &h.fields[i]
		for _, name := range redirected {
			if strings.EqualFold(f.name, name) {
				x.Res.Header.AddID(f.id, f.name, f.value)
			}
		}
	}
}

// dropAnswer lets go of r's answer, which nobody gets.
func (h *handler) dropAnswer(r *request) {
	if r.file != nil {
		r.closeFile()
	}
	if !r.whole {
		r.pool.abandon(r)
	}
}
