package appserver

import (
	"log/slog"
	"testing"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/config"
)

// gates is a Launcher for pools whose workers come up, or end, when the test says so.
type gates struct {
	t   *testing.T
	all []*gate // of the pools in the order in which they were made
}

type gate struct {
	pooltest.Fakes
	decided chan struct{}
	ready   bool
}

func newGates(t *testing.T) *gates { return &gates{t: t} }

func (g *gates) For(string) func(pool.Order) (pool.Process, error) {
	one := &gate{decided: make(chan struct{})}
	one.Script = (*pooltest.Fake).Serve
	one.Boot = func(f *pooltest.Fake) bool {
		select {
		case <-one.decided:
			return one.ready
		case <-f.Killed:
			return false
		}
	}
	g.all = append(g.all, one)
	g.t.Cleanup(one.Wait)
	return one.Launch
}

// open has the workers of the pool come up, or end.
func (g *gate) open(ready bool) {
	g.ready = ready
	close(g.decided)
}

// Attempts are numbered from 1 in the order in which they begin; the pool that
// serves before is number 0.
func TestAttemptsSucceedThePoolThatServes(t *testing.T) {
	type end struct {
		attempt int
		fails   bool
	}
	for _, tc := range []struct {
		name   string
		broken bool // what serves before does not
		ends   [][]end
		fates  []Fate // of the attempts
		serves int
	}{
		{"one comes up", false, [][]end{{{1, false}}}, []Fate{Replaced}, 1},
		{"one fails", false, [][]end{{{1, true}}}, []Fate{Failed}, 0},
		{"one fails and nothing serves", true, [][]end{{{1, true}}}, []Fate{Failed}, 1},
		{"the second of three makes room for the third", false, [][]end{{}, {}, {{1, false}, {3, false}}}, []Fate{Replaced, Replaced, Replaced}, 3},
		{"the first fails before the second comes up", false, [][]end{{}, {{1, true}, {2, false}}}, []Fate{Replaced, Replaced}, 2},
		{"both fail and nothing serves", true, [][]end{{}, {{1, true}, {2, true}}}, []Fate{Failed, Failed}, 2},
		{"the second comes up before the first", false, [][]end{{}, {{2, false}}}, []Fate{Replaced, Replaced}, 2},
		{"they are given up", false, [][]end{{}, {{0, false}}}, []Fate{Kept, Kept}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newGates(t)
			rt := NewRuntime(Options{Launcher: l})
			rt.imports = pool.NewImports(8)
			s := &service{name: "web"}
			begin := func() *version {
				app := newApp("web", config.Pos{})
				app.Workers = 1
				app.programs = []*program{app.wsgiProgram("m:app")}
				v := newVersion(rt, app)
				v.service = s
				v.start(func() *slog.Logger { return nil })
				t.Cleanup(func() { v.Stop(ended()) })
				return v
			}
			versions := []*version{begin()}
			l.all[0].open(!tc.broken)
			if err := versions[0].Await(t.Context()); (err != nil) != tc.broken {
				t.Fatal(err)
			}
			rt.use(s, versions[0])
			var attempts []*attempt
			for _, ends := range tc.ends {
				v := begin()
				versions = append(versions, v)
				attempts = append(attempts, rt.attempt(s, v))
				for _, e := range ends {
					if e.attempt == 0 {
						rt.giveUp(s)
						continue
					}
					l.all[e.attempt].open(!e.fails)
					<-attempts[e.attempt-1].settled
				}
			}
			for i, a := range attempts {
				if fate, err := a.outcome(t.Context()); fate != tc.fates[i] || (err != nil) != (fate == Failed) {
					t.Errorf("attempt %d: %s, %v, want %s", i+1, fate, err, tc.fates[i])
				}
			}
			if s.version.Load() != versions[tc.serves] {
				t.Errorf("version %d does not serve, want version %v", tc.serves, versions[tc.serves])
			}
			if a := rt.newest(s); a != nil {
				t.Errorf("attempt %+v is left, want none", a)
			}
		})
	}
}
