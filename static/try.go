package static

import (
	"os"
	"strconv"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// tryFiles is one try_files directive.
type tryFiles struct {
	tests []tryTest
	last  *proxy.Template
	named string
	code  proxy.Status // =CODE; 0: none
}

type tryTest struct {
	path *proxy.Template
	dir  bool // the name ends in a slash: a folder is looked for
}

func (m module) setTry(s *config.Scope, n *config.Node) error {
	t := &tryFiles{}
	end := len(n.Args) - 1
	for _, a := range n.Args[:end] {
		path, dir := strings.CutSuffix(a.Text, "/")
		t.tests = append(t.tests, tryTest{proxy.ParseTemplate(s.Load(), a.Pos, path), dir})
	}
	switch last := n.Args[end]; {
	case strings.HasPrefix(last.Text, "="):
		code, err := strconv.Atoi(last.Text[1:])
		if err != nil || code < 100 || code > 999 {
			return &config.Error{Pos: last.Pos, Msg: "invalid code in try_files: " + last.Text}
		}
		t.code = proxy.Status(code)
	case strings.HasPrefix(last.Text, "@"):
		t.named = last.Text
	default:
		t.last = proxy.ParseTemplate(s.Load(), last.Pos, last.Text)
	}
	m.k.In(s).try = t
	return nil
}

// run looks for the first test that exists and makes it the request's path.
func (t *tryFiles) run(st *site, x *proxy.Exchange) error {
	for i := range t.tests {
		path := t.tests[i].path.String(x)
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		if t.tests[i].dir && !strings.HasSuffix(path, "/") {
			path += "/"
		}
		name, ok := st.tryName(x, path)
		if !ok {
			continue
		}
		info, err := os.Stat(name)
		if err == nil && info.IsDir() == t.tests[i].dir && (info.IsDir() || info.Mode().IsRegular()) {
			x.Req.Path = path
			return nil
		}
	}
	switch {
	case t.code != 0:
		return t.code
	case t.named != "":
		return &proxy.Redirect{URI: t.named, Named: true}
	}
	path, args, found := strings.Cut(t.last.String(x), "?")
	if !found {
		args = x.Req.Args
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return &proxy.Redirect{URI: path, Args: args}
}

// tryName is the file of a test. Under an alias the location's name is cut
// from the path, as for requests.
func (st *site) tryName(x *proxy.Exchange, path string) (string, bool) {
	clean, ok := proxy.CleanPath(path)
	if !ok {
		return "", false
	}
	return st.filename(x, clean)
}
