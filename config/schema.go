package config

import (
	"fmt"
	"slices"
	"strings"
)

// Context is a set of blocks that a directive may stand in.
type Context uint16

// The blocks of the language. Main is the file itself.
const (
	Main Context = 1 << iota
	Events
	HTTP
	Server
	Location
	LocationIf
	App
	ACMEIssuer
	ServerIf
)

// AnyLevel is the usual set for directives that inherit: http, server, location.
const AnyLevel = HTTP | Server | Location

var contextNames = []struct {
	c    Context
	name string
}{
	{Main, "main"}, {Events, "events"}, {HTTP, "http"}, {Server, "server"},
	{Location, "location"}, {ServerIf, "if in server"}, {LocationIf, "if in location"}, {App, "app"}, {ACMEIssuer, "acme_issuer"},
}

// String lists the contexts as the manual does: "http, server, location".
func (c Context) String() string {
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
	In   Context // where it may stand
	Args Arity
	// Block says that it takes { }. With Opens, the block is a Scope whose
	// directives stand in that context, and Set is called with the new Scope
	// before they are read; without, Set reads n.Children itself (types, map)
	// and the directive counts as simple.
	Block bool
	Opens Context
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
// ordered list of modules, and not changed afterwards.
type Schema struct {
	// Foreign says of a name that no feature has declared what it is elsewhere,
	// as "nginx's X is not here yet", or ""; nil: it knows none.
	Foreign func(name string) string
	// ForeignNear is Foreign of the name elsewhere that is most likely meant, in
	// whose words it is named; "": none is. It may be nil.
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
	for i := range directives {
		sc.add(&directives[i])
	}
}

func (sc *Schema) add(d *Directive) {
	if d.Name == "" || d.Help == "" || d.In == 0 || (d.Set == nil && !d.NoEffect && d.Opens == 0) {
		panic(fmt.Sprintf("directive %q lacks a name, context, help text or setter", d.Name))
	}
	for _, other := range sc.directives[d.Name] {
		if other.In&d.In != 0 {
			panic(fmt.Sprintf("directive %q is declared twice in %s", d.Name, other.In&d.In))
		}
	}
	sc.directives[d.Name] = append(sc.directives[d.Name], d)
}

// Directives returns every declaration, sorted by name then context.
func (sc *Schema) Directives() []*Directive {
	var all []*Directive
	for _, ds := range sc.directives {
		all = append(all, ds...)
	}
	slices.SortFunc(all, func(a, b *Directive) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return int(a.In) - int(b.In)
	})
	return all
}

// lookup finds the declaration of name in context, or nil with every context
// that the name is known in.
func (sc *Schema) lookup(name string, in Context) (*Directive, Context) {
	var elsewhere Context
	for _, d := range sc.directives[name] {
		if d.In&in != 0 {
			return d, 0
		}
		elsewhere |= d.In
	}
	return nil, elsewhere
}

func (sc *Schema) namesIn(in Context) []string {
	var names []string
	for name, ds := range sc.directives {
		if slices.ContainsFunc(ds, func(d *Directive) bool { return d.In&in != 0 }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
