package pool

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Imports bounds how many workers import their application at the same time, as more than there
// are CPUs would only delay all of them. Pools take turns, so that each app has its first worker
// before one has its second. A worker that waits, such as for a database, does not count, so
// that it does not delay others.
type Imports struct {
	limit int

	mu      sync.Mutex
	running int
	line    []*Pool // pools that wait for their turn, in order
}

// NewImports returns Imports for at most limit workers at a time.
func NewImports(limit int) *Imports { return &Imports{limit: limit} }

// take counts one more worker of p and returns true. If other pools come first, it returns
// false, and p gets an event when its turn has come.
func (i *Imports) take(p *Pool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running >= i.limit || len(i.line) > 0 && i.line[0] != p {
		if !slices.Contains(i.line, p) {
			i.line = append(i.line, p)
		}
		return false
	}
	if len(i.line) > 0 {
		i.line = i.line[1:]
	}
	i.running++
	i.call()
	return true
}

// give removes one worker from the count.
func (i *Imports) give() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running--
	i.call()
}

// forget removes p, which needs no other worker now, from the line.
func (i *Imports) forget(p *Pool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if at := slices.Index(i.line, p); at >= 0 {
		i.line = slices.Delete(i.line, at, at+1)
		i.call()
	}
}

// call posts an event to the first pool in line, if it may start a worker. The caller holds mu.
func (i *Imports) call() {
	if i.running < i.limit && len(i.line) > 0 {
		i.line[0].post(event{kind: eventScaled})
	}
}

// lookAfter is how often an importing worker's use of the CPU is checked.
const lookAfter = 250 * time.Millisecond

// watchImports stops counting workers that do not use the CPU, as they wait. It returns when to
// check again, or next if that is sooner.
func (p *Pool) watchImports(now, next time.Time) time.Time {
	for _, w := range p.workers {
		if !w.importing || w.state != workerStarting {
			continue
		}
		if now.Sub(w.looked) >= lookAfter {
			used := cpuTicks(w.process.Pid())
			idle := used-w.used <= 1
			w.looked, w.used = now, used
			if idle {
				p.endImport(w)
				continue
			}
		}
		if at := w.looked.Add(lookAfter); at.Before(next) {
			next = at
		}
	}
	return next
}

// endImport stops counting w among the workers that import.
func (p *Pool) endImport(w *worker) {
	if w.importing {
		w.importing = false
		p.o.Imports.give()
	}
}

// cpuTicks returns the CPU time that a process has used, in hundredths of a second; 0 if it is
// unknown.
func cpuTicks(pid int) int64 {
	fields := statOf(pid)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}

// isStopped reports whether a signal, such as SIGSTOP, or a debugger has stopped a process; false
// if that is unknown.
func isStopped(pid int) bool {
	fields := statOf(pid)
	return len(fields) > 0 && strings.EqualFold(fields[0], "t")
}

// statOf returns the fields of /proc/PID/stat from the third on, the state; none if they are unknown.
func statOf(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(b[max(bytes.LastIndexByte(b, ')'), 0):]), " ")
	return strings.Fields(rest)
}
