package proxypass

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/h1"
	"alicorn/proxy/upstream"
)

// Options are what the program, not the configuration, decides.
type Options struct {
	// Loops call the connections to peers; nil: goroutines wait for them.
	Loops *eventloop.Group
	// Temporary returns where answers of a location wait that memory does not hold, and
	// what bounds them; nil: in the system's folder, without a bound.
	Temporary func(s *config.Scope, l *proxy.Location) (dir string, space *upstream.Space)

	surplus time.Duration // see Group; 0: surplusTime
}

// maxFields bounds the fields of an answer.
const maxFields = 1000

// Module returns the feature: proxy_pass, upstream, and what belongs to them.
func Module(o Options) proxy.Module {
	k, st := newKey(), &state{}
	return proxy.Module{
		Name:       "proxypass",
		Settings:   k,
		Directives: slices.Concat(passDirectives(k), requestDirectives(k), answerDirectives(k), upstreamDirectives(k)),
		Variables:  st.variables(),
		State:      []proxy.Slot{&st.pass, &st.moves},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			if c.pass == nil {
				return nil
			}
			h, err := newHandler(c, s, l, st, o)
			if err != nil {
				return err
			}
			l.SetContent(h)
			l.OnLog(st.recycle)
			if c.pass.uri != "" {
				l.First(proxy.Rewrite, st.noteMoves)
			}
			if isPrefix(l) && len(l.Name) > 1 && strings.HasSuffix(l.Name, "/") {
				l.RedirectSlash()
			}
			return nil
		},
	}
}

func isPrefix(l *proxy.Location) bool {
	return l.Kind == proxy.LocationPrefix || l.Kind == proxy.LocationPrefixStop
}

func newHandler(c *settings, s *config.Scope, l *proxy.Location, st *state, o Options) (*handler, error) {
	d, err := c.definition()
	if err != nil {
		return nil, err
	}
	location := ""
	if c.pass.uri != "" {
		inner := s.Context == config.LocationIf || s.Context == config.LimitExcept && s.Own("proxy_pass") != nil
		if !isPrefix(l) && l.Kind != proxy.LocationExact || inner {
			return nil, &config.Error{Pos: c.passPos, Msg: "proxy_pass cannot have a URI in a location with a regular expression, in a named location, or in an \"if\" or \"limit_except\" block"}
		}
		location = l.Name
	}
	h := &handler{settings: c, state: st, rules: h1.ResponseRules{Head: c.bufferSize, Fields: maxFields}}
	h.hidden, h.shownAccel = c.hiddenFields()
	if h.group, err = groupOf(d, s.Load().Resources, o); err != nil {
		return nil, c.orUpstream(d, err)
	}
	h.repeat = c.next
	if n := h.group.tries(); h.repeat.Tries == 0 || n < h.repeat.Tries {
		h.repeat.Tries = n
	}
	h.encoder = newEncoder(c, location)
	h.redirects = redirectsOf(c, location)
	if o.Temporary != nil {
		h.tempDir, h.space = o.Temporary(s, l)
	}
	return h, nil
}

// definition returns the upstream block that proxy_pass names, or what it says itself.
func (c *settings) definition() (*definition, error) {
	d := c.all.find(c.pass.name)
	if d == nil {
		return single(c.pass, c.passPos), nil
	}
	if c.pass.addr.ported {
		return nil, &config.Error{Pos: c.passPos, Msg: "upstream \"" + d.name + "\" may not have port " + c.pass.addr.port}
	}
	return d, nil
}

// orUpstream adds to an error about the name in proxy_pass which upstream may be meant.
func (c *settings) orUpstream(d *definition, err error) error {
	var e *config.Error
	if c.all.find(d.name) != d && errors.As(err, &e) {
		var names []string
		for _, o := range c.all.list {
			names = append(names, o.name)
		}
		if near := config.Nearest(c.pass.name, names); near != "" {
			e.Hint = fmt.Sprintf("did you mean the upstream %q?", near)
		}
	}
	return err
}

// hiddenFields returns the fields of answers that clients do not see, but for those that
// this server takes for itself, and of these the ones that clients see all the same.
func (c *settings) hiddenFields() (hidden, shownAccel fieldSet) {
	shown := c.shown.Items()
	for _, name := range slices.Concat(alwaysHidden, c.hidden.Items()) {
		if !slices.Contains(shown, name) && !upstream.IsAccel(name) {
			hidden.add(name)
		}
	}
	for _, name := range shown {
		if upstream.IsAccel(name) {
			shownAccel.add(name)
		}
	}
	return hidden, shownAccel
}

// noteMoves notes where x stands before rewriting in the location.
func (st *state) noteMoves(x *proxy.Exchange) error {
	*st.moves.In(x) = x.URIChanges()
	return nil
}

// recycle is the log phase's end of a pass.
func (st *state) recycle(x *proxy.Exchange) {
	slot := st.pass.In(x)
	if p := *slot; p != nil {
		*slot = nil
		p.recycle()
	}
}
