package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Format returns the file in the layout of Print. Formatting the result again changes
// nothing. For a file with mistakes Format returns Errors.
func Format(file string, src []byte) ([]byte, error) {
	root, err := Parse(file, src)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := Print(&buf, root); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Print writes a tree as text that parses to an equal tree. There is one directive on
// each line, indented with four spaces for each block, with one space between words, and
// at most one empty line in a row. Comments, the spelling of words, and line breaks between
// arguments (indented once) stay. Words of nodes that a program has built are quoted if
// they must be. A word that cannot be quoted, with a NUL byte or more than 16 KiB, is an
// error.
func Print(w io.Writer, root *Node) error {
	var p printer
	if root.Name == "" && root.Block {
		p.body(root, 0)
	} else {
		p.node(root, 0)
	}
	if p.err != nil {
		return p.err
	}
	_, err := w.Write(p.buf.Bytes())
	return err
}

type printer struct {
	buf bytes.Buffer
	err error
}

// body prints what is between a block's braces.
func (p *printer) body(n *Node, depth int) {
	first := true
	blank := func(wanted bool) {
		if wanted && !first {
			p.buf.WriteByte('\n')
		}
		first = false
	}
	comments := func(list []Comment) {
		for _, c := range list {
			blank(c.Blank)
			p.indent(depth)
			p.comment(c.Text)
			p.buf.WriteByte('\n')
		}
	}
	for _, child := range n.Children {
		comments(child.Comments)
		blank(child.Blank)
		p.node(child, depth)
	}
	comments(n.Footer)
}

func (p *printer) node(n *Node, depth int) {
	p.indent(depth)
	p.word(Arg{Text: n.Name, Raw: n.Raw})
	for i, a := range n.Args {
		p.arg(n, i, a, depth+1)
	}
	if !n.Block {
		p.buf.WriteByte(';')
		p.trailing(n.Trailing)
		return
	}
	if len(n.Children) == 0 && len(n.Footer) == 0 && n.Trailing == "" {
		p.buf.WriteString(" {}")
		p.trailing(n.AfterEnd)
		return
	}
	p.buf.WriteString(" {")
	p.trailing(n.Trailing)
	p.body(n, depth+1)
	p.indent(depth)
	p.buf.WriteByte('}')
	p.trailing(n.AfterEnd)
}

// arg prints argument i, and before it what separates it from the word before.
func (p *printer) arg(n *Node, i int, a Arg, depth int) {
	for _, c := range a.comments {
		if c.trails {
			p.buf.WriteByte(' ')
		} else {
			p.buf.WriteByte('\n')
			p.indent(depth)
		}
		p.comment(c.Text)
	}
	switch {
	case a.fresh:
		p.buf.WriteByte('\n')
		p.indent(depth)
	case a.Quote == 0 && strings.HasPrefix(a.Text, ")") && p.endsQuoted(n, i):
		// if ($a = "b"): the parenthesis is a word, but needs no space before it.
	default:
		p.buf.WriteByte(' ')
	}
	p.word(a)
}

// endsQuoted reports whether the word before argument i was printed in quotes.
func (p *printer) endsQuoted(n *Node, i int) bool {
	before := n.Raw
	if i > 0 {
		before = n.Args[i-1].Raw
	}
	return before != "" && (before[0] == '"' || before[0] == '\'')
}

// trailing ends the line, after the comment if there is one.
func (p *printer) trailing(text string) {
	if text != "" {
		p.buf.WriteByte(' ')
		p.comment(text)
	}
	p.buf.WriteByte('\n')
}

// comment prints a comment. It adds the '#', which a comment of a program may not have.
func (p *printer) comment(text string) {
	if !strings.HasPrefix(text, "#") {
		text = "# " + text
	}
	p.buf.WriteString(strings.ReplaceAll(text, "\n", " "))
}

func (p *printer) indent(depth int) {
	for range depth {
		p.buf.WriteString("    ")
	}
}

func (p *printer) word(a Arg) {
	text := a.Raw
	if text == "" {
		text = a.Text
		if a.Quote != 0 || !isBare(text) {
			text = quoted(text, a.Quote)
		}
		if p.err == nil && (strings.IndexByte(text, 0) >= 0 || len(text) >= maxWord) {
			p.err = fmt.Errorf("cannot print %.20q: it has a NUL byte or more than %d bytes", a.Text, maxWord)
		}
	}
	p.buf.WriteString(text)
}

// isBare reports whether text without quotes is read as this one word.
func isBare(text string) bool {
	var errs Errors
	l := newLexer("", []byte(text), &errs)
	t := l.next()
	return t.kind == tokenWord && t.quote == 0 && t.text == text && t.raw == text && len(errs) == 0 &&
		!strings.HasSuffix(text, `\`)
}

// quoted returns text in quotes of this kind; with 0 it chooses the kind.
func quoted(text string, quote byte) string {
	if quote == 0 {
		quote = '"'
		if strings.Contains(text, `"`) && !strings.Contains(text, "'") {
			quote = '\''
		}
	}
	out := []byte{quote}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote,
			c == '\\' && (i+1 == len(text) || strings.IndexByte(`"'\trn`, text[i+1]) >= 0):
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(append(out, quote))
}
