package config

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Context is a set of the blocks into which any feature may put directives.
type Context uint16

// The blocks that features share. Main is the file itself. A block with the directives of
// one feature alone has no Context: see Directive.Inside.
const (
	Main Context = 1 << iota
	HTTP
	Server
	Location
	LocationIf
	ServerIf
	LimitExcept
)

// AnyBlock is every block that features share, except limit_except.
const AnyBlock = Main | HTTP | Server | Location | LocationIf | ServerIf

// AnyLevel is the usual set for directives that blocks inherit: http, server, location.
const AnyLevel = HTTP | Server | Location

var contextNames = []struct {
	c    Context
	name string
}{
	{Main, "main"}, {HTTP, "http"}, {Server, "server"},
	{Location, "location"}, {ServerIf, "if in server"}, {LocationIf, "if in location"}, {LimitExcept, "limit_except"},
}

// String lists the contexts as the manual does: "http, server, location".
func (c Context) String() string {
	if c == AnyBlock {
		return "any"
	}
	var names []string
	for _, e := range contextNames {
		if c&e.c != 0 {
			names = append(names, e.name)
		}
	}
	return strings.Join(names, ", ")
}

// Arity bounds the number of a directive's arguments. A negative Max means no bound.
type Arity struct{ Min, Max int }

// The usual arities.
var (
	NoArgs  = Arity{0, 0}
	OneArg  = Arity{1, 1}
	TwoArgs = Arity{2, 2}
	AnyArgs = Arity{0, -1}
	SomeArg = Arity{1, -1}
)

// String describes the arity for error messages: "1 argument", "2 to 3 arguments".
func (a Arity) String() string {
	plural := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return fmt.Sprintf("%d arguments", n)
	}
	switch {
	case a.Max == 0:
		return "no arguments"
	case a.Max < 0:
		return "at least " + plural(a.Min)
	case a.Min == a.Max:
		return plural(a.Min)
	}
	return fmt.Sprintf("%d to %s", a.Min, plural(a.Max))
}

// Setter gives a directive its meaning: it reads n into the settings of s. An error
// without a position gets that of the directive.
type Setter func(s *Scope, n *Node) error

// Directive declares one directive of the language.
type Directive struct {
	Name string
	In   Context // the blocks where it may be; 0 for a directive that is Inside another
	Args Arity
	// Block says that the directive has { }. With Opens or Inside, the block is a Scope,
	// and Set is called with the new Scope before the directives in it are read. Without
	// them Set reads n.Children itself (types, map), and the directive counts as simple.
	Block bool
	// Opens makes the block one that features share: it takes the directives of this
	// Context.
	Opens Context
	// Inside makes the block the feature's own: it takes these directives, and no others.
	Inside []Directive
	// Repeat allows the directive several times in one block. Otherwise the second one is
	// an error, as with nginx's "directive is duplicate".
	Repeat bool
	// NoEffect marks a directive of nginx that has no meaning here. It is accepted, and
	// `check -v` prints Help as the reason.
	NoEffect bool
	// Help is the text of `alicorn help NAME`: what the directive does, its unit and
	// range, and where it differs from nginx.
	Help string
	// Syntax shows the arguments: "SIZE", "on | off", "URL=DIR ...".
	Syntax string
	// Default is the value in effect without the directive; "" if there is none.
	Default string
	Set     Setter

	parent *Directive // the directive that has this one Inside; nil: none
}

// Where names the blocks where the directive may be, as the manual lists them:
// "http, server, location".
func (d *Directive) Where() string {
	if d.parent != nil {
		return d.parent.Name
	}
	return d.In.String()
}

// opensScope reports whether the directive's block is a Scope.
func (d *Directive) opensScope() bool { return d.Opens != 0 || d.Inside != nil }

// standsIn reports whether the directive may be in s.
func (d *Directive) standsIn(s *Scope) bool {
	if d.parent != nil {
		return d.parent == s.opener
	}
	return d.In&s.Context != 0
}

