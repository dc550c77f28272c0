package static

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Expires returns the feature that sets Expires and Cache-Control on any content. In the list
// of modules it is before add_header, because nginx sends its fields first.
func Expires() proxy.Module {
	k := config.NewKey(func() expiresSettings { return expiresSettings{} })
	return proxy.Module{
		Name:     "expires",
		Settings: k,
		Directives: []config.Directive{{
			Name: "expires", In: config.AnyLevel | config.LocationIf, Args: config.Arity{Min: 1, Max: 2},
			Syntax: "[modified] TIME | @TIME | epoch | max | off", Default: "off", Set: setExpires(k),
			Help: "Sets Expires and Cache-Control on responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, and on the 416 for a range that a file does not have. TIME is the time from now, with modified from the file's last change; a negative TIME forbids caching. @TIME is a time of day. epoch forbids caching, max allows it for ten years. The value may have variables. If it is none of these then, no field is set.",
		}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if d := k.In(s).directive; d != nil {
				l.FilterHeader(d.filter)
			}
			return nil
		},
	}
}

type expiresSettings struct{ directive *expiresDirective }

// expiresDirective is one expires directive.
type expiresDirective struct {
	expiry
	modified bool
	value    *proxy.Template // a value with variables, which is read for each response; nil: expiry
	last     atomic.Pointer[expiresText]
}

// expiry is the value of an expires directive.
type expiry struct {
	kind expiresKind
	d    time.Duration // whole seconds
}

type expiresKind uint8

const (
	expiresOff      expiresKind = iota
	expiresAccess               // d from now
	expiresModified             // d from the file's change
	expiresDaily                // at the time of day d
	expiresEpoch
	expiresMax
)

func setExpires(k *config.Key[expiresSettings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		d, word := &expiresDirective{}, n.Arg(0)
		if len(n.Args) == 2 {
			if word != "modified" {
				return fmt.Errorf("expires: invalid parameter %q; only \"modified\" goes before a time", word)
			}
			d.modified, word = true, n.Arg(1)
		}
		if strings.Contains(word, "$") {
			d.value = proxy.ParseTemplate(s.Load(), n.Args[len(n.Args)-1].Pos, word)
			c.directive = d
			return nil
		}
		var err error
		if d.expiry, err = parseExpiry(word, d.modified); err != nil {
			return fmt.Errorf("expires: %w", err)
		}
		c.directive = d
		if d.kind == expiresOff {
			c.directive = nil
		}
		return nil
	}
}

func parseExpiry(word string, modified bool) (expiry, error) {
	e := expiry{kind: expiresAccess}
	if modified {
		e.kind = expiresModified
	} else {
		switch word {
		case "off":
			return expiry{kind: expiresOff}, nil
		case "epoch":
			return expiry{kind: expiresEpoch}, nil
		case "max":
			return expiry{kind: expiresMax}, nil
		}
	}
	text, minus := word, false
	switch {
	case strings.HasPrefix(word, "@") && modified:
		return e, errors.New("a time of day cannot be used with \"modified\"")
	case strings.HasPrefix(word, "@"):
		e.kind, text = expiresDaily, word[1:]
	case strings.HasPrefix(word, "+"):
		text = word[1:]
	case strings.HasPrefix(word, "-"):
		text, minus = word[1:], true
	}
	d, err := config.ParseTime(text)
	if err != nil {
		return e, err
	}
	e.d = d.Truncate(time.Second)
	if e.kind == expiresDaily && e.d > 24*time.Hour {
		return e, fmt.Errorf("invalid time of day %q", word)
	}
	if minus {
		e.d = -e.d
	}
	return e, nil
}

// expiresText has the values of the fields for the responses of one second that have the
// same Last-Modified.
type expiresText struct {
	now          int64  // seconds since 1970
	from         string // Last-Modified, if the directive has modified
	expires, age string
}

// filter is the header filter.
func (d *expiresDirective) filter(x *proxy.Exchange) error {
	if !x.Res.Ordinary() {
		return nil
	}
	h, e := &x.Res.Header, d.expiry
	if d.value != nil {
		var err error
		if e, err = parseExpiry(d.value.String(x), d.modified); err != nil {
			return nil // as in nginx, no field is set
		}
	}
	now, from := time.Now(), ""
	if e.kind == expiresModified {
		from = h.Value(proxy.FieldLastModified)
	}
	t := d.last.Load()
	if t == nil || d.value != nil || t.now != now.Unix() || t.from != from {
		t = e.text(now, strings.Clone(from))
		d.last.Store(t)
	}
	if t.expires != "" {
		t.apply(h)
	}
	return nil
}

// apply sets the two fields. It searches for them by name only if the response may have them.
func (t *expiresText) apply(h *proxy.Header) {
	for i := range h.Len() {
		if h.At(i).ID() == proxy.FieldOther {
			h.Del("Expires")
			break
		}
	}
	h.AddID(proxy.FieldOther, "Expires", t.expires)
	if _, ok := h.Lookup(proxy.FieldCacheControl); ok {
		h.Del("Cache-Control")
	}
	h.AddID(proxy.FieldCacheControl, "Cache-Control", t.age)
}

// text returns the values of the fields at the time now. They are empty for off.
func (e expiry) text(now time.Time, lastModified string) *expiresText {
	t := &expiresText{now: now.Unix(), from: lastModified}
	switch e.kind {
	case expiresOff:
		return t
	case expiresEpoch:
		t.expires, t.age = "Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"
		return t
	case expiresMax:
		t.expires, t.age = "Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"
		return t
	}
	at := e.at(now, lastModified)
	t.expires = formatDate(at)
	if age := at - t.now; age < 0 || e.d < 0 {
		t.age = "no-cache"
	} else {
		t.age = "max-age=" + strconv.FormatInt(age, 10)
	}
	return t
}

// at returns the time of expiry, in seconds since 1970.
func (e expiry) at(now time.Time, lastModified string) int64 {
	d := int64(e.d / time.Second)
	switch e.kind {
	case expiresModified:
		if t, ok := parseDate(lastModified); ok {
			return t + d
		}
	case expiresDaily:
		clock := func(days int) int64 {
			return time.Date(now.Year(), now.Month(), now.Day()+days, 0, 0, int(d), 0, now.Location()).Unix()
		}
		if at := clock(0); at > now.Unix() {
			return at
		}
		return clock(1)
	}
	return now.Unix() + d
}
