package proxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"alicorn/config"
)

// registry is the variables of one Load: those of modules, and those that the configuration
// defines.
type registry struct {
	fixed    map[string]Getter
	lacks    map[string]string
	families []Variable
	slots    map[string]*definition // by name in lower case
	// remembersBody says that the configuration names $request_body.
	remembersBody bool
}

// definition is a variable that the configuration defines.
type definition struct {
	slot     int
	assigned bool // set defines it: before that it is empty
	captured bool // a named group defines it: without a match it is not found

	rule    Rule // computes it; nil: no rule does
	rulePos config.Pos
	keep    bool // a request computes it once
}

// variable is the value of such a variable in an Exchange.
type variable struct {
	text      string
	known     bool
	computing bool // its rule is being evaluated
}

func registryOf(l *config.Load) *registry {
	return config.Shared(l, func() *registry {
		return &registry{fixed: map[string]Getter{}, lacks: map[string]string{}, slots: map[string]*definition{}}
	})
}

// Declare makes the modules' variables known to l. It is called once, before the
// configuration is read.
func Declare(l *config.Load, modules []Module) {
	r := registryOf(l)
	for _, m := range modules {
		for _, v := range m.Variables {
			switch {
			case v.Family != nil:
				r.families = append(r.families, v)
			case v.Lacks != "":
				r.lacks[v.Name] = v.Lacks
			default:
				r.fixed[v.Name] = v.Get
			}
		}
	}
}

// Define returns the slot of a variable that a set directive assigns. Reading the variable
// before that gives the empty string, and with Core.WarnUnset logs a warning, once for a
// request. A variable of a family (http_x, arg_x) has the family's value before that. The
// name of any other variable of a module is an error.
func Define(l *config.Load, name string) (slot int, err error) {
	d, err := registryOf(l).define(name)
	if err != nil {
		return 0, err
	}
	d.assigned = true
	return d.slot, nil
}

func (r *registry) define(name string) (*definition, error) {
	name = strings.ToLower(name)
	if _, fixed := r.fixed[name]; fixed || r.lacks[name] != "" {
		return nil, fmt.Errorf("the variable \"$%s\" is the server's own and cannot be defined again", name)
	}
	d := r.slots[name]
	if d == nil {
		d = &definition{slot: len(r.slots)}
		r.slots[name] = d
	}
	return d, nil
}

// ParseRegexp compiles the pattern of the directive at pos, and defines the variables of
// its named groups. fold makes the pattern ignore case.
func ParseRegexp(l *config.Load, pos config.Pos, pattern string, fold bool) (*Regexp, error) {
	r, err := CompileRegexp(pos, pattern, fold)
	if err != nil {
		return nil, err
	}
	if r.Backtracking() {
		l.Note(pos, "regular expression %q needs backtracking; a request whose match takes longer than %s is answered 500", pattern, regexpTimeout)
	}
	for _, name := range r.names {
		slot := -1
		if name != "" {
			d, err := registryOf(l).define(name)
			if err != nil {
				return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
			}
			slot, d.captured = d.slot, true
		}
		r.slots = append(r.slots, slot)
	}
	return r, nil
}

// SetVar sets the variable in slot for the rest of the exchange.
func (x *Exchange) SetVar(slot int, value string) {
	v := x.variable(slot)
	v.text, v.known = value, true
}

// lookup returns the Getter of a variable. As in nginx, the case of its name does not
// matter.
func (r *registry) lookup(name string) (Getter, error) {
	name = strings.ToLower(name)
	if len(name) == 1 && name[0] >= '1' && name[0] <= '9' {
		return capture(int(name[0] - '0')), nil
	}
	if d := r.slots[name]; d != nil {
		return d.getter(name, r.familyOf(name)), nil
	}
	if g, ok := r.fixed[name]; ok {
		r.remembersBody = r.remembersBody || name == requestBody
		return g, nil
	}
	if g := r.familyOf(name); g != nil {
		return g, nil
	}
	err := fmt.Errorf("unknown variable \"$%s\"", name)
	if why := r.lacks[name]; why != "" {
		return nil, fmt.Errorf("%w: %s", err, why)
	}
	if theirs := nginxVariable(name); theirs != "" {
		return nil, errors.New(theirs)
	}
	if near := config.Nearest(name, slices.Sorted(maps.Keys(r.fixed))); near != "" {
		err = fmt.Errorf("%w; did you mean \"$%s\"?", err, near)
	}
	return nil, err
}

func (r *registry) familyOf(name string) Getter {
	for _, f := range r.families {
		if rest, ok := strings.CutPrefix(name, f.Name); ok && rest != "" {
			return f.Family(rest)
		}
	}
	return nil
}

func capture(n int) Getter {
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		if n >= len(x.captures) {
			return dst, false
		}
		return append(dst, x.captures[n]...), true
	}
}

// getter returns the Getter of d. family is that of a family that has the name too, or nil.
func (d *definition) getter(name string, family Getter) Getter {
	if d.rule != nil {
		return d.computed(name)
	}
	slot, empty := d.slot, d.assigned && !d.captured
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		if slot < len(x.vars) && x.vars[slot].known {
			return append(dst, x.vars[slot].text...), true
		}
		if empty && family != nil {
			return family(x, dst)
		}
		if empty {
			x.SetVar(slot, "")
			if x.Core().WarnUnset {
				x.Log(LevelWarn, "using uninitialized %q variable", name)
			}
		}
		return dst, empty
	}
}

// split cuts text at "$name" and "${name}". As in nginx, a "$" without a name is an error.
func split(text string) ([]Piece, error) {
	var pieces []Piece
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return append(pieces, Piece{Literal: text}), nil
		}
		if i > 0 {
			pieces = append(pieces, Piece{Literal: text[:i]})
		}
		name, rest, err := variableName(text[i+1:])
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, Piece{Name: name})
		text = rest
	}
	return pieces, nil
}

func variableName(s string) (name, rest string, err error) {
	braces := strings.HasPrefix(s, "{")
	if braces {
		s = s[1:]
	}
	n := 0
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	if n > 0 && s[0] >= '0' && s[0] <= '9' {
		n = 1 // "$10" is "$1" and "0"
	}
	switch {
	case n == 0:
		return "", "", fmt.Errorf("\"$\" is followed by no variable name")
	case braces && (n == len(s) || s[n] != '}'):
		return "", "", fmt.Errorf("the closing \"}\" of variable \"${%s\" is missing", s[:n])
	case braces:
		return s[:n], s[n+1:], nil
	}
	return s[:n], s[n:], nil
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
