package appserver

import (
	"log/slog"
	"testing"

	"alicorn/appserver/pool"
	"alicorn/config"
)

// An app with two programs has a pool for each. A new version takes over once both have come
// up, and not at all when one of them fails.
func TestBothProgramsOfAnAppAreReplacedOrNone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opens  []bool // of the two new pools, in this order
		second bool   // the second opens first
		want   Fate
	}{
		{"both come up", []bool{true, true}, false, Replaced},
		{"both come up, the second first", []bool{true, true}, true, Replaced},
		{"the first fails", []bool{false, true}, false, Failed},
		{"the second fails", []bool{true, false}, false, Failed},
		{"the second fails first", []bool{true, false}, true, Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newGates(t)
			rt := NewRuntime(Options{Launcher: l})
			rt.imports = pool.NewImports(8)
			s := &service{name: "web"}
			begin := func() *version {
				app := newApp("web", config.Pos{})
				app.Workers = 1
				app.programs = []*program{app.wsgiProgram("m:app"), app.wsgiProgram("m:other")}
				v := newVersion(rt, app)
				v.service = s
				v.start(func() *slog.Logger { return nil })
				t.Cleanup(func() { v.Stop(ended()) })
				return v
			}
			old := begin()
			l.all[0].open(true)
			l.all[1].open(true)
			if err := old.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			rt.use(s, old)
			next := begin()
			a := rt.attempt(s, next)
			order := []int{0, 1}
			if tc.second {
				order = []int{1, 0}
			}
			for i, which := range order {
				l.all[2+which].open(tc.opens[which])
				if i == 0 && tc.opens[which] {
					if err := next.runners[which].Pool.Await(t.Context()); err != nil {
						t.Fatal(err)
					}
					if s.version.Load() != old {
						t.Error("got the new version, want the old one until both programs are ready")
					}
				}
			}
			<-a.settled
			if fate, err := a.outcome(t.Context()); fate != tc.want || (err != nil) != (fate == Failed) {
				t.Errorf("got %s, %v, want %s", fate, err, tc.want)
			}
			serves, ends := next, old
			if tc.want == Failed {
				serves, ends = old, next
			}
			if s.version.Load() != serves {
				t.Errorf("version %p serves, want %p", s.version.Load(), serves)
			}
			for _, r := range ends.runners {
				<-r.Pool.Done()
			}
			if !serves.Serves() {
				t.Error("got a program that does not serve, want that all serve")
			}
		})
	}
}

func TestAProgramHasItsKindsSettings(t *testing.T) {
	app := newApp("site", config.Pos{})
	app.Workers, app.asgi.workers = 3, 2
	w, g := app.wsgiProgram("m:app"), app.asgiProgram("n:app", true, false)
	if w.Name != "site" || w.Kind != "wsgi" || w.Workers != 3 || w.Program != "m:app" {
		t.Errorf(`wsgi: %+v; want Name "site", Kind "wsgi", Workers 3 and Program "m:app"`, w.Settings)
	}
	if g.Name != "site/asgi" || g.Kind != "asgi" || g.Workers != 2 || g.Program != "n:app" || g.Threads != 1 {
		t.Errorf(`asgi: %+v; want Name "site/asgi", Kind "asgi", Workers 2, Program "n:app" and Threads 1`, g.Settings)
	}
	if g.Heartbeat != app.Timeout {
		t.Errorf("the event loop may stand still for %s, want the timeout, %s", g.Heartbeat, app.Timeout)
	}
	if got := AppOf(g.Name); got != "site" {
		t.Errorf(`AppOf(%q) is %q; want "site"`, g.Name, got)
	}
	app.asgi.stall = 0
	if g = app.asgiProgram("n:app", false, true); g.Heartbeat != 0 || g.Name != "site" || g.Workers != 3 {
		t.Errorf("asgi alone, stall_timeout off: got %+v, want no heartbeat, the name site and 3 workers", g.Settings)
	}
}
