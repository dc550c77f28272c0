package proxypass

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// edit is one rule that replaces a text, or its beginning: a proxy_redirect,
// proxy_cookie_path or proxy_cookie_domain.
type edit struct {
	standard    bool            // "default" of proxy_redirect: see redirectsOf
	pattern     *proxy.Template // the text, or its beginning
	regexp      *proxy.Regexp   // used in place of pattern, and replaces the whole text; nil: pattern is used
	replacement *proxy.Template
}

// parseEdit reads the two arguments of such a directive. With fold, regular expressions ignore
// case also after "~" without "*".
func parseEdit(s *config.Scope, n *config.Node, fold bool) (edit, error) {
	load := s.Load()
	e := edit{replacement: proxy.ParseTemplate(load, n.Args[1].Pos, n.Arg(1))}
	expr, ok := strings.CutPrefix(n.Arg(0), "~")
	if !ok {
		e.pattern = proxy.ParseTemplate(load, n.Args[0].Pos, n.Arg(0))
		return e, nil
	}
	expr, starred := strings.CutPrefix(expr, "*")
	var err error
	if e.regexp, err = proxy.ParseRegexp(load, n.Args[0].Pos, expr, fold || starred); err != nil {
		return e, &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
	}
	return e, nil
}

// addEdit returns the Setter of a list of edits. "off" empties the list.
func addEdit(k *key, list func(c *settings) *config.List[edit], fold bool) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if len(n.Args) == 1 {
			if n.Arg(0) != "off" {
				return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: invalid parameter %q; it takes \"off\", or two texts", n.Name, n.Arg(0))}
			}
			list(k.In(s)).Clear(s)
			return nil
		}
		e, err := parseEdit(s, n, fold)
		if err == nil {
			list(k.In(s)).Add(s, e)
		}
		return err
	}
}

// beginning applies the first edit that matches: one whose pattern is the beginning of text,
// or whose regexp matches. ok is false if none does.
func beginning(x *proxy.Exchange, edits []edit, text string) (to string, ok bool, err error) {
	for i := range edits {
		e := &edits[i]
		if e.regexp != nil {
			if ok, err := e.regexp.Match(x, text); ok || err != nil {
				return e.replacement.String(x), ok, err
			}
			continue
		}
		if rest, ok := strings.CutPrefix(text, e.pattern.String(x)); ok {
			return e.replacement.String(x) + rest, true, nil
		}
	}
	return "", false, nil
}

// wholeDomain is beginning for a domain, which the pattern must equal. Case does not matter.
// A dot before the domain does not matter, and stays.
func wholeDomain(x *proxy.Exchange, edits []edit, domain string) (to string, ok bool, err error) {
	for i := range edits {
		e := &edits[i]
		if e.regexp != nil {
			if ok, err := e.regexp.Match(x, domain); ok || err != nil {
				return e.replacement.String(x), ok, err
			}
			continue
		}
		bare := strings.TrimPrefix(domain, ".")
		if strings.EqualFold(bare, strings.TrimPrefix(e.pattern.String(x), ".")) {
			return domain[:len(domain)-len(bare)] + e.replacement.String(x), true, nil
		}
	}
	return "", false, nil
}
