package proxypass

import (
	"fmt"
	"slices"
	"strings"

	"alicorn/config"
	"alicorn/proxy/upstream"
)

// ignored is a set of fields of answers that this server ignores: proxy_ignore_headers.
type ignored uint8

const (
	ignoreRedirect ignored = 1 << iota
	ignoreBuffering
	ignoreCharset
	ignoreRate
)

// ignorable are the arguments of proxy_ignore_headers. Those without a value have an effect
// only on nginx's cache.
var ignorable = []config.Choice[ignored]{
	{Word: "X-Accel-Redirect", Value: ignoreRedirect}, {Word: "X-Accel-Expires"}, {Word: "X-Accel-Limit-Rate", Value: ignoreRate},
	{Word: "X-Accel-Buffering", Value: ignoreBuffering}, {Word: "X-Accel-Charset", Value: ignoreCharset},
	{Word: "Expires"}, {Word: "Cache-Control"}, {Word: "Set-Cookie"}, {Word: "Vary"},
}

func setIgnored(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		var set ignored
		for _, a := range n.Args {
			i := slices.IndexFunc(ignorable, func(c config.Choice[ignored]) bool { return strings.EqualFold(c.Word, a.Text) })
			if i < 0 {
				var words []string
				for _, c := range ignorable {
					words = append(words, c.Word)
				}
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s: %q is not one of %s", n.Name, a.Text, strings.Join(words, ", "))}
			}
			set |= ignorable[i].Value
		}
		k.In(s).ignored = set
		return nil
	}
}

// apply removes the ignored fields from a.
func (set ignored) apply(a *upstream.Accel) {
	if set&ignoreRedirect != 0 {
		a.Redirect, a.Redirects = "", false
	}
	if set&ignoreCharset != 0 {
		a.Charset = ""
	}
	if set&ignoreRate != 0 {
		a.Rate = ""
	}
}
