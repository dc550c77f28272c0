package config

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Context is a set of the blocks that any feature may put directives into.
type Context uint16

// The blocks that features share. Main is the file itself. A block with
// directives of one feature alone has no Context: see Directive.Inside.
const (
	Main Context = 1 << iota
	HTTP
	Server
	Location
	LocationIf
	ServerIf
	LimitExcept
)

// AnyBlock is every block that features share.
const AnyBlock = Main | HTTP | Server | Location | LocationIf | ServerIf

// AnyLevel is the usual set for directives that inherit: http, server, location.
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

// Arity bounds the number of a directive's arguments; Max < 0 means no bound.
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

// Setter gives a directive its meaning: it reads n into s's settings. An
// error without a position is placed at the directive.
type Setter func(s *Scope, n *Node) error

// Directive declares one word of the language, beside the behaviour it sets.
type Directive struct {
	Name string
	In   Context // where it may stand; 0 for one that another has Inside
	Args Arity
	// Block says that it takes { }. With Opens or Inside, the block is a Scope,
	// and Set is called with the new Scope before its directives are read.
	// Without them, Set reads n.Children itself (types, map) and the directive
	// counts as simple.
	Block bool
	// Opens makes the block one that features share: their directives of that
	// Context stand in it.
	Opens Context
	// Inside makes the block the feature's own: these directives stand in it,
	// and no others.
	Inside []Directive
	// Foreign is Schema.Foreign for what stands in the block and is not declared
	// Inside: it counts before what other blocks have by that name. It may be nil.
	Foreign func(name string) string
	// Repeat allows it several times in one block; otherwise the second is
	// an error, as nginx's "directive is duplicate".
	Repeat bool
	// NoEffect marks a directive of nginx that has no meaning here: it is
	// accepted, and `check -v` gives Help as the reason.
	NoEffect bool
	// Help is what `alicorn help NAME` prints: what it does, its default,
	// its unit and range, and where it differs from nginx.
	Help string
	// Syntax shows the arguments: "SIZE", "on | off", "URL=DIR ...".
	Syntax string
	// Default is the value in effect without it; empty when there is none.
	Default string
	Set     Setter

	parent *Directive // that has it Inside, or nil
}

// Where names the blocks that it may stand in, as the manual lists them:
// "http, server, location".
func (d *Directive) Where() string {
	if d.parent != nil {
		return d.parent.Name
	}
	return d.In.String()
}

// opensScope reports whether its block is a Scope.
func (d *Directive) opensScope() bool { return d.Opens != 0 || d.Inside != nil }

// standsIn reports whether it may stand in s.
func (d *Directive) standsIn(s *Scope) bool {
	if d.parent != nil {
		return d.parent == s.opener
	}
	return d.In&s.Context != 0
}

// both names the blocks that d and other may both stand in, or "".
func (d *Directive) both(other *Directive) string {
	if d.parent != nil && d.parent == other.parent {
		return d.parent.Name
	}
	return (d.In & other.In).String()
}

// compare orders by name, and then shared blocks before those of a feature.
func (d *Directive) compare(other *Directive) int {
	rank := func(d *Directive) int {
		if d.parent != nil {
			return math.MaxInt
		}
		return int(d.In)
	}
	return cmp.Or(strings.Compare(d.Name, other.Name), cmp.Compare(rank(d), rank(other)), strings.Compare(d.Where(), other.Where()))
}

// Settings is a Key of any type, as the Schema sees it.
type Settings interface {
	register(index int)
	defaults() any
	copyOf(any) any
	enter(s *Scope)
	leave(s *Scope) error
}

// Schema is the set of directives of one program. It is built once, from the
// ordered list of modules, and never changes afterwards.
type Schema struct {
	// Foreign explains a directive that no feature declares but nginx has: "nginx's
	// X is not here yet", or "". It may be nil.
	Foreign func(name string) string
	// ForeignNear is Foreign for a misspelled name: it explains the name of
	// nginx's that is most likely meant, or returns "". It may be nil.
	ForeignNear func(name string) string

	directives map[string][]*Directive
	settings   []Settings
}

// NewSchema returns an empty Schema.
func NewSchema() *Schema { return &Schema{directives: map[string][]*Directive{}} }

// Add declares a feature's settings (may be nil) and directives. It panics
// when two directives of one name share a context or one is malformed: both
// are mistakes of the program, found by any test that builds the Schema.
func (sc *Schema) Add(settings Settings, directives []Directive) {
	if settings != nil {
		settings.register(len(sc.settings))
		sc.settings = append(sc.settings, settings)
	}
	sc.addAll(nil, directives)
}

// addAll adds the directives that parent has Inside, or shared ones.
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

// Directives returns every declaration, sorted by name. Of one name those in
// shared blocks come first.
func (sc *Schema) Directives() []*Directive {
	var all []*Directive
	for _, ds := range sc.directives {
		all = append(all, ds...)
	}
	slices.SortFunc(all, (*Directive).compare)
	return all
}

// lookup finds the declaration of name for s. Without one it returns where the
// name may stand instead: "" where nobody declares it.
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

// namesIn returns the directives that may stand in s, sorted by name.
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
