package appserver

import (
	"testing"

	"alicorn/config"
)

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
			rt := NewRuntime(Options{})
			app := newApp("web", config.Pos{})
			s := &service{name: "web"}
			pools := []*Pool{newPool(rt, app)}
			pools[0].cameUp = !tc.broken
			rt.use(s, pools[0])
			var attempts []*attempt
			for _, ends := range tc.ends {
				p := newPool(rt, app)
				pools = append(pools, p)
				attempts = append(attempts, rt.attempt(s, p))
				for _, e := range ends {
					if e.attempt == 0 {
						rt.giveUp(s)
						continue
					}
					p := pools[e.attempt]
					p.mu.Lock()
					if p.cameUp = !e.fails; e.fails {
						p.failed = &BootError{App: "web", Message: "it fails"}
					}
					p.decide(p.failed)
					p.mu.Unlock()
					<-attempts[e.attempt-1].settled
				}
			}
			for i, a := range attempts {
				if fate, err := a.outcome(t.Context()); fate != tc.fates[i] || (err != nil) != (fate == Failed) {
					t.Errorf("attempt %d: %s, %v, want %s", i+1, fate, err, tc.fates[i])
				}
			}
			if s.pool.Load() != pools[tc.serves] {
				t.Errorf("pool %d does not serve", tc.serves)
			}
			if a := rt.newest(s); a != nil {
				t.Error("an attempt is left")
			}
		})
	}
}
