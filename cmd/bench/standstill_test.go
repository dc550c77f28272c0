package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheMachineStandsStillWhileNoProcessorRuns(t *testing.T) {
	tests := []struct {
		name       string
		a, b, want []span
	}{
		{"none", nil, nil, nil},
		{"one processor", []span{{10, 20}}, nil, nil},
		{"at different times", []span{{10, 20}}, []span{{20, 30}}, nil},
		{"the same time", []span{{10, 20}}, []span{{10, 20}}, []span{{10, 20}}},
		{"parts", []span{{10, 20}, {30, 40}}, []span{{5, 12}, {18, 35}}, []span{{10, 12}, {18, 20}, {30, 35}}},
		{"one inside another", []span{{0, 100}}, []span{{10, 20}, {30, 40}}, []span{{10, 20}, {30, 40}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := both(test.a, test.b); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := both(test.b, test.a); !slices.Equal(got, test.want) {
				t.Errorf("the other way round: got %v, want %v", got, test.want)
			}
		})
	}
}

func TestStandstillsCountForNoRequest(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	seen := standstills{{at(100).UnixNano(), at(120).UnixNano()}, {at(200).UnixNano(), at(210).UnixNano()}}
	tests := []struct {
		name     string
		from, to int64
		want     time.Duration
	}{
		{"before", 0, 100, 0},
		{"between", 120, 200, 0},
		{"across one", 90, 130, 20},
		{"across both", 0, 300, 30},
		{"begins in one", 115, 205, 10},
		{"inside one", 105, 110, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := seen.within(at(test.from), at(test.to)); got != test.want*time.Millisecond {
				t.Errorf("got %v, want %d ms", got, test.want)
			}
		})
	}
	if got := seen.total(); got != 30*time.Millisecond {
		t.Errorf("in all %v, want 30 ms", got)
	}
}

// A process that is stopped sees what it would see on a machine that stands still.
func TestStandstillsAreSeen(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, "alicorn/cmd/bench").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "watch")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	values := json.NewDecoder(stdout)
	var watches bool
	if err := values.Decode(&watches); err != nil {
		cmd.Wait()
		if want := "sched_setattr: operation not permitted"; !strings.Contains(stderr.String(), want) {
			t.Fatalf("it does not watch: %v, %q, want that, or %q where that is not allowed", err, stderr.String(), want)
		}
		return
	}
	from := time.Now()
	cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(100 * time.Millisecond)
	cmd.Process.Signal(syscall.SIGCONT)
	to := time.Now()
	stdin.Close()
	var seen standstills
	if err := values.Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &stderr)
	}
	if got := seen.within(from, to); got < 80*time.Millisecond {
		t.Errorf("of %v that it was stopped it has seen %v: %v", to.Sub(from), got, seen)
	}
}

// Each process that startNicer starts is nicer than this one, which stays as it is.
func TestOnlyTheStartedProcessIsNicer(t *testing.T) {
	niceness := func(start func(*exec.Cmd) error) int {
		cmd := exec.Command("nice")
		var out strings.Builder
		cmd.Stdout = &out
		if err := start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	own := niceness((*exec.Cmd).Start)
	for range 3 {
		if got, want := niceness(startNicer), min(own+10, 19); got != want {
			t.Errorf("the started process has %d, want %d", got, want)
		}
	}
	if got := niceness((*exec.Cmd).Start); got != own {
		t.Errorf("this process has %d, want %d as before", got, own)
	}
}
