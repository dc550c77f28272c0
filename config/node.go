package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a configuration file. Line and Col count from 1; Col counts bytes. The
// nodes that a program builds have the zero Pos.
type Pos struct {
	File string
	Line int
	Col  int
}

// String returns "FILE:LINE:COL"; the file alone if there is no line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// FileLine is String without the column.
func (p Pos) FileLine() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Arg is one word after a directive's name.
type Arg struct {
	Text  string // the value: without quotes, with escapes resolved as in nginx
	Quote byte   // '"', '\'' or 0
	Pos   Pos    // of the first byte, which may be a quote
	Raw   string // as written; Print writes it instead of Text, unless it is empty

	fresh    bool      // it begins on a later line than the word before it
	comments []Comment // between the word before and this one
}

// End returns the position just past the word; the zero Pos if the word has no position.
func (a Arg) End() Pos {
	if a.Pos.Line == 0 {
		return a.Pos
	}
	return a.Pos.past(a.Raw)
}

// past returns the position after the text s that begins at p.
func (p Pos) past(s string) Pos {
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		p.Line += strings.Count(s, "\n")
		p.Col = len(s) - i
		return p
	}
	p.Col += len(s)
	return p
}

// Comment is one comment, from its '#' to the end of the line.
type Comment struct {
	Text  string // with the '#', without trailing white space
	Blank bool   // there is an empty line before it

	trails bool // it is on the line of the word before it
}

// Node is a directive: a name, arguments and, for a block, the directives in
// its braces. The root of a file is a Node without a name whose Block is true.
type Node struct {
	Name     string // the value of the first word: without quotes and escapes
	Pos      Pos    // of the name
	Raw      string // the name as written; Print writes it instead of Name, unless it is empty
	Args     []Arg
	Children []*Node
	Block    bool // written with braces
	Close    Pos  // of the '}'; the zero Pos for the root and for simple directives

	Comments []Comment // on lines of their own before the directive
	Blank    bool      // there is an empty line before the name
	Trailing string    // comment on the line of the ';' or '{'
	Footer   []Comment // on lines of their own before the '}'
	AfterEnd string    // comment on the line of the '}'
}

// NewNode builds a simple directive. Print quotes the words that need quotes.
func NewNode(name string, args ...string) *Node {
	n := &Node{Name: name}
	for _, text := range args {
		n.Args = append(n.Args, Arg{Text: text})
	}
	return n
}

// NewBlock builds a directive with braces around children.
func NewBlock(name string, args []string, children ...*Node) *Node {
	n := NewNode(name, args...)
	n.Block, n.Children = true, children
	return n
}

// Arg returns the text of argument i, counted from 0, and "" past the end.
func (n *Node) Arg(i int) string {
	if i < 0 || i >= len(n.Args) {
		return ""
	}
	return n.Args[i].Text
}

// SwallowedLine returns the first argument that is on a later line than the directive's
// name. If a directive has too many arguments, this argument probably is the next
// directive's name, and a ';' is missing at UnterminatedAt.
func (n *Node) SwallowedLine() (Arg, bool) {
	i := n.swallowed()
	if i < 0 {
		return Arg{}, false
	}
	return n.Args[i], true
}

// UnterminatedAt returns the position just past the word before the argument of
// SwallowedLine, where a missing ';' belongs.
func (n *Node) UnterminatedAt() (Pos, bool) {
	switch i := n.swallowed(); i {
	case -1:
		return Pos{}, false
	case 0:
		return n.nameEnd(), true
	default:
		return n.Args[i-1].End(), true
	}
}

func (n *Node) swallowed() int {
	return slices.IndexFunc(n.Args, func(a Arg) bool { return a.Pos.Line > n.Pos.Line })
}

// nameEnd returns the position just past the name.
func (n *Node) nameEnd() Pos {
	if n.Pos.Line == 0 {
		return n.Pos
	}
	return n.Pos.past(n.Raw)
}

// end returns the position just past the directive's last word.
func (n *Node) end() Pos {
	if len(n.Args) == 0 {
		return n.nameEnd()
	}
	return n.Args[len(n.Args)-1].End()
}

// Error is one mistake in a configuration.
type Error struct {
	Pos  Pos
	Msg  string
	Hint string // advice, a sentence without a full stop; often empty
}

// Error returns "FILE:LINE:COL: message", without the hint.
func (e *Error) Error() string {
	if e.Pos == (Pos{}) {
		return e.Msg
	}
	return e.Pos.String() + ": " + e.Msg
}

// Errors are the mistakes of one load, in the order in which they were found, until Sort.
type Errors []*Error

// Add appends a mistake.
func (e *Errors) Add(pos Pos, format string, args ...any) {
	e.AddHint(pos, "", format, args...)
}

// AddHint appends a mistake with a hint.
func (e *Errors) AddHint(pos Pos, hint, format string, args ...any) {
	*e = append(*e, &Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// Error joins the mistakes, one on each line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes, for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// Err returns each mistake once; nil if there is none. A mistake in a file that several
// servers include, or in a setting that they inherit, is found in each of them.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	type said struct {
		pos Pos
		msg string
	}
	found := make(map[said]bool, len(e))
	once := make(Errors, 0, len(e))
	for _, err := range e {
		if one := (said{err.Pos, err.Msg}); !found[one] {
			found[one] = true
			once = append(once, err)
		}
	}
	return once
}

// Sort orders the mistakes by file, line and column. The order of files is that of files
// (Tree.Files); others come after them, in the order of their first mistake.
func (e Errors) Sort(files ...string) {
	order := make(map[string]int)
	for _, name := range files {
		if _, ok := order[name]; !ok {
			order[name] = len(order)
		}
	}
	for _, err := range e {
		if _, ok := order[err.Pos.File]; !ok {
			order[err.Pos.File] = len(order)
		}
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(order[a.Pos.File], order[b.Pos.File]),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
}
