package proxy_test

import (
	"strconv"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

type wordSettings struct {
	say     *proxy.Template
	fail    int
	goTo    string
	slash   bool
	read    bool
	panics  bool
	headers config.List[string]
}

// words are content for tests: say TEXT (200), fail STATUS, goto URI or @NAME
// (an internal redirect), slash (redirects as proxied locations do), read (the
// body), panic. header adds to an inherited list.
func words() proxy.Module {
	k := config.NewKey(func() wordSettings { return wordSettings{} })
	k.Enter = func(_ *config.Scope, c *wordSettings) {
		*c = wordSettings{headers: c.headers}
	}
	d := func(name string, args config.Arity, set func(c *wordSettings, s *config.Scope, n *config.Node) error) config.Directive {
		return config.Directive{Name: name, In: config.AnyLevel, Args: args, Repeat: name == "header", Help: "For tests.",
			Set: func(s *config.Scope, n *config.Node) error { return set(k.In(s), s, n) }}
	}
	return proxy.Module{Name: "words", Settings: k, Compile: func(s *config.Scope, l *proxy.Location) error { return k.In(s).compile(l) },
		Directives: []config.Directive{
			d("say", config.OneArg, func(c *wordSettings, s *config.Scope, n *config.Node) error {
				c.say = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
				return nil
			}),
			d("fail", config.OneArg, func(c *wordSettings, _ *config.Scope, n *config.Node) (err error) {
				c.fail, err = strconv.Atoi(n.Arg(0))
				return err
			}),
			d("goto", config.OneArg, func(c *wordSettings, _ *config.Scope, n *config.Node) error { c.goTo = n.Arg(0); return nil }),
			d("slash", config.NoArgs, func(c *wordSettings, _ *config.Scope, _ *config.Node) error { c.slash = true; return nil }),
			d("read", config.NoArgs, func(c *wordSettings, _ *config.Scope, _ *config.Node) error { c.read = true; return nil }),
			d("panic", config.NoArgs, func(c *wordSettings, _ *config.Scope, _ *config.Node) error { c.panics = true; return nil }),
			d("header", config.OneArg, func(c *wordSettings, s *config.Scope, n *config.Node) error {
				c.headers.Add(s, n.Arg(0))
				return nil
			}),
		}}
}

func (c *wordSettings) compile(l *proxy.Location) error {
	if c.slash {
		l.RedirectSlash()
	}
	if c.say == nil && c.fail == 0 && c.goTo == "" && !c.read && !c.panics {
		return nil
	}
	l.SetContent(proxy.HandlerFunc(c.serve))
	return nil
}

func (c *wordSettings) serve(x *proxy.Exchange) error {
	switch {
	case c.panics:
		panic("as asked")
	case c.fail != 0:
		return proxy.Status(c.fail)
	case c.goTo != "" && c.goTo[0] == '@':
		return &proxy.Redirect{URI: c.goTo, Named: true}
	case c.goTo != "":
		return &proxy.Redirect{URI: c.goTo}
	case c.read:
		buf, n := make([]byte, 4096), int64(0)
		for {
			m, err := x.ReadBody(buf)
			if n += int64(m); err != nil {
				if err.Error() != "EOF" {
					return err
				}
				return x.Res.Reply(200, "text/plain", strconv.AppendInt(nil, n, 10))
			}
		}
	}
	for _, h := range c.headers.Items() {
		x.Res.Header.Add("X-Header", h)
	}
	return x.Res.Reply(200, "text/plain", []byte(c.say.String(x)))
}

func start(t testing.TB, text string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{words()}})
}

func mistakes(t testing.TB, text string) error {
	t.Helper()
	_, err := proxytest.Check(t, proxytest.Config{Text: text, Modules: []proxy.Module{words()}, Dir: "/conf"})
	return err
}
