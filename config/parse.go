package config

import (
	"bytes"
	"fmt"
)

const (
	maxDepth    = 64  // how deep blocks may be nested
	maxMistakes = 100 // after this many mistakes the rest of a file is not read
)

// Parse reads one file. It returns the root, which is never nil and has the directives
// that could be read, and all mistakes, as Errors. An include is a Node like any other; a
// Loader follows it.
func Parse(file string, src []byte) (*Node, error) {
	p := parser{root: &Node{Block: true, Pos: Pos{File: file, Line: 1, Col: 1}}}
	p.open = []*Node{p.root}
	p.lex = newLexer(file, src, &p.errs)
	if i := bytes.IndexByte(p.lex.src, 0); i >= 0 {
		p.lex.moveTo(i)
		p.errs.Add(p.lex.pos(), "unexpected NUL byte: this is not a text file")
		return p.root, p.errs
	}
	for p.step() {
	}
	p.errs.Sort()
	return p.root, p.errs.Err()
}

// parser builds nodes out of tokens, without recursion.
type parser struct {
	lex  *lexer
	errs Errors
	root *Node
	open []*Node // the blocks around the next directive, the root first
	cur  *Node   // the directive being read; nil between directives

	lead   []Comment // comments for the next directive, or for the block's end
	inside []Comment // comments for the next argument of cur
	trail  *string   // where a comment on the line of the last ';', '{' or '}' goes
}

// step reads one token. It returns false if there is nothing more to read.
func (p *parser) step() bool {
	t := p.lex.next()
	switch t.kind {
	case tokenEnd:
		p.end(t)
		return false
	case tokenComment:
		p.comment(t)
	case tokenWord:
		p.word(t)
	case tokenSemi:
		p.semi(t)
	case tokenOpen:
		if len(p.open) > maxDepth {
			p.errs.Add(t.pos, "blocks are nested deeper than %d", maxDepth)
			return false
		}
		p.openBlock(t)
	case tokenClose:
		p.closeBlock(t)
	}
	if len(p.errs) >= maxMistakes {
		p.errs.Add(t.pos, "too many mistakes, the rest of the file was not read")
		return false
	}
	return true
}

func (p *parser) comment(t token) {
	c := Comment{Text: t.text, Blank: t.newlines > 1, trails: t.newlines == 0}
	switch {
	case p.cur != nil:
		p.inside = append(p.inside, c)
	case c.trails && p.trail != nil && *p.trail == "":
		*p.trail = c.Text
	default:
		p.lead = append(p.lead, c)
	}
}

func (p *parser) word(t token) {
	if p.cur == nil {
		p.cur = &Node{Name: t.text, Raw: t.raw, Pos: t.pos, Comments: p.lead, Blank: t.newlines > 1}
		p.lead = nil
		return
	}
	p.cur.Args = append(p.cur.Args, Arg{
		Text: t.text, Quote: t.quote, Pos: t.pos, Raw: t.raw,
		fresh: t.newlines > 0, comments: p.inside,
	})
	p.inside = nil
}

func (p *parser) semi(t token) {
	if p.cur == nil {
		p.errs.Add(t.pos, `unexpected ";": there is no directive before it`)
		return
	}
	p.finish()
}

// finish ends the directive being read and appends it to its block.
func (p *parser) finish() {
	n := p.cur
	p.cur = nil
	block := p.open[len(p.open)-1]
	block.Children = append(block.Children, n)
	p.trail = &n.Trailing
	// Comments between the last word and its ';' or '{' move behind it.
	for i, c := range p.inside {
		if i == 0 && c.trails {
			n.Trailing = c.Text
			continue
		}
		p.lead = append(p.lead, c)
		p.trail = nil // a later comment must stay behind this one
	}
	p.inside = nil
}

func (p *parser) openBlock(t token) {
	if p.cur == nil {
		p.errs.Add(t.pos, `unexpected "{": there is no directive before it`)
		p.open = append(p.open, &Node{Block: true, Pos: t.pos})
		return
	}
	n := p.cur
	n.Block = true
	p.finish()
	p.open = append(p.open, n)
}

func (p *parser) closeBlock(t token) {
	p.unterminated()
	last := len(p.open) - 1
	if last == 0 {
		p.errs.Add(t.pos, `unexpected "}": no block is open`)
		return
	}
	n := p.open[last]
	p.open = p.open[:last]
	n.Close = t.pos
	n.Footer, p.lead = p.lead, nil
	p.trail = &n.AfterEnd
}

func (p *parser) end(t token) {
	p.unterminated()
	p.root.Footer = p.lead
	if len(p.open) == 1 {
		return
	}
	hint := suspect(p.root)
	for i := len(p.open) - 1; i > 0; i-- {
		n := p.open[i]
		name := "a block"
		if n.Name != "" {
			name = fmt.Sprintf("%q", n.Name)
		}
		p.errs.AddHint(t.pos, hint, `unexpected end of file: %s opened at line %d has no closing "}"`, name, n.Pos.Line)
	}
}

// unterminated records a mistake, and ends the directive, if a '}' or the end of the file
// comes before its ';'.
func (p *parser) unterminated() {
	if p.cur == nil {
		return
	}
	p.errs.Add(p.cur.end(), `directive %q is not terminated by ";"`, p.cur.Name)
	p.finish()
}

// suspect returns a hint that names the block whose '}' is most likely missing, or "". It
// looks at the indentation: that is the innermost block with a child that is indented no
// deeper than the block, or with a '}' that is indented less.
func suspect(n *Node) string {
	for _, c := range n.Children {
		if hint := suspect(c); hint != "" {
			return hint
		}
	}
	// In a file without indentation no conclusion is possible.
	if n.Name == "" || len(n.Children) == 0 || n.Children[0].Pos.Col <= n.Pos.Col {
		return ""
	}
	line := 0
	for _, c := range n.Children[1:] {
		if c.Pos.Col <= n.Pos.Col {
			line = c.Pos.Line
			break
		}
	}
	if line == 0 && n.Close.Line > n.Pos.Line && n.Close.Col < n.Pos.Col {
		line = n.Close.Line
	}
	if line <= n.Pos.Line {
		return ""
	}
	return fmt.Sprintf("by its indentation, %q opened at line %d should end before line %d", n.Name, n.Pos.Line, line)
}
