// Package mirror is nginx's mirror module: requests are also sent, as copies whose answers
// nobody reads, to other locations of the server, which pass them on to a server that is
// tried out, for instance.
//
// It belongs to the phase before the content: a request that is refused, limited or
// redirected is not mirrored. The request's own answer does not wait for the copies, but the
// client's connection does before its next request, as in nginx.
package mirror

import (
	"fmt"
	"strings"
	"sync/atomic"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// Options are what the program, not the configuration, decides.
type Options struct {
	// Temporary returns what bounds the temporary files of a location; nil: nothing does.
	Temporary func(s *config.Scope, l *proxy.Location) (dir string, space *upstream.Space)
}

type settings struct {
	paths    config.List[string]
	withBody bool
}

// Module returns the feature.
func Module(o Options) proxy.Module {
	k := config.NewKey(func() settings { return settings{withBody: true} })
	return proxy.Module{
		Name:     "mirror",
		Settings: k,
		Directives: []config.Directive{
			{Name: "mirror", In: config.AnyLevel, Args: config.OneArg, Repeat: true, Syntax: "PATH | off", Default: "off", Set: addPath(k),
				Help: "Sends a copy of each request, with its method, header and arguments, to the location for PATH, too, and drops the answer. Given several times, there are several copies. A block's own replace those it inherits. The location is often internal, and has a proxy_pass; $request_uri there is that of the original. A copy is neither limited nor logged, and needs no access. The answer to the original does not wait for the copies, but the next request of the client's connection does: keep the location's timeouts short."},
			{Name: "mirror_request_body", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "on",
				Set:  config.Flag(k, func(c *settings) *bool { return &c.withBody }),
				Help: "Whether copies have the request's body. Then it is read, whole, before they are sent and the original goes on, whatever proxy_request_buffering says. Off: copies have none."},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			if len(c.paths.Items()) == 0 {
				return nil
			}
			m := &mirrors{paths: c.paths.Items(), withBody: c.withBody}
			if o.Temporary != nil {
				_, m.space = o.Temporary(s, l)
			}
			l.On(proxy.PreContent, m.act)
			return nil
		},
	}
}

func addPath(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		path, pos := n.Arg(0), n.Args[0].Pos
		switch {
		case path == "off":
			k.In(s).paths.Clear(s)
			return nil
		case !strings.HasPrefix(path, "/"):
			return &config.Error{Pos: pos, Msg: fmt.Sprintf("%q is no path of this server; mirror takes one that begins with \"/\", or \"off\"", path)}
		case strings.Contains(path, "$"):
			return &config.Error{Pos: pos, Msg: fmt.Sprintf("mirror %q has a variable; it takes a path without any, or \"off\"", path)}
		}
		k.In(s).paths.Add(s, path)
		return nil
	}
}

// mirrors are those of a location.
type mirrors struct {
	paths    []string
	withBody bool
	space    *upstream.Space
}

// inlineBody is the largest body that is kept in this process's own memory.
const inlineBody = 64 << 10

// act sends the copies of x, after its body was read.
func (m *mirrors) act(x *proxy.Exchange) error {
	switch {
	case x.Main() != x || x.Copied():
		return nil
	case !m.withBody || x.Req.ContentLength == 0 && !x.Req.Chunked:
		for _, path := range m.paths {
			x.Mirror(path, nil)
		}
		return nil
	}
	return (&reading{mirrors: m}).Continue(x)
}

// reading is a body that is read for the original and the copies.
type reading struct {
	*mirrors
	body  upstream.Body
	users atomic.Int32
}

// Continue implements proxy.Continuation.
func (r *reading) Continue(x *proxy.Exchange) error {
	core := x.Core()
	err := r.body.Read(x, &upstream.Storage{Inline: inlineBody, Memory: core.BodyBufferSize, Dir: core.BodyTempPath, Space: r.space})
	switch {
	case err == proxy.ErrNotYet:
		return x.Suspend(r)
	case err != nil:
		r.body.Close()
		return err
	}
	r.users.Store(int32(len(r.paths) + 1))
	x.KeepBody(r.body.Again(r.release))
	for _, path := range r.paths {
		x.Mirror(path, r.body.Again(r.release))
	}
	return nil
}

// release closes the body after its last user.
func (r *reading) release() {
	if r.users.Add(-1) == 0 {
		r.body.Close()
	}
}
