package static

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// expires is one expires directive.
type expires struct {
	kind expiresKind
	d    time.Duration
}

type expiresKind uint8

const (
	expiresAccess   expiresKind = iota // d from now
	expiresModified                    // d from the file's change
	expiresDaily                       // at the time of day d
	expiresEpoch
	expiresMax
)

func (m module) setExpires(s *config.Scope, n *config.Node) error {
	c := m.k.In(s)
	word := n.Arg(0)
	e := &expires{}
	if len(n.Args) == 2 {
		if word != "modified" {
			return fmt.Errorf("expires: invalid parameter %q; only \"modified\" goes before a time", word)
		}
		e.kind, word = expiresModified, n.Arg(1)
	}
	switch word {
	case "off":
		c.expires = nil
		return nil
	case "epoch":
		e.kind = expiresEpoch
	case "max":
		e.kind = expiresMax
	default:
		var err error
		if e.d, err = expiresTime(e, word); err != nil {
			return fmt.Errorf("expires: %w", err)
		}
	}
	c.expires = e
	return nil
}

func expiresTime(e *expires, word string) (time.Duration, error) {
	if at, ok := strings.CutPrefix(word, "@"); ok && e.kind == expiresAccess {
		e.kind = expiresDaily
		d, err := config.ParseTime(at)
		if err == nil && d >= 24*time.Hour {
			err = fmt.Errorf("%q is no time of day", word)
		}
		return d, err
	}
	text, minus := strings.CutPrefix(word, "-")
	d, err := config.ParseTime(strings.TrimPrefix(text, "+"))
	if minus {
		d = -d
	}
	return d, err
}

// filter is the header filter.
func (e *expires) filter(x *proxy.Exchange) error {
	switch x.Res.Status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
	default:
		return nil
	}
	h := &x.Res.Header
	switch e.kind {
	case expiresEpoch:
		h.Set("Expires", "Thu, 01 Jan 1970 00:00:01 GMT")
		h.Set("Cache-Control", "no-cache")
		return nil
	case expiresMax:
		h.Set("Expires", "Thu, 31 Dec 2037 23:55:55 GMT")
		h.Set("Cache-Control", "max-age=315360000")
		return nil
	}
	now := time.Now()
	at := e.at(now, h)
	h.Set("Expires", string(at.UTC().AppendFormat(nil, httpDate)))
	age := int64(at.Sub(now).Round(time.Second) / time.Second)
	if age < 0 || e.kind != expiresDaily && e.d < 0 {
		h.Set("Cache-Control", "no-cache")
	} else {
		h.Set("Cache-Control", "max-age="+strconv.FormatInt(age, 10))
	}
	return nil
}

func (e *expires) at(now time.Time, h *proxy.Header) time.Time {
	switch e.kind {
	case expiresModified:
		if t, ok := parseDate(h.Value(proxy.FieldLastModified)); ok {
			return t.Add(e.d)
		}
	case expiresDaily:
		midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
		if at := midnight.Add(e.d); at.After(now) {
			return at
		}
		return midnight.AddDate(0, 0, 1).Add(e.d)
	}
	return now.Add(e.d)
}
