package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"alicorn/proxy/proxytest"
)

// A configuration file of gunicorn's is a program with names of its own: what
// they hold keeps no setting from being read.
func TestValuesOfAGunicornConfigurationThatAreNoSettings(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	for _, c := range []struct {
		text string
		want any
	}{
		{`x = 30`, 30.0},
		{`x = 30.5`, 30.5},
		{`x = True`, true},
		{`x = None`, nil},
		{`x = ("a", 2)`, []any{"a", 2.0}},
		{`x = float("nan")`, "nan"},
		{`x = float("inf")`, "inf"},
		{`x = [-float("inf")]`, []any{"-inf"}},
		{`x = 10**400`, "an integer of 1329 bits"},
		{`x = [10**5000]`, []any{"an integer of 16610 bits"}},
		{"x = []\nx.append(x)", []any{"[[...]]"}},
		{"x = [{1: 2}]", []any{"{1: 2}"}},
		{"globals()[5] = 6\nx = 1", 1.0},
		{"class S(str): pass\nx = S('s')", "s"},
	} {
		file := filepath.Join(dir, "gunicorn.conf.py")
		if err := os.WriteFile(file, []byte(c.text+"\nworkers = 2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		values, err := evaluate(t.Context(), "/usr/bin/python3", file, owner{directory: dir})
		if err != nil || !reflect.DeepEqual(values["x"], c.want) || values["workers"] != 2.0 {
			t.Errorf("%q gives %v, %v; want %v", c.text, values, err, c.want)
		}
	}
}
