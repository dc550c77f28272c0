package proxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"alicorn/config"
)

// registry is the variables of one Load: the modules' own, and those that
// regular expressions define by named groups.
type registry struct {
	fixed    map[string]Getter
	lacks    map[string]string
	families []Variable
	slots    map[string]int
}

func registryOf(l *config.Load) *registry {
	return config.Shared(l, func() *registry {
		return &registry{fixed: map[string]Getter{}, lacks: map[string]string{}, slots: map[string]int{}}
	})
}

// Declare makes the modules' variables known to l. It is called once before
// the tree is read.
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

// Slot returns the place of a variable that the configuration itself defines,
// by a named group or, later, set and map.
func Slot(l *config.Load, name string) int {
	r := registryOf(l)
	slot, ok := r.slots[name]
	if !ok {
		slot = len(r.slots)
		r.slots[name] = slot
	}
	return slot
}

// ParseRegexp compiles the pattern of the directive at pos and declares the
// variables that its named groups define.
func ParseRegexp(l *config.Load, pos config.Pos, pattern string, fold bool) (*Regexp, error) {
	r, err := CompileRegexp(pattern, fold)
	if err != nil {
		return nil, err
	}
	if r.Backtracking() {
		l.Note(pos, "regular expression %q needs backtracking; a match is cut after %s", pattern, regexpTimeout)
	}
	for _, name := range r.names {
		slot := -1
		if name != "" {
			slot = Slot(l, name)
		}
		r.slots = append(r.slots, slot)
	}
	return r, nil
}

// SetVar gives the variable in slot a value for the rest of the exchange.
func (x *Exchange) SetVar(slot int, value string) {
	for len(x.vars) <= slot {
		x.vars = append(x.vars, "")
	}
	x.vars[slot] = value
}

func (r *registry) lookup(name string) (Getter, error) {
	if len(name) == 1 && name[0] >= '1' && name[0] <= '9' {
		return capture(int(name[0] - '0')), nil
	}
	if slot, ok := r.slots[name]; ok {
		return slotGetter(slot), nil
	}
	if g, ok := r.fixed[name]; ok {
		return g, nil
	}
	for _, f := range r.families {
		if rest, ok := strings.CutPrefix(name, f.Name); ok && rest != "" {
			return f.Family(rest), nil
		}
	}
	err := fmt.Errorf("unknown variable \"$%s\"", name)
	if why := r.lacks[name]; why != "" {
		return nil, fmt.Errorf("%w: %s", err, why)
	}
	if near := config.Nearest(name, slices.Sorted(maps.Keys(r.fixed))); near != "" {
		err = fmt.Errorf("%w; did you mean \"$%s\"?", err, near)
	}
	return nil, err
}

func capture(n int) Getter {
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		if n >= len(x.captures) {
			return dst, false
		}
		return append(dst, x.captures[n]...), true
	}
}

func slotGetter(slot int) Getter {
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		if slot >= len(x.vars) {
			return dst, false
		}
		return append(dst, x.vars[slot]...), true
	}
}

// split cuts text at "$name" and "${name}". A "$" that no name follows is an
// error, as in nginx.
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
