package config_test

import (
	"fmt"
	"strings"
	"testing"

	"alicorn/config"
)

func TestMistakesInDeclarationsArePanics(t *testing.T) {
	set := func(*config.Scope, *config.Node) error { return nil }
	good := config.Directive{Name: "a", In: config.HTTP, Help: "Help.", Set: set}
	inside := config.Directive{Name: "a", Help: "Help.", Set: set}
	for _, c := range []struct {
		second config.Directive
		want   string
	}{
		{config.Directive{Name: "a", In: config.HTTP | config.Server, Help: "Help.", Set: set}, `"a" is declared twice in http`},
		{config.Directive{Name: "b", In: config.HTTP, Set: set}, "lacks a name, context, help text or setter"},
		{config.Directive{Name: "b", Help: "Help.", Set: set}, "lacks"},
		{config.Directive{In: config.HTTP, Help: "Help.", Set: set}, "lacks"},
		{config.Directive{Name: "b", In: config.HTTP, Help: "Help."}, "lacks"},
		{config.Directive{Name: "b", In: config.HTTP, Help: "Help.", Inside: []config.Directive{good}}, "lacks"},
		{config.Directive{Name: "b", In: config.HTTP, Help: "Help.", Inside: []config.Directive{inside, inside}}, `"a" is declared twice in b`},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}()
			config.NewSchema().Add(nil, []config.Directive{good, c.second})
		}()
	}
}

func TestOneNameMayMeanDifferentThingsInDifferentBlocks(t *testing.T) {
	set := func(*config.Scope, *config.Node) error { return nil }
	sc := config.NewSchema()
	sc.Add(nil, []config.Directive{
		{Name: "user", In: config.Main, Args: config.Arity{Min: 1, Max: 2}, Help: "Main.", Set: set},
		{Name: "pool", In: config.HTTP, Block: true, Help: "Pool.", Inside: []config.Directive{
			{Name: "user", Args: config.OneArg, Help: "Pool.", Set: set},
			{Name: "a", Help: "Pool.", NoEffect: true},
		}},
		{Name: "app", In: config.HTTP, Block: true, Help: "App.", Inside: []config.Directive{
			{Name: "user", Args: config.OneArg, Help: "App.", Set: set},
		}},
	})
	var got []string
	for _, d := range sc.Directives() {
		got = append(got, d.Name+" in "+d.Where())
	}
	if want := "a in pool,app in http,pool in http,user in main,user in app,user in pool"; strings.Join(got, ",") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestAritiesAndContextsReadAsTheManualHasThem(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{config.NoArgs.String(), "no arguments"}, {config.OneArg.String(), "1 argument"}, {config.TwoArgs.String(), "2 arguments"},
		{config.SomeArg.String(), "at least 1 argument"}, {config.Arity{Min: 1, Max: 3}.String(), "1 to 3 arguments"},
		{config.AnyLevel.String(), "http, server, location"}, {config.LocationIf.String(), "if in location"}, {(config.Main | config.HTTP).String(), "main, http"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
