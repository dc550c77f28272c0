package websocket

import (
	"fmt"
	"net"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// origin is a value of websocket_origin: sites from which a WebSocket may be opened.
type origin struct {
	kind    originKind
	text    string // in lower case
	pattern *proxy.Regexp
}

// originKind is the form of a value of websocket_origin.
type originKind uint8

const (
	anyOrigin     originKind = iota
	noOrigin                 // the request has no Origin
	sameOrigin               // the site of the request
	hostOrigin               // text is a host
	belowOrigin              // the host ends with text, such as ".example.com"
	wholeOrigin              // text is scheme://host[:port]
	patternOrigin            // pattern matches the Origin
)

// parseOrigin reads a value of websocket_origin.
func parseOrigin(s *config.Scope, a config.Arg) (origin, error) {
	text := strings.ToLower(a.Text)
	switch {
	case a.Text == "any":
		return origin{}, nil
	case a.Text == "none":
		return origin{kind: noOrigin}, nil
	case a.Text == "same":
		return origin{kind: sameOrigin}, nil
	case strings.HasPrefix(a.Text, "~"):
		pattern, fold := strings.CutPrefix(a.Text[1:], "*")
		re, err := proxy.ParseRegexp(s.Load(), a.Pos, pattern, fold)
		return origin{kind: patternOrigin, pattern: re}, err
	}
	scheme, host, whole := strings.Cut(text, "://")
	if !whole {
		host = text
	}
	below := strings.TrimPrefix(host, "*")
	if host == "" || strings.ContainsAny(below, "/*?#@ ") || below != host && (whole || below == "" || below[0] != '.') || !whole && strings.Contains(host, ":") && host[0] != '[' {
		return origin{}, fmt.Errorf("invalid origin %q: must be any, none, same, a host such as example.com or *.example.com, an origin such as https://example.com, or ~REGEX", a.Text)
	}
	switch {
	case whole:
		return origin{kind: wholeOrigin, text: withoutDefaultPort(scheme, host)}, nil
	case below != host:
		return origin{kind: belowOrigin, text: below}, nil
	}
	return origin{kind: hostOrigin, text: host}, nil
}

// withoutDefaultPort returns an origin without the port if that is the scheme's default.
func withoutDefaultPort(scheme, authority string) string {
	if host, ok := strings.CutSuffix(authority, map[string]string{"http": ":80", "https": ":443"}[scheme]); ok {
		authority = host
	}
	return scheme + "://" + authority
}

// admits reports whether the location allows the Origin of x's request. It fails if matching
// a regular expression takes too long.
func (r *rules) admits(x *proxy.Exchange) (bool, error) {
	if len(r.allowed) == 0 {
		return true, nil
	}
	given := x.Req.Header.Get("Origin")
	scheme, authority, _ := strings.Cut(strings.ToLower(given), "://")
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	for _, o := range r.allowed {
		ok := false
		switch o.kind {
		case anyOrigin:
			ok = true
		case noOrigin:
			ok = given == ""
		case sameOrigin:
			ok = given != "" && withoutDefaultPort(scheme, authority) == withoutDefaultPort(x.Req.Scheme, strings.ToLower(x.Req.Authority))
		case hostOrigin:
			ok = host == o.text
		case belowOrigin:
			ok = len(host) > len(o.text) && strings.HasSuffix(host, o.text)
		case wholeOrigin:
			ok = given != "" && withoutDefaultPort(scheme, authority) == o.text
		case patternOrigin:
			var err error
			if ok, err = o.pattern.MatchString(x, given); err != nil {
				return false, err
			}
			ok = ok && given != ""
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}