// both names the blocks where both d and other may be, or returns "".
func (d *Directive) both(other *Directive) string {
	if d.parent != nil && d.parent == other.parent {
		return d.parent.Name
	}
	return (d.In & other.In).String()
}

// compare orders directives by name, and those in shared blocks before those in a
// feature's own.
func (d *Directive) compare(other *Directive) int {
	rank := func(d *Directive) int {
		if d.parent != nil {
			return math.MaxInt
		}
		return int(d.In)
	}
	return cmp.Or(strings.Compare(d.Name, other.Name), cmp.Compare(rank(d), rank(other)), strings.Compare(d.Where(), other.Where()))
}

// Settings is a Key of any type.
type Settings interface {
	register(index int)
	defaults() any
	copyOf(any) any
	enter(s *Scope)
	leave(s *Scope) error
}

// Schema is the set of directives of one program. It is built once, from the ordered list
// of modules, and does not change after that.
type Schema struct {
	// Foreign returns the message for a directive that nginx has but no feature declares,
	// or "". It may be nil.
	Foreign func(name string) string
	// ForeignNear returns the hint for a misspelt name that is most likely one of nginx's,
	// or "". It may be nil.
	ForeignNear func(name string) string

	directives map[string][]*Directive
	settings   []Settings
}

// NewSchema returns an empty Schema.
func NewSchema() *Schema { return &Schema{directives: map[string][]*Directive{}} }

// Add declares a feature's settings, which may be nil, and directives. It panics if two
// directives of one name may be in the same block, or one is malformed. Both are mistakes
// of the program, which any test that builds the Schema finds.
func (sc *Schema) Add(settings Settings, directives []Directive) {
	if settings != nil {
		settings.register(len(sc.settings))
		sc.settings = append(sc.settings, settings)
	}
	sc.addAll(nil, directives)
}

// addAll adds the directives that are Inside parent; with a nil parent those of shared
// blocks.
func (sc *Schema) addAll(parent *Directive, directives []Directive) {
	for i := range directives {
		d := &directives[i]
		d.parent = parent
		sc.add(d)
		sc.addAll(d, d.Inside)
	}
}

func (sc *Schema) add(d *Directive) {
	if d.Name == "" || d.Help == "" || (d.In == 0) == (d.parent == nil) || (d.Set == nil && !d.NoEffect && !d.opensScope()) {
		panic(fmt.Sprintf("directive %q lacks a name, context, help text or setter", d.Name))
	}
	for _, other := range sc.directives[d.Name] {
		if where := d.both(other); where != "" {
			panic(fmt.Sprintf("directive %q is declared twice in %s", d.Name, where))
		}
	}
	sc.directives[d.Name] = append(sc.directives[d.Name], d)
}

// Directives returns all directives, sorted by name. Of one name, those in shared blocks
// come first.
func (sc *Schema) Directives() []*Directive {
	var all []*Directive
	for _, ds := range sc.directives {
		all = append(all, ds...)
	}
	slices.SortFunc(all, (*Directive).compare)
	return all
}

// lookup returns the directive name for s. If there is none, it returns the names of the
// blocks where a directive of that name may be, "" if there is none at all.
func (sc *Schema) lookup(name string, s *Scope) (*Directive, string) {
	var shared Context
	var own []string
	for _, d := range sc.directives[name] {
		if d.standsIn(s) {
			return d, ""
		}
		if shared |= d.In; d.parent != nil {
			own = append(own, d.parent.Name)
		}
	}
	if shared != 0 {
		own = append([]string{shared.String()}, own...)
	}
	return nil, strings.Join(own, ", ")
}

// namesIn returns the names of the directives that may be in s, sorted.
func (sc *Schema) namesIn(s *Scope) []string {
	var names []string
	for name, ds := range sc.directives {
		if slices.ContainsFunc(ds, func(d *Directive) bool { return d.standsIn(s) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
