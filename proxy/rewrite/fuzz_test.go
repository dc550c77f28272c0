package rewrite

import (
	"errors"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// FuzzProgram reads any conditions and replacements. A program that is accepted ends, with a
// well-formed Location. A mistake has a position.
func FuzzProgram(f *testing.F) {
	for _, s := range [][4]string{
		{"($host = a)", "^/(.*)$", "/new?x=$1&y=%41", "/a%20b?c"}, {"( $arg_x ~* (b|c) )", "^", "https://$host$request_uri?", "/?x=b"},
		{"(!-e $request_filename)", "(a)(?!b)", "/%2x%zz$uri? permanent", "/%2541+"}, {"($uri !~ ^$)", "x*", "$1 last", "/x"},
		{"(-f)", "(", "", "//"}, {"($)", "a", "?", "/a"}, {"()", "$", "$scheme://a break", "/%0d%0a"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, condition, pattern, replacement, target string) {
		text := "server { listen 80; location / { if " + condition + " { set $x \"$1\"; } rewrite \"" + pattern + "\" " + replacement + "; return 200 \"$x$uri\"; } }"
		root, err := config.Parse("alicorn.conf", []byte(text))
		if err != nil || len(root.Children) != 1 || len(pattern) > 40 || hasDirective(root, "include") {
			return
		}
		c := proxytest.Config{Text: text, Dir: t.TempDir(), Modules: []proxy.Module{Module(), content()}}
		if _, err := proxytest.Check(t, c); err != nil {
			var all config.Errors
			if !errors.As(err, &all) || all[0].Pos.Line == 0 {
				t.Fatalf("a mistake without a place: %v\n%s", err, text)
			}
			return
		}
		c.Modules = []proxy.Module{Module(), content()}
		s := proxytest.New(t, c)
		if strings.ContainsAny(target, " \r\n") || !strings.HasPrefix(target, "/") {
			target = "/"
		}
		rec := s.Get(target)
		if loc := rec.Header.Get("Location"); strings.ContainsAny(loc, "\r\n\x00") {
			t.Fatalf("Location %q of %s; want no line end or NUL", loc, text)
		}
	})
}

func hasDirective(n *config.Node, name string) bool {
	for _, c := range n.Children {
		if c.Name == name || hasDirective(c, name) {
			return true
		}
	}
	return false
}

// FuzzEscapes checks the escaping of captures and redirects.
func FuzzEscapes(f *testing.F) {
	for _, s := range []string{"", "a b", "%", "%2", "%41%20%3F%41", "\x00\xff\"<>", "%%41", "?%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := string(escapeArgs([]byte("keep "+s), 5))
		if !strings.HasPrefix(escaped, "keep ") || strings.ContainsAny(escaped[5:], " \"#&+;<>?\\^`{|}\r\n\x00\x7f") {
			t.Errorf("%q is escaped as %q; want nothing left that a URI must not have", s, escaped)
		}
		raw, ok := proxy.NormalizePath("/"+escaped[5:], false)
		if clean, valid := proxy.CleanPath("/" + s); ok && valid && raw != clean {
			t.Errorf("%q is escaped as %q, which is %q; want %q", s, escaped, raw, clean)
		}
		if out := unescapeRedirect([]byte(s)); len(out) > len(s) {
			t.Errorf("%q grows to %q; want at most %d bytes", s, out, len(s))
		}
		if out := encodeControls(s); strings.ContainsAny(out, "\r\n\x00") {
			t.Errorf("%q is encoded as %q; want no line end or NUL", s, out)
		}
	})
}

// FuzzCondition checks that what is accepted is one of the forms.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"($a)", "( $a = b )", "($a !~* b)", "(!-f a)", "(", ")", "()", "( )", "(! a)", "($a = )", "(-f a b)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var args []config.Arg
		for i, w := range strings.Fields(text) {
			args = append(args, config.Arg{Text: w, Pos: config.Pos{File: "f", Line: 1, Col: i + 1}})
		}
		if len(args) == 0 {
			return
		}
		q, err := parseCondition(args)
		if err != nil {
			if e := (*config.Error)(nil); !errors.As(err, &e) || e.Pos.Line != 1 {
				t.Fatalf("%q: a mistake without a place: %v", text, err)
			}
			return
		}
		file := len(q.test) == 1 && strings.Contains("fdex", q.test) && q.operator == ""
		variable := strings.HasPrefix(q.variable.Text, "$") && strings.Contains(" = ~ ~* ", " "+q.operator) && q.test == ""
		if file == variable || args[0].Text[0] != '(' || !strings.HasSuffix(args[len(args)-1].Text, ")") {
			t.Fatalf("%q is accepted as %+v", text, q)
		}
	})
}
