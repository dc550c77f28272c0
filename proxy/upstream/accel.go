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

// Accel holds nginx's X-Accel-* fields of an answer, which are for this server and not for
// the client. X-Accel-Buffering is left to the protocol. X-Accel-Expires has no effect, as
// there is no cache.
type Accel struct {
	Redirect  string // X-Accel-Redirect: a path or a named location
	Redirects bool   // the answer has X-Accel-Redirect, which may be empty
	Charset   string // X-Accel-Charset: replaces the charset of Content-Type; "off": removes it; "": none
	Rate      string // X-Accel-Limit-Rate: bytes per second, for limit_rate; "": none
}

const accelPrefix = "X-Accel-"

// set takes an X-Accel-* field, and reports whether nginx knows one of that name. The first
// field of a name counts, as in nginx.
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

// IsAccel reports whether name is that of an X-Accel-* field which nginx knows.
func IsAccel(name string) bool { return new(Accel).set(name, "") }

// charset returns the response's charset by X-Accel-Charset; "": none.
func (a *Accel) charset() string {
	if a.Charset == "off" {
		return ""
	}
	return a.Charset
}

// limit sets x's limit_rate from X-Accel-Limit-Rate. As in nginx, an invalid number has no
// effect.
func (a *Accel) limit(x *proxy.Exchange) {
	if a.Rate == "" {
		return
	}
	if n, err := config.ParseInt(a.Rate, 0, math.MaxInt); err == nil {
		x.SetLimitRate(int64(n))
	}
}

// settleCharset removes the charset from Content-Type if there is an X-Accel-Charset.
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

// redirected are the fields of the answer that the response keeps after X-Accel-Redirect, as
// in nginx.
var redirected = []string{"Set-Cookie", "Content-Disposition", "Cache-Control", "Expires"}

// Redirect returns an error that makes the location which Accel.Redirect names answer x.
// The answer's status and body are dropped. by names the upstream in errors. told is kept
// by the handler: Redirect sets it when it has logged that no location serves such files,
// and logs that only once as an error.
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

// NamesFile reports whether the answer has X-Sendfile and x's location has x_sendfile.
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

// RedirectToFile is Redirect for the file that X-Sendfile names.
func (h *Head) RedirectToFile(x *proxy.Exchange, by string) error {
	file := h.sendfile()
	to, ok := x.Core().PathOf(file)
	if !ok {
		return &proxy.Fail{Status: 404, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave the X-Sendfile %q, which is not below a folder of x_sendfile", by, file)}
	}
	if x.Req.Method != "HEAD" {
		x.Req.Method = "GET"
	}
	h.applyRedirected(x)
	return &proxy.Redirect{URI: to}
}

// accelPath splits the value of X-Accel-Redirect into a decoded path and arguments. ok is
// false if the path is not valid, or has a segment "..".
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

// noLocation returns the error for an X-Accel-Redirect that has led to the same upstream
// again.
func noLocation(to, by string, told *atomic.Bool) error {
	level := proxy.LevelInfo
	if !told.Swap(true) {
		level = proxy.LevelError
	}
	return &proxy.Fail{Status: 404, Level: level, Reason: fmt.Sprintf("%s gave the X-Accel-Redirect %q, for which there is no location: one with \"internal\" and \"alias\" serves such files", by, to)}
}

// applyRedirected sets the fields of x's response that it keeps from h.
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
