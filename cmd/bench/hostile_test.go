package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// latencies makes a tally of n answers of which the slowest two took slow.
func latencies(n int, usual, slow time.Duration, failures int) *tally {
	t := newTally()
	for i := range n {
		took := usual
		if i >= n-2 {
			took = slow
		}
		t.latencies = append(t.latencies, took)
	}
	if failures > 0 {
		t.failures["status 502"] = failures
	}
	return t
}

func TestVerdictOnAttacks(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name  string
		quiet time.Duration // slowest
		slow  time.Duration
		fails int
		holds bool
		other time.Duration // slowest during the same attacks on another server; 0: not measured
	}{
		{"as quick as in quiet", 20 * ms, 20 * ms, 0, true, 0},
		{"twice as slow", 20 * ms, 40 * ms, 0, true, 0},
		{"slower than that", 20 * ms, 41 * ms, 0, false, 0},
		{"slow, below the floor", 1 * ms, 16 * ms, 0, true, 0},
		{"slow, above the floor", 1 * ms, 17 * ms, 0, false, 0},
		{"a request that failed", 20 * ms, 20 * ms, 1, false, 0},
		{"slow, as elsewhere", 20 * ms, 100 * ms, 0, true, 50 * ms},
		{"slower than elsewhere", 20 * ms, 101 * ms, 0, false, 50 * ms},
		{"slower than a quick server elsewhere", 20 * ms, 40 * ms, 0, true, 5 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &hostile{load: steady{errands: []errand{{name: "page"}}}, factor: 2, floor: 8 * ms}
			var out strings.Builder
			var quiet, attacked measured
			for range 3 {
				quiet.take([]*tally{latencies(100, ms, test.quiet, 0)})
			}
			attacked.add(measured{name: "an attack", tries: 7})
			attacked.take([]*tally{latencies(100, ms, test.slow, test.fails)})
			attacked.take([]*tally{latencies(100, ms, time.Hour, 0)}) // one noisy round does not count
			attacked.take([]*tally{latencies(100, ms, test.slow, 0)})
			if test.other > 0 {
				elsewhere := measured{name: "an attack"}
				elsewhere.take([]*tally{latencies(100, ms, test.other, 0)})
				attacked.addElsewhere(elsewhere)
			}
			err := h.report(&out, "alicorn", quiet, []measured{attacked})
			if (err == nil) != test.holds || err != nil && !errors.Is(err, errBroken) {
				t.Errorf("report = %v, want it to hold: %v", err, test.holds)
			}
			if row := regexp.MustCompile(`(?m)^\| an attack +\| +7 \|`); !row.MatchString(out.String()) {
				t.Errorf("no row matches %s in:\n%s", row, &out)
			}
		})
	}
}

func TestAnAttackThatTriedNothingProvesNothing(t *testing.T) {
	h := &hostile{load: steady{rate: 100, visitors: 1}}
	tried := make(chan struct{})
	close(tried)
	h.launch = func(group []attack, _ target) (*launched, error) {
		return &launched{tried: tried, end: func() (map[string]int64, error) { return map[string]int64{"a": 3, "b": 0}, nil }}, nil
	}
	_, err := h.beside(t.Context(), "", []attack{{name: "a"}, {name: "b"}}, target{}, time.Millisecond)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "the attack b tried nothing") {
		t.Errorf(`error is %v, want %v and "the attack b tried nothing" in it`, err, errBroken)
	}
}

func TestChooseAttacks(t *testing.T) {
	all, err := chooseAttacks("")
	if err != nil || len(all) != len(attacks()) {
		t.Errorf("%d attacks, %v, want all", len(all), err)
	}
	seen := map[string]bool{}
	for _, a := range all {
		if a.name == "" || a.does == "" || seen[a.name] {
			t.Errorf("the attack %q is unnamed, undescribed or twice there", a.name)
		}
		seen[a.name] = true
	}
	if some, err := chooseAttacks("regex,crashes"); err != nil || len(some) != 2 || some[1].name != "crashes" {
		t.Errorf(`chosen are %v, %v; want 2 of them and "crashes"`, some, err)
	}
	if _, err := chooseAttacks("regexp"); err == nil || !strings.Contains(err.Error(), `unknown attack "regexp"`) {
		t.Errorf("error is %v, want an error with %q", err, `unknown attack "regexp"`)
	}
}

