package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"alicorn/config"
)

type fruit struct {
	sweet  bool
	weight int64
	ripens time.Duration
	count  int
	name   string
	kinds  config.List[string]
	colour int
	opened string // by Enter
	left   string // by Leave
}

// orchard is a small language: basket { } in main, row { } in basket, both
// with the settings of fruit.
type orchard struct {
	key    *config.Key[fruit]
	schema *config.Schema
	left   []string
}

const (
	basket = config.HTTP
	row    = config.Server
	all    = config.Main | basket | row
)

func newOrchard() *orchard {
	o := &orchard{key: config.NewKey(func() fruit { return fruit{count: 3, name: "default"} }), schema: config.NewSchema()}
	k := o.key
	k.Enter = func(s *config.Scope, c *fruit) { c.opened = s.Node.Name; c.weight = 0 }
	k.Leave = func(s *config.Scope, c *fruit) error {
		o.left = append(o.left, s.Node.Name)
		if c.left = "left"; c.count == 13 {
			return errors.New("thirteen is unlucky")
		}
		return nil
	}
	d := func(name string, set config.Setter) config.Directive {
		return config.Directive{Name: name, In: all, Args: config.OneArg, Help: "Help.", Set: set}
	}
	o.schema.Add(k, []config.Directive{
		d("sweet", config.Flag(k, func(c *fruit) *bool { return &c.sweet })),
		d("weight", config.Size(k, func(c *fruit) *int64 { return &c.weight })),
		d("ripens", config.Duration(k, func(c *fruit) *time.Duration { return &c.ripens })),
		d("count", config.Int(k, 1, 20, func(c *fruit) *int { return &c.count })),
		d("name", config.String(k, func(c *fruit) *string { return &c.name })),
		d("colour", config.Enum(k, []config.Choice[int]{{Word: "red", Value: 1}, {Word: "green", Value: 2}}, func(c *fruit) *int { return &c.colour })),
		{Name: "kinds", In: all, Args: config.SomeArg, Repeat: true, Help: "Help.", Set: config.Strings(k, func(c *fruit) *config.List[string] { return &c.kinds })},
		{Name: "pips", In: row, Args: config.Arity{Min: 2, Max: 3}, Help: "Help.", Set: func(*config.Scope, *config.Node) error { return nil }},
		{Name: "sticker", In: all, Args: config.AnyArgs, Help: "nobody reads it.", NoEffect: true},
		{Name: "table", In: all, Args: config.NoArgs, Block: true, Help: "Help.", Set: func(s *config.Scope, n *config.Node) error {
			k.In(s).name = n.Children[0].Name
			return nil
		}},
		{Name: "basket", In: config.Main, Block: true, Opens: basket, Repeat: true, Args: config.AnyArgs, Help: "Help.",
			Set: func(s *config.Scope, n *config.Node) error {
				if n.Arg(0) == "broken" {
					return errors.New("the basket is broken")
				}
				return nil
			}},
		{Name: "row", In: basket, Block: true, Opens: row, Repeat: true, Args: config.NoArgs, Help: "Help."},
		{Name: "jar", In: basket, Block: true, Args: config.NoArgs, Help: "Help.", Inside: []config.Directive{
			{Name: "count", Args: config.OneArg, Help: "Help.", Set: config.Int(k, 100, 200, func(c *fruit) *int { return &c.count })},
			{Name: "lid", Args: config.NoArgs, Help: "Help.", Set: func(s *config.Scope, n *config.Node) error { k.In(s).kinds.Add(s, "lid"); return nil }},
			{Name: "label", Args: config.NoArgs, Block: true, Help: "Help.", Inside: []config.Directive{
				{Name: "ink", Args: config.OneArg, Help: "Help.", Set: config.String(k, func(c *fruit) *string { return &c.name })},
			}},
		}},
	})
	return o
}

func (o *orchard) read(t *testing.T, text string) (*config.Scope, *config.Load, error) {
	t.Helper()
	root, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l := &config.Load{Schema: o.schema, Resources: config.NewResources(nil), Prefix: "/prefix", ConfDir: "/conf"}
	s := l.Read(root)
	return s, l, l.Finish()
}

