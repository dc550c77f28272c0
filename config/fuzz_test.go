package config

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// seeds are the inputs that fuzzing starts from.
func seeds(f *testing.F) {
	everything, err := os.ReadFile("testdata/format/everything.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(everything)
	for _, s := range []string{
		"a;", "a {\n}\n", "a { b c; }", "# c\na; # d\n\n\n# e", "a # x\n# y\n b # z\n;# w", "a # x\n{ # y\n}# z",
		"if ($a = \"b\") { }", "\"a\"'b'", "\"a\")b;", "a ${b{c;", "a \\\n;", "a\\", "\"a\\\"b\n", "a \"x;\nb \"y\";",
		"\xef\xbb\xbfa;", "a\r\n;\r\n", "a \x00;", "include \"b\" c;", "}}{;",
	} {
		f.Add([]byte(s))
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		root, err := Parse("f", src)
		if err != nil {
			for _, e := range err.(Errors) {
				if e.Pos.Line < 1 || e.Pos.Col < 1 || e.Msg == "" {
					t.Errorf("mistake %#v, want a position and a message", e)
				}
			}
			return
		}
		printed := text(t, root)
		again, err := Parse("f", []byte(printed))
		if err != nil {
			t.Fatalf("%q is printed as %q: %v", src, printed, err)
		}
		if got, want := sketch(again, true), sketch(root, true); got != want {
			t.Errorf("%q is printed as %q: tree\n%s\nwant\n%s", src, printed, got, want)
		}
		if got, want := comments(printed), comments(string(src)); got != want {
			t.Errorf("%q is printed as %q: comments %q, want %q", src, printed, got, want)
		}
		if got := text(t, again); got != printed {
			t.Errorf("%q is printed as %q, then as %q", src, printed, got)
		}
		if len(src) > maxWord/2 {
			return // escapes may make a word too long to print
		}
		strip(root)
		bare, err := Parse("f", []byte(text(t, root)))
		if err != nil || sketch(bare, false) != sketch(root, false) {
			t.Errorf("%q without its quotes is printed as %q: %v", src, text(t, root), err)
		}
	})
}

func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		once, err := Format("f", src)
		if err != nil {
			return
		}
		twice, err := Format("f", once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q is formatted as %q, then as %q, %v", src, once, twice, err)
		}
	})
}

// text prints a tree.
func text(t *testing.T, n *Node) string {
	var buf bytes.Buffer
	if err := Print(&buf, n); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// sketch writes what a tree means, one word or brace a line.
func sketch(n *Node, quotes bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q\n", n.Name)
	for _, a := range n.Args {
		if !quotes {
			a.Quote = 0
		}
		fmt.Fprintf(&b, " %q %d\n", a.Text, a.Quote)
	}
	if n.Block {
		b.WriteString("{\n")
		for _, c := range n.Children {
			b.WriteString(sketch(c, quotes))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// strip turns a tree into one that a program could have built.
func strip(n *Node) {
	n.Raw = ""
	for i := range n.Args {
		n.Args[i] = Arg{Text: n.Args[i].Text}
	}
	for _, c := range n.Children {
		strip(c)
	}
}

// comments lists a file's comments.
func comments(src string) string {
	var errs Errors
	var list []string
	l := newLexer("f", []byte(src), &errs)
	for t := l.next(); t.kind != tokenEnd; t = l.next() {
		if t.kind == tokenComment {
			list = append(list, t.text)
		}
	}
	return strings.Join(list, "\n")
}
