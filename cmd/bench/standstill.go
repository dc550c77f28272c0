package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
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

// leastStandstill is the shortest span that counts. A thread that goes before all others
// may be this late because the kernel itself is busy.
const leastStandstill = 2 * time.Millisecond

// lookEvery is how often each processor is looked at.
const lookEvery = time.Millisecond

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
	w.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
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

// runWatch is the process that watchMachine starts. It ends when its standard input ends. It
// writes two values: true once it watches, and at the end the standstills.
//
// On each processor a thread sleeps for lookEvery, over and over, with a real-time priority:
// the kernel runs it before every thread of other programs. While all of these threads are
// late, no program runs.
func runWatch(_ context.Context, args []string) error {
	if len(args) != 0 {
		return errors.New("usage: watch, as the hostile mode runs it")
	}
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	runtime.GOMAXPROCS(allowed.Count() + 1) // each of the threads keeps one while it sleeps
	var ended atomic.Bool
	var wg sync.WaitGroup
	begun, late := make(chan error, allowed.Count()), make([][]span, 0, allowed.Count())
	for cpu := range len(allowed) * 64 {
		if !allowed.IsSet(cpu) {
			continue
		}
		i := len(late)
		late = append(late, nil)
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			err := goFirst(cpu)
			begun <- err
			if err == nil {
				late[i] = watchProcessor(&ended)
			}
		}()
	}
	for range late {
		if err := <-begun; err != nil {
			return err
		}
	}
	values := json.NewEncoder(os.Stdout)
	err := values.Encode(true)
	io.Copy(io.Discard, os.Stdin)
	ended.Store(true)
	wg.Wait()
	seen := late[0]
	for _, other := range late[1:] {
		seen = both(seen, other)
	}
	seen = slices.DeleteFunc(seen, func(s span) bool { return s.To-s.From < int64(leastStandstill) })
	return errors.Join(err, values.Encode(standstills(seen)))
}

// goFirst keeps the calling thread on a processor, and lets it run before threads without a
// real-time priority.
func goFirst(cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(0, &attr, 0))
}

// watchProcessor returns the times in which the calling thread should have run and did not,
// until ended says so.
func watchProcessor(ended *atomic.Bool) []span {
	var late []span
	pause := unix.NsecToTimespec(int64(lookEvery))
	for !ended.Load() {
		due := time.Now().Add(lookEvery).UnixNano()
		// Go's scheduler does not know of this call, and so delays no return from it.
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
		if now := time.Now().UnixNano(); now-due > int64(lookEvery) {
			late = append(late, span{due, now})
		}
	}
	return late
}