func (o *orchard) mustRead(t *testing.T, text string) (*config.Scope, *config.Load) {
	t.Helper()
	s, l, err := o.read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

func TestABlockOfAFeatureTakesTheDirectivesInsideItAndNoOthers(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, "count 5; basket { jar { count 120; lid; label { ink blue; } } }")
	jar := main.Blocks[0].Blocks[0]
	if c := o.key.In(jar); c.count != 120 || len(c.kinds.Items()) != 1 || c.name != "default" {
		t.Errorf(`the jar has %+v, want count 120, 1 Items and name "default"`, c)
	}
	if c := o.key.In(jar.Blocks[0]); c.name != "blue" || c.count != 120 {
		t.Errorf(`the label has %+v, want name "blue" and count 120`, c)
	}
	for _, c := range []struct{ text, want string }{
		{"basket { jar { weight 3k; } }", `f:1:16: directive "weight" is not allowed in "jar" (allowed in: main, http, server)`},
		{"basket { lid; }", `f:1:10: directive "lid" is not allowed in "basket" (allowed in: jar)`},
		{"basket { jar { ink red; } }", `f:1:16: directive "ink" is not allowed in "jar" (allowed in: label)`},
		{"basket { jar { label { count 120; } } }", `f:1:24: directive "count" is not allowed in "label" (allowed in: main, http, server, jar)`},
		{"basket { jar { lable { } } }", `did you mean "label"?`},
		{"basket { jar { wieght 3k; } }", `did you mean "weight"? It is not allowed in "jar" (allowed in: main, http, server)`},
		{"basket { jar { count 5; } }", `f:1:22: `},
	} {
		_, _, err := o.read(t, c.text)
		var first *config.Error
		if !errors.As(err, &first) || !strings.Contains(first.Error()+"; "+first.Hint, c.want) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
}

func TestBlocksStartWithTheirParentsSettingsWhereverThoseStand(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, "count 5; basket { row { sweet on; } row { name own; count 7; } name outer; } sweet off; colour green;")
	b := main.Blocks[0]
	first, second := *o.key.In(b.Blocks[0]), *o.key.In(b.Blocks[1])
	if !first.sweet || first.name != "outer" || first.count != 5 || first.colour != 2 {
		t.Errorf(`got %+v, want sweet true, name "outer", count 5 and colour 2`, first)
	}
	if second.sweet || second.name != "own" || second.count != 7 {
		t.Errorf(`got %+v, want sweet false, name "own" and count 7`, second)
	}
	if c := o.key.In(main); c.count != 5 || c.name != "default" || c.sweet {
		t.Errorf(`a block changed its parent: %+v; want count 5, name "default" and sweet false`, c)
	}
}

func TestListsAreDroppedByTheFirstOwnItem(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, "kinds a b; kinds c; basket { row { } row { kinds d; kinds e; } row { kinds f; } } kinds g;")
	for i, want := range []string{"a b c g", "d e", "f"} {
		if got := strings.Join(o.key.In(main.Blocks[0].Blocks[i]).kinds.Items(), " "); got != want {
			t.Errorf("row %d: got %q, want %q", i, got, want)
		}
	}
	if got := strings.Join(o.key.In(main).kinds.Items(), " "); got != "a b c g" {
		t.Errorf(`main: got %q; want "a b c g"`, got)
	}
}

// Two blocks that add to the same inherited list must not share its memory.
func TestListsOfSiblingsDoNotOverwriteEachOther(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, "basket { kinds a b c d e; row { kinds x y; } row { kinds p q; } row { } }")
	for i, want := range []string{"x y", "p q", "a b c d e"} {
		if got := strings.Join(o.key.In(main.Blocks[0].Blocks[i]).kinds.Items(), " "); got != want {
			t.Errorf("row %d: got %q, want %q", i, got, want)
		}
	}
}

func TestAClearedListIsEmptyUntilAnItemIsAdded(t *testing.T) {
	var l config.List[int]
	outer, inner := &config.Scope{}, &config.Scope{}
	l.Add(outer, 1)
	copied := l
	copied.Clear(inner)
	if len(copied.Items()) != 0 || len(l.Items()) != 1 {
		t.Errorf("got %v and %v; want nothing and one", copied.Items(), l.Items())
	}
	if copied.Add(inner, 2); len(copied.Items()) != 1 {
		t.Errorf("got %v, want one", copied.Items())
	}
}

