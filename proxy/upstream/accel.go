package upstream

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"alicorn/config"
	"alicorn/proxy"
)

// Accel is what an upstream tells the server in front of it, in nginx's
// X-Accel-* fields. No client sees them. Redirect and Charset have an effect here.
// Buffering concerns the protocol, which may heed it. Expires has no effect: a response
// goes to its client uncached.
type Accel struct {
	Redirect  string // a path or a named location
	Redirects bool   // there is a Redirect, perhaps an empty one
	Charset   string // of the Content-Type, in place of its own; "off" for none
	Rate      string // X-Accel-Limit-Rate: bytes in a second, for limit_rate; "": none
}

const accelPrefix = "X-Accel-"

// set takes a field that is the server's, and reports whether it is one. Of several the
// first counts, as in nginx.
func (a *Accel) set(name, value string) bool {
	if len(name) <= len(accelPrefix) || !strings.EqualFold(name[:len(accelPrefix)], accelPrefix) {
		return false
	}
	switch strings.ToLower(name[len(accelPrefix):]) {
	case "redirect":
		if !a.Redirects {
			a.Redirect, a.Redirects = value, true
		}
	case "charset":
		a.Charset = cmp.Or(a.Charset, value)
	case "limit-rate":
		a.Rate = cmp.Or(a.Rate, value)
	case "buffering", "expires":
	default:
		return false // nginx has no such field
	}
	return true
}

// IsAccel reports whether a field of an answer is for this server, whatever the client
// is to see of it.
func IsAccel(name string) bool { return new(Accel).set(name, "") }

// charset returns X-Accel-Charset as a response has it.
func (a *Accel) charset() string {
	if a.Charset == "off" {
		return ""
	}
	return a.Charset
}

// limit sets x's limit_rate. As in nginx what is no number counts for nothing.
func (a *Accel) limit(x *proxy.Exchange) {
	if a.Rate == "" {
		return
	}
	if n, err := config.ParseInt(a.Rate, 0, math.MaxInt); err == nil {
		x.SetLimitRate(int64(n))
	}
}

// settleCharset has X-Accel-Charset take the place of Content-Type's charset.
func (h *Head) settleCharset() {
	if h.Accel.Charset == "" || h.ContentType == "" {
		return
	}
	kind, parameters, _ := strings.Cut(h.ContentType, ";")
	settled := append(make([]byte, 0, len(h.ContentType)), kind...)
	for p := range strings.SplitSeq(parameters, ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(p), "=")
		if name != "" && !strings.EqualFold(name, "charset") {
			settled = append(append(settled, ';'), p...)
		}
	}
	h.ContentType = string(settled)
}

// redirected are the fields of an answer that stay when X-Accel-Redirect sends
// the request on, as in nginx.
var redirected = []string{"Set-Cookie", "Content-Disposition", "Cache-Control", "Expires"}

// Redirect returns the error that has x answered by the location that
// Accel.Redirect names. The answer is dropped, with its status. by is the name of
// the upstream. told is the handler's: whether it has reported that there is no
// such location.
func (h *Head) Redirect(x *proxy.Exchange, by string, told *atomic.Bool) error {
	to := h.Accel.Redirect
	named := strings.HasPrefix(to, "@")
	path, args := to, ""
	if !named {
		var ok bool
		if path, args, ok = accelPath(to); !ok {
			return &proxy.Fail{Status: 404, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave an unsafe X-Accel-Redirect: %q", by, to)}
		}
		if x.Internal && path == x.Req.Path && args == x.Req.Args {
			return noLocation(to, by, told)
		}
		if x.Req.Method != "HEAD" {
			x.Req.Method = "GET"
		}
	}
	h.applyRedirected(x)
	return &proxy.Redirect{URI: path, Args: args, Named: named}
}

// NamesFile reports that the answer names a file by X-Sendfile, where x_sendfile has a say.
func (h *Head) NamesFile(x *proxy.Exchange) bool {
	return len(x.Core().Sendfiles()) > 0 && h.sendfile() != ""
}

func (h *Head) sendfile() string {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == proxy.FieldOther && strings.EqualFold(f.Name, "X-Sendfile") {
			return f.Value
		}
	}
	return ""
}

// RedirectToFile is Redirect for an answer that NamesFile.
func (h *Head) RedirectToFile(x *proxy.Exchange, by string) error {
	file := h.sendfile()
	to, ok := x.Core().PathOf(file)
	if !ok {
		return &proxy.Fail{Status: 404, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave the X-Sendfile %q, which is below no folder of x_sendfile", by, file)}
	}
	if x.Req.Method != "HEAD" {
		x.Req.Method = "GET"
	}
	h.applyRedirected(x)
	return &proxy.Redirect{URI: to}
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

// noLocation is the answer where X-Accel-Redirect has led to the same upstream
// once more, which gave it again.
func noLocation(to, by string, told *atomic.Bool) error {
	level := proxy.LevelInfo
	if !told.Swap(true) {
		level = proxy.LevelError
	}
	return &proxy.Fail{Status: 404, Level: level, Reason: fmt.Sprintf("%s gave the X-Accel-Redirect %q, for which there is no location: one with \"internal\" and \"alias\" serves such files", by, to)}
}

// applyRedirected gives x's response what stays of h.
func (h *Head) applyRedirected(x *proxy.Exchange) {
	x.Res.ContentType, x.Res.Charset = h.ContentType, h.Accel.charset()
	h.Accel.limit(x)
	for i := range h.Fields {
		f := &h.Fields[i]
		for _, name := range redirected {
			if strings.EqualFold(f.Name, name) {
				x.Res.Header.AddID(f.ID, f.Name, f.Value)
			}
		}
	}
}
