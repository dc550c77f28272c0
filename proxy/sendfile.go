package proxy

import (
	"fmt"
	"path"
	"strings"

	"alicorn/config"
)

// Sendfile is one x_sendfile: an answer whose X-Sendfile names a file below Dir is given by
// the location for the same path below URI.
type Sendfile struct{ Dir, URI string }

// Sendfiles returns those in effect; none: X-Sendfile is a field like any other.
func (c *Core) Sendfiles() []Sendfile { return c.sendfiles.Items() }

// PathOf returns the path of the location that has the file; ok is false for a name that is
// not plain, or below no Dir.
func (c *Core) PathOf(file string) (to string, ok bool) {
	if !strings.HasPrefix(file, "/") || path.Clean(file) != file || strings.Contains(file, "\x00") {
		return "", false
	}
	for _, s := range c.sendfiles.Items() {
		if rest, below := strings.CutPrefix(file, s.Dir); below {
			return s.URI + rest, true
		}
	}
	return "", false
}

func (m core) sendfileDirective() config.Directive {
	return config.Directive{Name: "x_sendfile", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "DIR/ URI/ | off", Default: "off", Set: m.setSendfile,
		Help: "Honours X-Sendfile, with which applications written for Apache or lighttpd have a file sent: an answer of an application or of another server that names a file below DIR is replaced by that of the location for the same path below URI, as if it had said X-Accel-Redirect. The location is internal, and has the folder as its alias. A file below no DIR is answered 404. Given several times, the first DIR that fits counts; a block's own replace those it inherits. Not a directive of nginx."}
}

func (m core) setSendfile(s *config.Scope, n *config.Node) error {
	list := &m.settings.In(s).sendfiles
	if len(n.Args) == 1 {
		if n.Arg(0) != "off" {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("x_sendfile: invalid parameter %q; it takes a folder and a path, or \"off\"", n.Arg(0))}
		}
		list.Clear(s)
		return nil
	}
	for _, a := range n.Args {
		if !strings.HasPrefix(a.Text, "/") || !strings.HasSuffix(a.Text, "/") {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("x_sendfile: invalid path %q; it begins and ends with \"/\"", a.Text)}
		}
	}
	list.Add(s, Sendfile{Dir: n.Arg(0), URI: n.Arg(1)})
	return nil
}