// Steady visitors ask at their times, however slow the answers are: a server that
// was away for a while is charged for every request that was due.
func TestSteadyVisitorsCountFromWhenTheyWereDue(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requests := 0
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 { // one visitor: never two at once
			time.Sleep(100 * time.Millisecond)
		}
		if requests == 20 {
			cancel()
		}
		io.WriteString(w, "page")
	}))
	defer backend.Close()
	s := &steady{addr: backend.Listener.Addr().String(), errands: []errand{{"page", "/", "page"}}, visitors: 1, rate: 1000, fresh: 5, report: io.Discard}
	sums, _, err := s.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, took := range sums[0].latencies {
		if took > 50*time.Millisecond {
			late++
		}
	}
	if sums[0].failed() > 0 || late < 10 {
		t.Errorf("%d of %d answers count as late, want at least 10; failures %v", late, len(sums[0].latencies), sums[0].failures)
	}
}

// alicornProgram builds this module's alicorn.
func alicornProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alicorn")
	if out, err := exec.Command("go", "build", "-o", path, "alicorn/cmd/alicorn").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestNobodyIsHarmedByAttacks is a sample of the hostile mode: attacks side by side
// for a moment. It asks nothing of latencies, only that each attack was
// tried, that no ordinary request failed, and that the server stops when told to.
func TestNobodyIsHarmedByAttacks(t *testing.T) {
	h := &hostile{rounds: 1, quiet: 100 * time.Millisecond, duration: time.Second, load: steady{rate: 50}, factor: 1e9, launch: assailWithin}
	if err := h.choose(""); err != nil {
		t.Fatal(err)
	}
	h.groups = h.groups[len(h.groups)-1:]
	if err := h.measure(t.Context(), "alicorn="+alicornProgram(t)); err != nil {
		t.Error(err)
	}
}

// assailWithin attacks from within this process.
func assailWithin(group []attack, t target) (*launched, error) {
	ctx, cancel := context.WithCancel(context.Background())
	tried, tries := make(chan struct{}), make(chan map[string]int64, 1)
	go func() { tries <- assail(ctx, group, t, func() { close(tried) }) }()
	return &launched{tried: tried, end: func() (map[string]int64, error) {
		cancel()
		return <-tries, nil
	}}, nil
}

// The load goes on until each attack has tried something, however late that is.
func TestTheLoadWaitsForTheFirstTries(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") }))
	defer backend.Close()
	late := attack{name: "late", run: func(a *assault, ctx context.Context) {
		if sleep(ctx, 200*time.Millisecond) {
			a.tries.Add(1)
		}
	}}
	h := &hostile{launch: assailWithin, load: steady{addr: backend.Listener.Addr().String(), errands: []errand{{"page", "/", "page"}},
		rate: 100, visitors: 1, fresh: 50, report: io.Discard}}
	if m, err := h.beside(t.Context(), "", []attack{late}, target{}, time.Millisecond); err != nil || m.tries != 1 {
		t.Errorf("the attack tried %d times, %v; want 1", m.tries, err)
	}
}

func TestAnAttackerReportsItsFirstTriesAtOnce(t *testing.T) {
	tests := []struct {
		name, out string
		tries     int64
		fails     bool
	}{
		{"both values", "true\n{\"a\":3}\n", 3, false},
		{"an attacker that died", "", 0, true},
		{"one that died later", "true\n", 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tried := make(chan struct{})
			report := readAttack(strings.NewReader(test.out), tried)
			<-tried
			if (report.err != nil) != test.fails || report.tries["a"] != test.tries {
				t.Errorf("report is %+v, want an error: %v, and %d tries of a", report, test.fails, test.tries)
			}
		})
	}
}
