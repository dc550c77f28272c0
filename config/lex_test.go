package config

import (
	"strings"
	"testing"
)

// TestWordsAsNginx has nginx 1.22's name for the first directive of each input
// ("unknown directive ...").
func TestWordsAsNginx(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`plain;`, `plain`},
		{`"in double" x;`, `in double`},
		{`'in single' x;`, `in single`},
		{`"";`, ``},
		{`a"b;`, `a"b`},
		{`a'b'c;`, `a'b'c`},
		{`"a'b";`, `a'b`},
		{`"a;{}#b";`, `a;{}#b`},
		{`a#b;`, `a#b`},
		{`a}b;`, `a}b`},
		{`a\;b;`, `a\;b`},
		{`a\ b;`, `a\ b`},
		{`a\{2\} x;`, `a\{2\}`},
		{`\d+\.php$;`, `\d+\.php$`},
		{`"\d{2}\"\'\\\t\r\n\x";`, "\\d{2}\"'\\\t\r\n\\x"},
		{`a\tb;`, "a\tb"},
		{`\"a;`, `"a`},
		{`\#a;`, `\#a`},
		{`\include;`, `\include`},
		{`${a}b;`, `${a}b`},
		{`a${b}{`, `a${b}`},
		{`a$ {`, `a$`},
		{`${{a;`, `${{a`},
		{`$\{a;`, `$\{a`},
		{`"a")b;`, `a`},
		{"a\r\n;", `a`},
		{"\"a\nb\";", "a\nb"},
		{"a\\\nb;", "a\\\nb"},
		{"# c;{\"\n  a;", `a`},
		{"\xef\xbb\xbfa;", `a`},
		{"é;", `é`},
	} {
		root, _ := Parse("f", []byte(c.in))
		if len(root.Children) == 0 || root.Children[0].Name != c.want {
			t.Errorf("%q: got %v, want the name %q", c.in, root.Children, c.want)
		}
	}
}

func TestParenthesisAfterQuoteIsAWord(t *testing.T) {
	root, err := Parse("f", []byte(`if ($a = "b") { }`))
	if err != nil {
		t.Fatal(err)
	}
	got := root.Children[0]
	if len(got.Args) != 4 || got.Arg(2) != "b" || got.Arg(3) != ")" {
		t.Errorf(`got %v, want 4 arguments, the last two "b" and ")"`, got.Args)
	}
}

func TestBracesInQuotedRegexDoNotOpenABlock(t *testing.T) {
	root, err := Parse("f", []byte(`location ~ "^/\d{4}/(?<x>.+)\.php$" { }`))
	if err != nil {
		t.Fatal(err)
	}
	if got := root.Children[0].Arg(1); got != `^/\d{4}/(?<x>.+)\.php$` {
		t.Errorf("got %q, want %q", got, `^/\d{4}/(?<x>.+)\.php$`)
	}
}

func TestEveryWordHasItsPosition(t *testing.T) {
	root, err := Parse("f", []byte("\xef\xbb\xbfa;\r\n  é 'x\n y'  z;\n\tb {\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, e, b := root.Children[0], root.Children[1], root.Children[2]
	for _, c := range []struct {
		what string
		got  Pos
		want string
	}{
		{"first name", a.Pos, "f:1:1"},
		{"name of two bytes", e.Pos, "f:2:3"},
		{"argument after it", e.Args[0].Pos, "f:2:6"},
		{"end of an argument of two lines", e.Args[0].End(), "f:3:4"},
		{"argument after that", e.Args[1].Pos, "f:3:6"},
		{"name after a tab", b.Pos, "f:4:2"},
		{"closing brace", b.Close, "f:5:1"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestWordsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"longest bare", strings.Repeat("a", maxWord-1) + ";", true},
		{"too long bare", strings.Repeat("a", maxWord) + ";", false},
		{"longest quoted", `"` + strings.Repeat("a", maxWord-1) + `";`, true},
		{"too long quoted", `"` + strings.Repeat("a", maxWord) + `";`, false},
	} {
		_, err := Parse("f", []byte(c.in))
		if (err == nil) != c.ok {
			t.Errorf("%s: %.80v; want success: %v", c.name, err, c.ok)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: the message has %d bytes", c.name, len(err.Error()))
		}
	}
}

// The mistake about a word that is too long shows only the beginning of the word.
func TestAWordThatIsTooLongIsQuotedByItsBeginning(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("a", 1<<20)+" {"))
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("message %.600v, want an error and at most 500 of them", err)
	}
}