func TestEnterAndLeaveSeeEveryBlockOnce(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, "weight 1k; basket { weight 2k; row { } row { weight 3k; } }")
	if got := strings.Join(o.left, " "); got != "row row basket " {
		t.Errorf(`left %q, want "row row basket "`, got)
	}
	b := main.Blocks[0]
	if c := o.key.In(b.Blocks[0]); c.weight != 0 || c.opened != "row" || c.left != "left" {
		t.Errorf(`Enter did not reset: %+v; want weight 0, opened "row" and left "left"`, c)
	}
	if c := o.key.In(b.Blocks[1]); c.weight != 3<<10 {
		t.Errorf("got %+v, want weight 3<<10", c)
	}
	if _, _, err := o.read(t, "basket { count 13; }"); err == nil || err.Error() != "f:1:1: thirteen is unlucky" {
		t.Errorf(`Leave's mistake: %v; want the error "f:1:1: thirteen is unlucky"`, err)
	}
}

func TestScopesKnowWhatTheySayThemselves(t *testing.T) {
	main, _ := newOrchard().mustRead(t, "name outer;\nbasket {\n count 2;\n row {\n kinds a;\n kinds b;\n }\n}")
	r := main.Blocks[0].Blocks[0]
	if r.Own("name") != nil || r.Own("kinds").Pos.Line != 6 || r.Nearest("name").Pos.Line != 1 || r.Nearest("count").Pos.Line != 3 || r.Nearest("sweet") != nil {
		t.Errorf("Own and Nearest are wrong: %v %v", r.Own("kinds"), r.Nearest("count"))
	}
	if r.Main() != main || r.Enclosing(basket) != main.Blocks[0] || r.Enclosing(row) != r || r.Enclosing(config.Location) != nil {
		t.Errorf("main is %p, the scopes around are %p, %p and %p; want %p, %p, %p and nil", r.Main(), r.Enclosing(basket), r.Enclosing(row),
			r.Enclosing(config.Location), main, main.Blocks[0], r)
	}
}

func TestEveryMistakeIsReportedInTheOrderOfTheFile(t *testing.T) {
	_, _, err := newOrchard().read(t, `name a b;
basket {
  nonsense x;
  row { swete on; colour blue; }
  pips 1 2;
}
pips 1 2;
sweet on; sweet off;
sweet maybe { }
table;
count 21;
basket broken { nam x; }
`)
	want := []string{
		`f:1:1: directive "name" takes 1 argument, not 2`,
		`f:3:3: unknown directive "nonsense"`,
		`f:4:9: unknown directive "swete"`,
		`f:4:26: colour: "blue" is not one of "red", "green"`,
		`f:5:3: directive "pips" is not allowed in "basket" (allowed in: server)`,
		`f:7:1: directive "pips" is not allowed in main (allowed in: server)`,
		`f:8:11: directive "sweet" is duplicate; the first is at f:8:1`,
		`f:9:1: directive "sweet" takes no block; it ends with ";"`,
		`f:10:1: directive "table" needs a block: table { ... }`,
		`f:11:7: count: "21" is not a whole number from 1 to 20`,
		`f:12:1: the basket is broken`,
		`f:12:17: unknown directive "nam"`,
	}
	if got := strings.Split(err.Error(), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", err, strings.Join(want, "\n"))
	}
}

func TestMistakesCarryWhatMayHelp(t *testing.T) {
	for _, c := range []struct{ text, pos, hint string }{
		{"swete on;", "f:1:1", `did you mean "sweet"?`},
		{"zzz on;", "f:1:1", ""},
		{"name a\nsweet on;", "f:1:7", `is the ";" missing at the end of line 1?`},
		{"\nname\nsweet on;", "f:2:5", `is the ";" missing at the end of line 2?`},
		{"name a b;", "f:1:1", ""},
		{"name a\n  b\nsweet on;", "f:1:7", `is the ";" missing at the end of line 1?`},
	} {
		_, _, err := newOrchard().read(t, c.text)
		var e *config.Error
		if !errors.As(err, &e) || e.Hint != c.hint || e.Pos.String() != c.pos {
			t.Errorf("%q: got %v (%+v), want a hint %q at %s", c.text, err, e, c.hint, c.pos)
		}
	}
}

