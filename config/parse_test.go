package config

import (
	"errors"
	"strings"
	"testing"
)

// nginx 1.22 refuses all these inputs.
func TestMistakesOfNginxAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"semicolon alone", "a;\n ;b;", []string{`f:2:2: unexpected ";": there is no directive before it`}},
		{"brace alone", "{ a; }", []string{`f:1:1: unexpected "{": there is no directive before it`}},
		{"closing brace alone", "a;\n}\nb;", []string{`f:2:1: unexpected "}": no block is open`}},
		{"no semicolon before a brace", "s {\n  root /x\n}\n", []string{`f:2:10: directive "root" is not terminated by ";"`}},
		{"no semicolon at the end", "a;\nroot /x # why\n", []string{`f:2:8: directive "root" is not terminated by ";"`}},
		{"no closing brace", "http {\n  server {\n  }\n", []string{`f:4:1: unexpected end of file: "http" opened at line 1 has no closing "}"`}},
		{"two closing braces missing", "a {\nb {", []string{
			`f:2:4: unexpected end of file: "b" opened at line 2 has no closing "}"`,
			`f:2:4: unexpected end of file: "a" opened at line 1 has no closing "}"`}},
		{"a repetition without quotes", "a ~ ^/x{2}$ {\n}\n", []string{`f:1:5: the "{" of a regular expression ends a word that is not in quotes: write "^/x{2}$"`}},
		{"a repetition in a condition", "if ($a ~ (x{2,}){,3}) { }", []string{`f:1:10: the "{" of a regular expression ends a word that is not in quotes: write "(x{2,}){,3}"`}},
		{"a class without quotes", `rewrite \p{Lu}\x{41} /b;`, []string{`f:1:9: the "{" of a regular expression ends a word that is not in quotes: write "\p{Lu}\x{41}"`}},
		{"blocks that are no repetition", "a{b;}a{}a x{ 2;}a x{2 3;}a x{p;} }", []string{`f:1:34: unexpected "}": no block is open`}},
		{"text after a quote", `a "b"c;`, []string{`f:1:6: unexpected "c" after a closing quote`}},
		{"comment after a quote", "a \"b\"#c;\n;", []string{`f:1:6: unexpected "#" after a closing quote`}},
		{"quote not closed", "a \"b;\nc;", []string{`f:1:3: string has no closing '"'`}},
		{"single quote not closed", "a 'b\n;", []string{`f:1:3: string has no closing "'"`, `f:2:1: unexpected ";": there is no directive before it`}},
		{"quote closed by the next string", "a \"b;\nc \"d\";\ne }\n", []string{
			`f:1:3: string has no closing '"': it would end at line 2, directly before "d"`,
			`f:3:2: directive "e" is not terminated by ";"`,
			`f:3:3: unexpected "}": no block is open`}},
		{"block after a quote not closed", "a \"b {\n c \"d\";\n}\n", []string{
			`f:1:3: string has no closing '"': it would end at line 2, directly before "d"`}},
		{"NUL", "a;\nb \x00;", []string{"f:2:3: unexpected NUL byte: this is not a text file"}},
		{"several", "; a }\n{ b }", []string{
			`f:1:1: unexpected ";": there is no directive before it`,
			`f:1:4: directive "a" is not terminated by ";"`,
			`f:1:5: unexpected "}": no block is open`,
			`f:2:1: unexpected "{": there is no directive before it`,
			`f:2:4: directive "b" is not terminated by ";"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, err := Parse("f", []byte(c.in))
			if root == nil || err == nil {
				t.Fatalf("got root %v, error %v; want both", root, err)
			}
			if want := strings.Join(c.want, "\n"); err.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
		})
	}
}

func TestLongStringNamesItsOpeningQuote(t *testing.T) {
	_, err := Parse("f", []byte("a;\nb \"c\n"+strings.Repeat("x y;\n", maxWord)+"\";"))
	var first *Error
	if !errors.As(err, &first) || first.Pos.String() != "f:2:3" || !strings.Contains(first.Msg, "closing") {
		t.Errorf("got %.200v, want a mistake at f:2:3 about closing", err)
	}
}

func TestNestingIsBounded(t *testing.T) {
	for _, c := range []struct {
		depth int
		ok    bool
	}{{1, true}, {maxDepth, true}, {maxDepth + 1, false}} {
		_, err := Parse("f", []byte(strings.Repeat("a{", c.depth)+strings.Repeat("}", c.depth)))
		if (err == nil) != c.ok {
			t.Errorf("depth %d: %v; want success: %v", c.depth, err, c.ok)
		}
	}
}

func TestMistakesAreBounded(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("\"a b\n", 100_000)))
	errs, ok := err.(Errors)
	if !ok || len(errs) > maxMistakes+3 {
		t.Errorf("got %d mistakes, want ok true and at most %d", len(errs), maxMistakes+3)
	}
}

func TestIndentationNamesTheOpenBlock(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"inner block", "http {\n  server {\n    location / {\n      root /x;\n  }\n  server {\n    listen 80;\n  }\n}\n",
			`by its indentation, "location" opened at line 3 should end before line 5`},
		{"outer block", "http {\n  server {\n    listen 80;\n  server {\n    listen 81;\n  }\n}\n",
			`by its indentation, "server" opened at line 2 should end before line 4`},
		{"no indentation", "http {\nserver {\nlisten 80;\nserver {\nlisten 81;\n}\n}\n", ""},
		{"all on one line", "http { server { listen 80; }", ""},
	} {
		_, err := Parse("f", []byte(c.in))
		var e *Error
		if !errors.As(err, &e) || e.Hint != c.want {
			t.Errorf("%s: got %+v, want %q", c.name, e, c.want)
		}
	}
}

func TestAMissingSemicolonIsFoundInTheSwallowedLine(t *testing.T) {
	for _, c := range []struct {
		name, in, word, end string
	}{
		{"next directive", "a;\nroot /x\nindex y;", "index", "f:2:8"},
		{"without arguments", "internal\nroot /x;", "root", "f:1:9"},
		{"one line", "root /x y;", "", ""},
		{"a string of two lines is no next line", "a 'x\ny';", "", ""},
	} {
		root, err := Parse("f", []byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		n := root.Children[len(root.Children)-1]
		a, ok := n.SwallowedLine()
		at, also := n.UnterminatedAt()
		if ok != (c.word != "") || also != ok || a.Text != c.word || at.String() != c.end {
			t.Errorf("%s: got %q %s, want %q %s", c.name, a.Text, at, c.word, c.end)
		}
	}
}

func TestArgPastTheEnd(t *testing.T) {
	n := NewNode("a", "b")
	for i, want := range map[int]string{-1: "", 0: "b", 1: ""} {
		if got := n.Arg(i); got != want {
			t.Errorf("Arg(%d) = %q, want %q", i, got, want)
		}
	}
}

func TestErrorsSortByFileThenPlace(t *testing.T) {
	var errs Errors
	errs.Add(Pos{"b", 1, 1}, "1")
	errs.Add(Pos{"a", 2, 9}, "2")
	errs.Add(Pos{"a", 2, 3}, "3")
	errs.Add(Pos{"c", 1, 1}, "4")
	for _, c := range []struct {
		files []string
		want  string
	}{
		{nil, "b:1:1: 1\na:2:3: 3\na:2:9: 2\nc:1:1: 4"},
		{[]string{"a", "b"}, "a:2:3: 3\na:2:9: 2\nb:1:1: 1\nc:1:1: 4"},
		{[]string{"c"}, "c:1:1: 4\nb:1:1: 1\na:2:3: 3\na:2:9: 2"},
	} {
		got := append(Errors(nil), errs...)
		got.Sort(c.files...)
		if got.Error() != c.want {
			t.Errorf("%v: got (want %q):\n%s", c.files, c.want, got)
		}
	}
	var e *Error
	if !errors.As(errs.Err(), &e) || Errors(nil).Err() != nil {
		t.Errorf("the first of Errors is %v, no Errors are %v; want an *Error and nil", e, Errors(nil).Err())
	}
}

func TestAMistakeThatIsFoundTwiceIsToldOnce(t *testing.T) {
	var errs Errors
	at := Pos{File: "f", Line: 1, Col: 2}
	errs.Add(at, "a")
	errs.Add(at, "b")
	errs.Add(at, "a")
	errs.Add(Pos{File: "g", Line: 1, Col: 2}, "a")
	if got := errs.Err().Error(); got != "f:1:2: a\nf:1:2: b\ng:1:2: a" {
		t.Errorf("got %q, want %q", got, "f:1:2: a\nf:1:2: b\ng:1:2: a")
	}
}
