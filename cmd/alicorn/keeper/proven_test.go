package keeper

import (
	"testing"

	"alicorn/appserver"
)

// A version of an app is proven once all its programs have come up, and not by halves of two
// versions.
func TestAVersionIsProvenByAllItsPrograms(t *testing.T) {
	app := func() *appserver.App {
		f := newFixture(t, "app a { wsgi m:app; asgi m:other for websocket; directory DIR; python /usr/bin/python3; }")
		return f.pending.app("a")
	}
	p := newProven()
	one, two := app(), app()
	for _, step := range []struct {
		run  run
		want *appserver.App
	}{
		{run{one, "wsgi"}, nil}, {run{one, "wsgi"}, nil}, {run{one, "asgi"}, one},
		{run{two, "wsgi"}, one}, {run{one, "asgi"}, one}, {run{two, "asgi"}, two},
	} {
		if p.add(step.run); p.apps["a"] != step.want {
			t.Errorf("after %s of version %v: the wrong version is proven", step.run.kind, step.run.app == two)
		}
	}
}
