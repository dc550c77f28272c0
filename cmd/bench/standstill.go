package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	cmd    *exec.Cmd
	stdin  io.Closer
	values *json.Decoder
	stderr *strings.Builder
}

// watchMachine starts to watch. It needs root, or the right to real-time priorities.
func watchMachine() (*machineWatch, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &machineWatch{cmd: exec.Command(self, "watch"), stderr: new(strings.Builder)}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.cmd.Stderr = w.stderr
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	w.values = json.NewDecoder(stdout)
	var watches bool
	if err := w.values.Decode(&watches); err != nil {
		w.stdin.Close()
		w.cmd.Wait()
		return nil, fmt.Errorf("cannot watch the machine: %s", strings.TrimSpace(w.stderr.String()))
	}
	return w, nil
}

// end ends the watch and returns what it has seen.
func (w *machineWatch) end() (standstills, error) {
	w.stdin.Close()
	var seen standstills
	read := w.values.Decode(&seen)
	if err := errors.Join(read, w.cmd.Wait()); err != nil {
		return nil, fmt.Errorf("cannot watch the machine: %w\n%s", err, w.stderr)
	}
	return seen, nil
}