func TestSettersRefuseWhatTheyCannotRead(t *testing.T) {
	for text, want := range map[string]string{
		"sweet yes;":   `f:1:7: "sweet" takes "on" or "off", not "yes"`,
		"weight x;":    `f:1:8: weight: "x" is not a size`,
		"weight 1t;":   `f:1:8: weight: "1t" is not a size`,
		"ripens soon;": `f:1:8: ripens: "soon" is not a time`,
		"count 0;":     `f:1:7: count: "0" is not a whole number from 1 to 20`,
		"count 1.5;":   `f:1:7: count: "1.5" is not a whole number`,
		"colour RED;":  `f:1:8: colour: "RED" is not one of "red", "green"`,
		"colour '';":   `f:1:8: colour: "" is not one of`,
	} {
		if _, _, err := newOrchard().read(t, text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestSettersKeepWhatTheyRead(t *testing.T) {
	o := newOrchard()
	main, _ := o.mustRead(t, `sweet ON; weight 2m; ripens "1d 2h"; count 20; name 'two words'; colour red; table { inside x; }`)
	c := o.key.In(main)
	if !c.sweet || c.weight != 2<<20 || c.ripens != 26*time.Hour || c.count != 20 || c.colour != 1 || c.name != "inside" {
		t.Errorf(`got %+v, want sweet true, weight 2<<20, ripens %v, count 20, colour 1 and name "inside"`, c, 26*time.Hour)
	}
}

func TestDirectivesWithoutEffectAreNotedForTheCurious(t *testing.T) {
	_, l := newOrchard().mustRead(t, "sticker a b;")
	want := config.Warning{Pos: config.Pos{File: "f", Line: 1, Col: 1}, Msg: `"sticker" has no effect here: nobody reads it.`, Verbose: true}
	if w := l.Warnings(); len(w) != 1 || w[0] != want {
		t.Errorf("got %+v, want one and %v", w, want)
	}
}

func TestDeferredChecksRunAfterEverythingWasReadAndMayDeferMore(t *testing.T) {
	o := newOrchard()
	var order []string
	o.schema.Add(nil, []config.Directive{{Name: "later", In: all, Args: config.NoArgs, Help: "Help.", Set: func(s *config.Scope, n *config.Node) error {
		s.Load().Defer(n.Pos, func() error {
			order = append(order, "first with "+o.key.In(s.Main()).name)
			s.Load().Defer(n.Pos, func() error {
				order = append(order, "second")
				return errors.New("no")
			})
			return nil
		})
		return nil
	}}})
	_, l, err := o.read(t, "later; name x;")
	if err == nil || err.Error() != "f:1:1: no" || strings.Join(order, ",") != "first with x,second" {
		t.Errorf(`got %v after %v; want the error "f:1:1: no" and "first with x,second"`, err, order)
	}
	if again := l.Finish(); again == nil || again.Error() != err.Error() || len(order) != 2 {
		t.Errorf("Finish again: %v, %v; want %v and 2 calls", again, order, err)
	}
}

func TestFinishTellsAMistakeThatWasFoundTwiceOnce(t *testing.T) {
	_, l := newOrchard().mustRead(t, "")
	for _, line := range []int{2, 1, 2} {
		l.Fail(config.Pos{File: "f", Line: line, Col: 1}, "no")
	}
	if err := l.Finish(); err == nil || err.Error() != "f:1:1: no\nf:2:1: no" {
		t.Errorf("got %v, want the error %q", err, "f:1:1: no\nf:2:1: no")
	}
}

func TestPathsStartFromPrefixAndConfiguration(t *testing.T) {
	_, l := newOrchard().mustRead(t, "")
	for _, c := range []struct{ got, want string }{
		{l.Path("logs/x"), "/prefix/logs/x"}, {l.Path("/abs"), "/abs"}, {l.Path(""), ""},
		{l.ConfPath("x.crt"), "/conf/x.crt"}, {l.ConfPath("/abs"), "/abs"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestSharedStateBelongsToOneLoad(t *testing.T) {
	type names struct{ n int }
	_, a := newOrchard().mustRead(t, "")
	_, b := newOrchard().mustRead(t, "")
	config.Shared(a, func() *names { return &names{1} }).n = 2
	if got := config.Shared(a, func() *names { return &names{3} }).n; got != 2 {
		t.Errorf("made again: %d; want 2", got)
	}
	if got := config.Shared(b, func() *names { return &names{4} }).n; got != 4 {
		t.Errorf("shared with another load: %d; want 4", got)
	}
}
