package static

import (
	"errors"
	"strings"
	"syscall"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
)

// tryFiles is one try_files directive.
type tryFiles struct {
	tests []tryTest
	last  *proxy.Template
	code  proxy.Status // =CODE; 0: none
}

type tryTest struct {
	path *proxy.Template
	dir  bool // the name ends in a slash: it is a folder's
}

func (m module) setTry(s *config.Scope, n *config.Node) error {
	t := &tryFiles{}
	end := len(n.Args) - 1
	for _, a := range n.Args[:end] {
		path, dir := strings.CutSuffix(a.Text, "/")
		t.tests = append(t.tests, tryTest{proxy.ParseTemplate(s.Load(), a.Pos, path), dir})
	}
	last := n.Args[end]
	if text, ok := strings.CutPrefix(last.Text, "="); ok {
		code, err := config.ParseInt(text, 100, 999)
		if err != nil {
			return &config.Error{Pos: last.Pos, Msg: "invalid code in try_files: " + last.Text}
		}
		t.code = proxy.Status(code)
	} else {
		if !strings.HasPrefix(last.Text, "/") && !strings.HasPrefix(last.Text, "$") && !strings.HasPrefix(last.Text, "@") {
			s.Load().Warn(last.Pos, "the last parameter of try_files, %q, is not a path, so the answer is 404; it takes /PATH, @NAME or =CODE", last.Text)
		}
		t.last = proxy.ParseTemplate(s.Load(), last.Pos, last.Text)
	}
	m.k.In(s).try = t
	return nil
}

// run looks for the first test that exists and makes it the request's path.
func (t *tryFiles) run(st *site, x *proxy.Exchange) error {
	lk := st.newLookup(x)
	defer lk.release()
	for i := range t.tests {
		path, ok := st.tryName(x, lk, t.tests[i].path)
		if !ok {
			continue
		}
		dir, err := st.test(lk)
		if err == nil && dir == t.tests[i].dir {
			st.found(x, lk, path, dir)
			return nil
		}
		if err != nil && !absent(err) && x.Logs(proxy.LevelCrit) {
			x.Log(proxy.LevelCrit, "stat() %q failed (%s)%s", lk.name, proxy.SystemText(err), osfile.Refusal(string(lk.name), osfile.ToRead))
		}
	}
	if t.code != 0 {
		return t.code
	}
	last := t.last.String(x)
	if _, static := t.last.Static(); !static {
		last = st.withoutLocation(last)
	}
	if strings.HasPrefix(last, "@") {
		return &proxy.Redirect{URI: last, Named: true}
	}
	path, args, _ := strings.Cut(last, "?")
	path, ok := proxy.CleanPath(path)
	if !ok { // for example a word without a slash
		return proxy.Status(404)
	}
	return &proxy.Redirect{URI: path, Args: args}
}

func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// tryName sets lk.name to the file of a test, and returns its path below the root or alias. ok
// is false for a path that leads out of that. As in nginx, no slash is put between root and
// path, so that a word without a slash names no file.
func (st *site) tryName(x *proxy.Exchange, lk *lookup, t *proxy.Template) (path string, ok bool) {
	lk.name = t.Append(x, lk.name[:0])
	if text, static := t.Static(); static {
		path = text
	} else if string(lk.name) == x.Req.Path {
		path = st.withoutLocation(x.Req.Path)
	} else {
		path = st.withoutLocation(string(lk.name))
	}
	if climbs(path) {
		if path, ok = proxy.CleanPath(rooted(path)); !ok {
			return "", false
		}
	}
	if st.root.kind == rootPlain && !strings.HasPrefix(path, "/") {
		return "", false
	}
	if lk.name, ok = st.appendRoot(x, lk.name[:0]); !ok {
		return "", false
	}
	if strings.HasPrefix(path, "/") {
		lk.name = join(lk.name, 0, path)
	} else {
		lk.name = append(lk.name, path...)
	}
	return path, true
}

// withoutLocation removes the location's name, which an alias replaces, from the beginning of
// a value. nginx also does this with the last word of try_files, so that files repeat the
// name there.
func (st *site) withoutLocation(value string) string {
	if rest, ok := st.root.below(value); ok && st.root.kind == aliasPrefix {
		return rest
	}
	return value
}

func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// found makes the file lk.name the file of the request. path is its path below the root or
// alias.
func (st *site) found(x *proxy.Exchange, lk *lookup, path string, dir bool) {
	switch st.root.kind {
	case rootPlain:
		x.Req.Path = path
	case aliasPrefix:
		lk.name = append(append(lk.name[:0], st.root.name...), path...)
		if path != "" && string(lk.name) != x.Req.Path {
			x.Req.Path = string(lk.name)
		}
	case aliasWhole:
		if !dir {
			x.Req.Path = path
			*st.named.In(x) = named{string(lk.name), x.URIChanges()}
		}
	}
}
