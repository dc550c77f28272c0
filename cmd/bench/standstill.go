package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"
)

// span is a time in which something stood still, in nanoseconds since 1970.
type span struct{ From, To int64 }

// standstills are the times, in order, in which no processor of the machine ran anything.
// The host of a virtual machine stops it in this way, for 10 to 20 ms at a time, when it has
// used more processor time than it may. Every program then waits, whatever it does.
type standstills []span

// within returns how long the machine stood still between two times.
func (s standstills) within(from, to time.Time) time.Duration {
	var sum int64
	for _, still := range s {
		sum += max(0, min(still.To, to.UnixNano())-max(still.From, from.UnixNano()))
	}
	return time.Duration(sum)
}

// total returns how long the machine stood still.
func (s standstills) total() time.Duration {
	var sum int64
	for _, still := range s {
		sum += still.To - still.From
	}
	return time.Duration(sum)
}

// both returns the times that are in spans of a and of b. Each list is in order.
func both(a, b []span) []span {
	var shared []span
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].From, b[0].From), min(a[0].To, b[0].To); from < to {
			shared = append(shared, span{from, to})
		}
		if a[0].To < b[0].To {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return shared
}

// machineWatch is a process that watches the processors; see runWatch.
type machineWatch struct {
	*assistant
	values *json.Decoder // what it writes
}

// watchMachine starts to watch. It needs root, or the right to real-time priorities.
func watchMachine() (*machineWatch, error) {
	a, err := startAssistant((*exec.Cmd).Start, "watch")
	if err != nil {
		return nil, fmt.Errorf("cannot watch the machine: %w", err)
	}
	w := &machineWatch{a, json.NewDecoder(a.stdout)}
	var watches bool
	if err := w.values.Decode(&watches); err != nil {
		return nil, fmt.Errorf("cannot watch the machine: %w", cmp.Or(w.assistant.end(func() {}), err))
	}
	return w, nil
}

// end ends the watch and returns what it has seen.
func (w *machineWatch) end() (seen standstills, err error) {
	ended := w.assistant.end(func() { err = w.values.Decode(&seen) })
	if err := cmp.Or(ended, err); err != nil {
		return nil, fmt.Errorf("cannot watch the machine: %w", err)
	}
	return seen, nil
}
