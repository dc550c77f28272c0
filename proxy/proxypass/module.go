package proxypass

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/h1"
	"alicorn/proxy/resolver"
	"alicorn/proxy/upstream"
)

// Options are settings that the program makes, and not the configuration.
type Options struct {
	// Loops call the connections to peers; nil: goroutines wait for them.
	Loops *eventloop.Group
	// Temporary returns the folder of a location's temporary files for answers, and the bound
	// on them; nil: the system's folder, without a bound.
	Temporary func(s *config.Scope, l *proxy.Location) (dir string, space *upstream.Space)
	// Resolver looks up names while requests are served; nil: no name is looked up then.
	Resolver *resolver.Feature

	surplus time.Duration // see Group; 0: surplusTime
}

// maxFields is the largest number of fields in an answer.
const maxFields = 1000

// Modules returns the feature: upstream blocks, and the families of directives of each
// protocol.
func Modules(o Options) []proxy.Module {
	st, k := &state{}, newBlockKey()
	mods := []proxy.Module{{
		Name: "upstream", Settings: k, Directives: upstreamDirectives(k, o),
		Variables: st.variables(), State: []proxy.Slot{&st.pass, &st.moves, &st.fastcgi},
		Generation: func(s *config.Scope, g *proxy.Generation) error {
			all := k.In(s).all
			g.OnStart(func(ctx context.Context) error { return startNaming(ctx, g) })
			g.OnStart(func(context.Context) error { all.startChecks(g, true); return nil })
			g.OnServe(func() { all.startChecks(g, false) })
			return all.check(s.Load(), o)
		},
	}}
	for _, p := range protocols() {
		mods = append(mods, p.module(st, k, o))
	}
	return mods
}

func (p *protocol) module(st *state, k *blockKey, o Options) proxy.Module {
	return proxy.Module{
		Name: p.name + "_pass", Settings: p.key, Directives: p.directives(), Content: []string{p.name + "_pass"},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := p.key.In(s)
			if p.records {
				st.fastcgi.Set(l, &c.gateway)
			}
			if c.pass == nil {
				return nil
			}
			h, err := p.newHandler(c, k.In(s).all, s, l, o)
			if err != nil {
				return err
			}
			h.state = st
			if err := k.In(s).adopt(h, l); err != nil {
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

func (p *protocol) newHandler(c *settings, all *definitions, s *config.Scope, l *proxy.Location, o Options) (*handler, error) {
	location := ""
	if c.pass.uri != "" {
		inner := s.Context == config.LocationIf || s.Context == config.LimitExcept && s.Own("proxy_pass") != nil
		if !isPrefix(l) && l.Kind != proxy.LocationExact || inner {
			return nil, &config.Error{Pos: c.passPos, Msg: "proxy_pass cannot have a URI in a location with a regular expression, in a named location, or in an \"if\" or \"limit_except\" block"}
		}
		location = l.Name
	}
	h := &handler{settings: c, protocol: p, rules: h1.ResponseRules{Head: c.bufferSize, Fields: maxFields, CGI: p.cgi}}
	h.hidden, h.shownAccel = c.hiddenFields(p.hidden)
	secure, key, err := p.secureOf(c, s.Load())
	if err != nil {
		return nil, err
	}
	h.secure = secure
	if err := h.find(c, all, s, o, key); err != nil {
		return nil, err
	}
	h.encoder = p.encoder(c, location)
	if c.pass.origin != "" || c.pass.value != nil {
		h.redirects = redirectsOf(c, location)
		h.editsCookies = c.cookies.given()
	}
	if o.Temporary != nil {
		h.tempDir, h.space = o.Temporary(s, l)
	}
	return h, nil
}

// find finds the Group of the location's requests, or the Groups that they may name.
func (h *handler) find(c *settings, all *definitions, s *config.Scope, o Options, key string) (err error) {
	if c.pass.value != nil {
		if slices.ContainsFunc(c.redirects.Items(), func(r edit) bool { return r.standard }) {
			return &config.Error{Pos: c.passPos, Msg: "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables"}
		}
		h.aims, err = h.protocol.aimsOf(c, all, s, o, key)
		return err
	}
	d, err := c.definition(all)
	if err != nil {
		return err
	}
	h.upstream = d
	if h.group, err = groupOf(d, h.protocol.name+key, s.Load().Resources, o); err != nil {
		return c.orUpstream(all, d, err)
	}
	return nil
}

// definition returns the upstream block that the location's directive names, or the definition
// of the server that it names.
func (c *settings) definition(all *definitions) (*definition, error) {
	d := all.find(c.pass.name)
	if d == nil && c.pass.origin == "" && c.pass.addr.path == "" && !c.pass.addr.ported {
		return nil, c.unknown(all)
	}
	if d == nil {
		return single(c.pass, c.passPos), nil
	}
	if c.pass.addr.ported {
		return nil, &config.Error{Pos: c.passPos, Msg: "upstream \"" + d.name + "\" may not have port " + c.pass.addr.port}
	}
	return d, nil
}

// unknown returns the error for a name without a port that no upstream has.
func (c *settings) unknown(all *definitions) error {
	return &config.Error{Pos: c.passPos, Msg: fmt.Sprintf("no port in %q, and no upstream has that name", c.pass.name), Hint: all.near(c.pass.name)}
}

// orUpstream adds to an error about a server's name the upstream that it probably means.
func (c *settings) orUpstream(all *definitions, d *definition, err error) error {
	var e *config.Error
	if all.find(d.name) != d && errors.As(err, &e) {
		if hint := all.near(c.pass.name); hint != "" {
			e.Hint = hint
		}
	}
	return err
}

// hiddenFields returns the fields of answers that clients do not get, without X-Accel-*, and
// the fields of X-Accel-* that clients do get.
func (c *settings) hiddenFields(usual []string) (hidden, shownAccel fieldSet) {
	shown := c.shown.Items()
	for _, name := range slices.Concat(usual, c.hidden.Items()) {
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

// noteMoves records how often x's URI has changed before the rewrite phase of its location.
func (st *state) noteMoves(x *proxy.Exchange) error {
	*st.moves.In(x) = x.URIChanges()
	return nil
}

// recycle recycles x's pass, after the log phase.
func (st *state) recycle(x *proxy.Exchange) {
	slot := st.pass.In(x)
	if p := *slot; p != nil {
		*slot = nil
		if x.Upstream.At == p {
			x.Upstream.At = nil
		}
		p.recycle()
	}
}
