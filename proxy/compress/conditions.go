package compress

import (
	"net/http"
	"strings"
	"time"

	"alicorn/proxy"
)

// proxied is gzip_proxied: which responses to requests with a Via field are compressed. Zero
// means "off", which takes precedence over other words.
type proxied uint16

// The words of gzip_proxied.
const (
	proxiedOff proxied = 1 << iota
	proxiedExpired
	proxiedNoCache
	proxiedNoStore
	proxiedPrivate
	proxiedNoLastModified
	proxiedNoETag
	proxiedAuth
	proxiedAny
)

var proxiedWords = map[string]proxied{
	"off": proxiedOff, "expired": proxiedExpired, "no-cache": proxiedNoCache, "no-store": proxiedNoStore, "private": proxiedPrivate,
	"no_last_modified": proxiedNoLastModified, "no_etag": proxiedNoETag, "auth": proxiedAuth, "any": proxiedAny,
}

// allow reports whether the response of x may be compressed. As in nginx, Expires decides if
// there is one, or else Cache-Control, or else the validators.
func (p proxied) allow(x *proxy.Exchange) bool {
	h := &x.Res.Header
	switch {
	case p == 0 || p&proxiedOff != 0:
		return false
	case p&proxiedAny != 0:
		return true
	case p&proxiedAuth != 0 && x.Req.Header.Value(proxy.FieldAuthorization) != "":
		return true
	}
	if e := h.Get("Expires"); e != "" {
		return p&proxiedExpired != 0 && expired(e, h.Value(proxy.FieldDate))
	}
	if _, ok := h.Lookup(proxy.FieldCacheControl); ok {
		return p.cacheControl(h)
	}
	_, dated := h.Lookup(proxy.FieldLastModified)
	_, tagged := h.Lookup(proxy.FieldETag)
	return !(p&proxiedNoLastModified != 0 && dated) && !(p&proxiedNoETag != 0 && tagged)
}

func (p proxied) cacheControl(h *proxy.Header) bool {
	for i := range h.Len() {
		f := h.At(i)
		if f.ID() != proxy.FieldCacheControl {
			continue
		}
		if p&proxiedNoCache != 0 && hasToken(f.Value, "no-cache") ||
			p&proxiedNoStore != 0 && hasToken(f.Value, "no-store") ||
			p&proxiedPrivate != 0 && hasToken(f.Value, "private") {
			return true
		}
	}
	return false
}

// expired reports whether the time of an Expires field is before that of the Date field, or
// before the present time if there is no Date field.
func expired(expires, date string) bool {
	at, err := http.ParseTime(expires)
	if err != nil {
		return false
	}
	now := time.Now()
	if date != "" {
		if now, err = http.ParseTime(date); err != nil {
			return false
		}
	}
	return at.Before(now)
}

// agent is one argument of gzip_disable. Without a pattern it is msie6.
type agent struct{ pattern *proxy.Regexp }

func (a agent) match(x *proxy.Exchange, name string) (bool, error) {
	if a.pattern != nil {
		return a.pattern.MatchString(x, name)
	}
	return msie6(name), nil
}

// msie6 reports whether name is that of an Internet Explorer that does not handle gzip well:
// versions 4 to 6, without SV1.
func msie6(name string) bool {
	_, version, ok := strings.Cut(name, "MSIE ")
	if !ok || len(version) < 2 || version[1] != '.' {
		return false
	}
	switch version[0] {
	case '4', '5':
		return true
	case '6':
		return !strings.Contains(version, "SV1")
	}
	return false
}
