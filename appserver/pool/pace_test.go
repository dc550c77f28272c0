package pool

import (
	"testing"
	"time"
)

// The steps that a gait goes through, at times in milliseconds.
func progress(now int) func(*gait) {
	return func(g *gait) { g.progressed(int64(now)*int64(time.Millisecond), 1) }
}

func look(now, waiting, outstanding int) func(*gait) {
	return func(g *gait) { g.look(int64(now)*int64(time.Millisecond), waiting, outstanding) }
}

func rest(now int) func(*gait) {
	return func(g *gait) { g.rest(int64(now) * int64(time.Millisecond)) }
}

func TestAGaitFollowsItsTables(t *testing.T) {
	full, lie := (*gait).blocked, func(g *gait) { g.distrust() }
	for _, c := range []struct {
		name   string
		steps  []func(*gait)
		trust  trust
		queues queueing
	}{
		{"new", nil, starts, queuesMany},
		{"short job", []func(*gait){progress(1)}, starts, queuesMany},
		{"long job", []func(*gait){progress(21)}, starts, queuesNone},
		{"job that runs long", []func(*gait){look(21, 0, 1)}, starts, queuesNone},
		{"rest after a long job", []func(*gait){progress(21), rest(22)}, starts, queuesMany},
		{"jobs wait for a short time", []func(*gait){look(19, 2, 2)}, starts, queuesMany},
		{"jobs wait for long", []func(*gait){look(21, 2, 2)}, stuck, queuesNone},
		{"stuck, and one starts", []func(*gait){look(21, 2, 2), look(22, 1, 2)}, onTrial, queuesNone},
		{"stuck, and all start", []func(*gait){look(21, 2, 2), look(22, 0, 2)}, starts, queuesNone},
		{"stuck, and one ends", []func(*gait){look(21, 2, 2), progress(22)}, starts, queuesNone},
		{"stuck, without jobs, soon", []func(*gait){look(21, 2, 2), rest(40)}, stuck, queuesMany},
		{"stuck, without jobs, later", []func(*gait){look(21, 2, 2), rest(41)}, onTrial, queuesMany},
		{"stuck on trial", []func(*gait){look(21, 2, 2), rest(41), look(62, 1, 1)}, stuck, queuesNone},
		{"full", []func(*gait){full}, starts, takesOne},
		{"full and late", []func(*gait){full, look(21, 0, 1)}, starts, takesOne},
		{"full at rest", []func(*gait){full, rest(1)}, starts, takesOne},
		{"full, and one ends", []func(*gait){full, progress(1)}, starts, queuesMany},
		{"full, and a long one ends", []func(*gait){full, progress(21)}, starts, queuesNone},
		{"distrusted", []func(*gait){lie}, distrusted, queuesMany},
		{"distrusted for good", []func(*gait){lie, look(21, 2, 2), look(22, 0, 2), progress(30), rest(99)}, distrusted, queuesMany},
		{"stuck, then distrusted", []func(*gait){look(21, 2, 2), lie, rest(99)}, distrusted, queuesMany},
	} {
		g := newGait()
		for _, step := range c.steps {
			step(&g)
		}
		if g.trust != c.trust || g.queues != c.queues {
			t.Errorf("%s: trust %d and queueing %d, want %d and %d", c.name, g.trust, g.queues, c.trust, c.queues)
		}
	}
	g := newGait()
	if first, second := g.distrust(), g.distrust(); !first || second {
		t.Errorf("distrust says that it is new: %v, then %v; want true, then false", first, second)
	}
}
