package proxy

import (
	"strings"
	"unsafe"

	"alicorn/config"
)

// Getter appends a variable's value to dst. found is false for what nginx calls "not
// found": a string shows nothing for it, a log shows "-".
type Getter func(x *Exchange, dst []byte) (value []byte, found bool)

// Variable declares one variable, or a family by prefix (http_, arg_).
type Variable struct {
	Name string // without "$"
	Get  Getter
	// Family makes the Getter for a name that begins with Name; rest is what follows. It
	// returns nil if there is no such variable.
	Family func(rest string) Getter
	// Lacks says why this variable of nginx is not available.
	// Exactly one of Get, Family and Lacks is set.
	Lacks string
}

// Template is a compiled text with variables, such as a directive's value. The zero value
// is the empty string. A Template can be used once its Load has finished.
type Template struct {
	text  string // the whole text if there are no variables
	parts []part
}

type part struct {
	literal string
	get     Getter
}

// FixedTemplate returns the Template of a text without variables, in which "$" is an
// ordinary character.
func FixedTemplate(text string) *Template { return &Template{text: text} }

// Static returns the text, and true if the template has no variables.
func (t *Template) Static() (string, bool) { return t.text, len(t.parts) == 0 }

// IsEmpty reports whether the template is the empty string.
func (t *Template) IsEmpty() bool { return t == nil || t.text == "" && len(t.parts) == 0 }

// Append appends the value for x. A variable that is not found adds nothing.
func (t *Template) Append(x *Exchange, dst []byte) []byte {
	if len(t.parts) == 0 {
		return append(dst, t.text...)
	}
	for i := range t.parts {
		p := &t.parts[i]
		if p.get == nil {
			dst = append(dst, p.literal...)
		} else {
			dst, _ = p.get(x, dst)
		}
	}
	return dst
}

// String returns the value for x, in memory that nothing else uses.
func (t *Template) String(x *Exchange) string {
	if len(t.parts) == 0 {
		return t.text
	}
	b := t.Append(x, make([]byte, 0, 64))
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has these bytes
}

// Piece is a part of a template, for callers that format values themselves: logs escape
// variables, but not literals. A Piece has either Literal, or Name and Get.
type Piece struct {
	Literal string
	Name    string
	Get     Getter
}

// ParseTemplate compiles text of the directive at pos. Unknown variables are reported when
// l finishes, as later directives may define them.
func ParseTemplate(l *config.Load, pos config.Pos, text string) *Template {
	t := &Template{text: text}
	if !strings.Contains(text, "$") {
		return t
	}
	ParsePieces(l, pos, text, func(pieces []Piece) {
		for _, p := range pieces {
			t.parts = append(t.parts, part{p.Literal, p.Get})
		}
		t.text = ""
	})
	return t
}

// ParsePieces splits text at its variables. It calls done with the pieces when l finishes:
// all variables are defined then. It records mistakes in l.
func ParsePieces(l *config.Load, pos config.Pos, text string, done func([]Piece)) {
	pieces, err := split(text)
	if err != nil {
		l.FailWith(pos, err)
		return
	}
	l.Defer(pos, func() error {
		for i := range pieces {
			if pieces[i].Name == "" {
				continue
			}
			g, err := registryOf(l).lookup(pieces[i].Name)
			if err != nil {
				return err
			}
			pieces[i].Get = g
		}
		done(pieces)
		return nil
	})
}

// ParseVariable calls done with the Getter of the variable name when l finishes: all
// variables are defined then. It records mistakes in l.
func ParseVariable(l *config.Load, pos config.Pos, name string, done func(Getter)) {
	l.Defer(pos, func() error {
		g, err := registryOf(l).lookup(name)
		if err == nil {
			done(g)
		}
		return err
	})
}

// SetTemplate returns a Setter for a value with variables.
func SetTemplate[T any](k *config.Key[T], field func(c *T) **Template) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		*field(k.In(s)) = ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		return nil
	}
}
