package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leastStandstill is the shortest span that counts. A thread that goes before all others
// may be this late because the kernel itself is busy.
const leastStandstill = 2 * time.Millisecond

// lookEvery is how often each processor is looked at.
const lookEvery = time.Millisecond

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
