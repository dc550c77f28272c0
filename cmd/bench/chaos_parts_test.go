package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The load goes on after its duration until there was what the verdict needs.
func TestTheLoadLastsUntilThereWasEnough(t *testing.T) {
	act := func(context.Context, *chaos, *server) error { return nil }
	tests := []struct {
		name   string
		kind   disturbance
		acts   int // that there were, of two
		bodies []string
		enough bool
	}{
		{"nothing to do", disturbance{}, 0, nil, true},
		{"too few acts", disturbance{act: act}, 1, nil, false},
		{"all acts", disturbance{act: act}, 2, nil, true},
		{"no new worker", disturbance{act: act, replaces: true}, 2, []string{"1", "2", "1"}, false},
		{"new workers", disturbance{act: act, replaces: true}, 2, []string{"1", "2", "3"}, true},
		{"what the kind needs is missing", disturbance{enough: func(*chaos) bool { return false }}, 0, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &chaos{kind: test.kind, acts: 2, workers: 2}
			c.progress.reset()
			for range test.acts {
				c.progress.acted()
			}
			for _, body := range test.bodies {
				c.progress.answered([]byte(body))
			}
			if c.enough() != test.enough {
				t.Errorf("enough is %v, want %v", !test.enough, test.enough)
			}
		})
	}
}

func TestNoActStartsAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	acts := 0
	c := &chaos{every: time.Nanosecond, kind: disturbance{act: func(context.Context, *chaos, *server) error {
		acts++
		cancel()
		return nil
	}}}
	if d := c.disturb(ctx, nil); d.count != 1 || acts != 1 {
		t.Errorf("there were %d acts, %d counted, want one", acts, d.count)
	}
}

func TestAllFaultsCountAndTheFirstAreKept(t *testing.T) {
	var f faults
	if err := f.verdict("tries"); !errors.Is(err, errBroken) {
		t.Errorf("with no try the verdict is %v, want %v", err, errBroken)
	}
	f.add(nil)
	if err := f.verdict("tries"); err != nil {
		t.Error(err)
	}
	for range 3 * firstFaults {
		f.add(errors.New("lost"))
	}
	err := f.verdict("tries")
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "30 of 31 tries failed") || strings.Count(err.Error(), "lost") != firstFaults {
		t.Errorf(`verdict is %v, want %v, "30 of 31 tries failed" in it and "lost" %d times`, err, errBroken, firstFaults)
	}
}

func TestWhatIsLeftIsNamed(t *testing.T) {
	c := &chaos{workers: 2}
	base := remains{workers: 2, front: holdings{processes: 2, descriptors: 50, rss: 30 << 20}, goroutines: 20}
	tests := []struct {
		name string
		grow func(*remains)
		want string
	}{
		{"the same", func(*remains) {}, ""},
		{"a little more", func(r *remains) { r.front.descriptors, r.front.rss, r.goroutines = 58, 78<<20, 36 }, ""},
		{"a worker", func(r *remains) { r.workers = 3 }, "there are 3 worker processes, not 2"},
		{"a second front", func(r *remains) { r.front.processes = 3 }, "beside the workers there are 3 processes, not a keeper and a front"},
		{"descriptors", func(r *remains) { r.front.descriptors = 59 }, "keeper and front have 9 descriptors more"},
		{"memory", func(r *remains) { r.front.rss = 79 << 20 }, "keeper and front hold 49.0 MiB more"},
		{"goroutines", func(r *remains) { r.goroutines = 37 }, "the front has 17 goroutines more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after := base
			test.grow(&after)
			if got := strings.Join(append(c.strangers(after), after.beyond(base)...), "; "); got != test.want {
				t.Errorf("left is %q, want %q", got, test.want)
			}
		})
	}
}

func TestReloadsFatesAreRead(t *testing.T) {
	got := fatesIn("replaced  a: /srv/a/app.py has changed, and more\nfailed    b\nkept      c, d\n")
	want := map[string]string{"a": "replaced", "b": "failed", "c": "kept", "d": "kept"}
	if !maps.Equal(got, want) {
		t.Errorf("fates are %v, want %v", got, want)
	}
}

func TestFortyFatesMustBeExact(t *testing.T) {
	var kept, failed []string
	for n := range fortyApps {
		if n < fortyBroken {
			failed = append(failed, "failed    "+fortyName(n))
		} else if n != 7 {
			kept = append(kept, fortyName(n))
		}
	}
	out := "replaced  app7: it has changed\n" + strings.Join(failed, "\n") + "\nkept      bench, " + strings.Join(kept, ", ") + "\n"
	tests := []struct {
		name, out, deployed string
		holds               bool
	}{
		{"as deployed", out, "app7", true},
		{"another was deployed", out, "app8", false},
		{"nothing was deployed", out, "", false},
		{"one is missing", strings.Replace(out, ", app9", "", 1), "app7", false},
		{"one too many", out + "kept      app99\n", "app7", false},
	}
	for _, test := range tests {
		if err := fortyFates(test.out, test.deployed); (err == nil) != test.holds {
			t.Errorf("%s: %v, want it to hold: %v", test.name, err, test.holds)
		}
	}
}

func TestWorkersAreKeptButForTheDeployed(t *testing.T) {
	before := map[string][]int{"a": {1}, "b": {2, 3}}
	tests := []struct {
		name     string
		after    map[string][]int
		deployed string
		holds    bool
	}{
		{"all kept", before, "", true},
		{"one replaced", map[string][]int{"a": {9}, "b": {2, 3}}, "a", true},
		{"another replaced too", map[string][]int{"a": {9}, "b": {2, 8}}, "a", false},
		{"not replaced", before, "a", false},
		{"one gone", map[string][]int{"a": {1}}, "", false},
	}
	for _, test := range tests {
		if err := workersKept(before, test.after, test.deployed); (err == nil) != test.holds {
			t.Errorf("%s: %v, want it to hold: %v", test.name, err, test.holds)
		}
	}
}

// A process that has taken over from another is followed to its end, though it is
// no child of ours.
func TestASuccessorIsFollowed(t *testing.T) {
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next, err := (&process{name: "cat"}).follow(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if next.exited() || next.pid() != cmd.Process.Pid || proc.startOf(next.pid()) == "" {
		t.Errorf("%d runs; exited: %v, start %q", next.pid(), next.exited(), proc.startOf(next.pid()))
	}
	stdin.Close()
	<-next.done // as a zombie: nobody has waited for it
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !proc.ended(next.pid()) || proc.startOf(next.pid()) != "" {
		t.Errorf("process %d, start %q, has not ended", next.pid(), proc.startOf(next.pid()))
	}
	if err := next.signal(os.Interrupt); err != nil {
		t.Error(err)
	}
}

func TestFewDescriptorsAreALimitOfTheProgram(t *testing.T) {
	path, args := limited(64, "/bin/sh", "-c", "ulimit -n; echo $#", "name", "a b")
	out, err := exec.Command(path, args...).CombinedOutput()
	if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, []string{"64", "1"}) {
		t.Errorf("output is %q, %v; want %v", out, err, []string{"64", "1"})
	}
}
