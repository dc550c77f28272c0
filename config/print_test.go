package config

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestFormatKeepsCommentsAndIsStable(t *testing.T) {
	src, err := os.ReadFile("testdata/format/everything.conf")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/format/everything.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range [][]byte{src, want, bytes.ReplaceAll(want, []byte("\n    "), []byte("\n\t"))} {
		got, err := Format("f", in)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got (want %s):\n%s", want, got)
		}
	}
}

func TestFormatRefusesMistakes(t *testing.T) {
	for _, in := range []string{"a", "a {", "}"} {
		if got, err := Format("f", []byte(in)); err == nil {
			t.Errorf("%q: got %q, want an error", in, got)
		}
	}
}

func TestNothingIsFormattedAsNothing(t *testing.T) {
	for _, in := range []string{"", "\n\n", "\xef\xbb\xbf", "\r\n \t"} {
		if got, err := Format("f", []byte(in)); err != nil || len(got) != 0 {
			t.Errorf("%q: got %q, %v; want nothing", in, got, err)
		}
	}
}

func TestPrintQuotesWhatMustBe(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", "plain"},
		{"", `""`},
		{"two words", `"two words"`},
		{"a;b", `"a;b"`},
		{"a{2}", `"a{2}"`},
		{"${a}b", "${a}b"},
		{"a$", "a$"},
		{"a#b", "a#b"},
		{"#b", `"#b"`},
		{"}", `"}"`},
		{"a}", "a}"},
		{`say "hi"`, `'say "hi"'`},
		{`"a'b`, `"\"a'b"`},
		{`it's`, `it's`},
		{`'q`, `"'q"`},
		{`\d+\.php$`, `\d+\.php$`},
		{`a\nb`, `"a\\nb"`},
		{`a\`, `"a\\"`},
		{`a\\b`, `"a\\\b"`},
		{"a\nb", "\"a\nb\""},
		{")", ")"},
		{"é", "é"},
	} {
		var buf bytes.Buffer
		if err := Print(&buf, NewNode("x", c.text, "y")); err != nil {
			t.Fatal(err)
		}
		if got := buf.String(); got != "x "+c.want+" y;\n" {
			t.Errorf("%q: got %s; want %s", c.text, got, "x "+c.want+" y;\n")
		}
		root, err := Parse("f", buf.Bytes())
		if err != nil || root.Children[0].Arg(0) != c.text {
			t.Errorf("%q comes back as %q, %v", c.text, root.Children[0].Arg(0), err)
		}
	}
}

func TestPrintRefusesWhatNoQuoteCarries(t *testing.T) {
	for _, text := range []string{"a\x00b", strings.Repeat("a", maxWord), strings.Repeat(`"'`, maxWord/2-1)} {
		if err := Print(&bytes.Buffer{}, NewNode("x", text)); err == nil {
			t.Errorf("%.20q was printed", text)
		}
	}
}

func TestATreeThatWasBuiltIsPrinted(t *testing.T) {
	app := NewBlock("app", []string{"shop"}, NewNode("wsgi", "shop.wsgi:application"))
	app.Comments = []Comment{{Text: "from the command line"}}
	app.Children[0].Trailing = "# the callable"
	root := &Node{Block: true, Children: []*Node{
		app,
		{Name: "server", Block: true, Blank: true, Children: []*Node{NewNode("listen", "8000")}},
	}}
	var buf bytes.Buffer
	if err := Print(&buf, root); err != nil {
		t.Fatal(err)
	}
	want := `# from the command line
app shop {
    wsgi shop.wsgi:application; # the callable
}

server {
    listen 8000;
}
`
	if buf.String() != want {
		t.Errorf("got (want %s):\n%s", want, buf.String())
	}
}
