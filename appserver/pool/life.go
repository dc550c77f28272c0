package pool

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"alicorn/proxy"
)

// workerState is the state of a worker. Only the supervisor changes it, under the pool's lock. A
// worker never goes back to an earlier state:
//
//	from                      event                                      to
//	starting                  it has imported the application            ready
//	starting                  startup_timeout is over                    condemned
//	starting, ready           it asks to leave, it was replaced near     leaving
//	                          max_requests, it is one too many, or the
//	                          pool was succeeded or stops
//	starting, ready, leaving  it breaks the protocol                     condemned
//	ready, leaving            a request is past timeout, requests that   condemned
//	                          it was sent do not begin, or it gives no
//	                          heartbeat
//	any                       its process has ended                      dead
//
// When it leaves or is condemned, requests that it has not received go back to the queue. The
// steps to its end are then its urge.
type workerState uint8

const (
	workerStarting  workerState = iota // it imports the application
	workerReady                        // it takes requests
	workerLeaving                      // it finishes the requests that it runs, and ends
	workerCondemned                    // as workerLeaving, for a fault; signals follow
	workerDead
)

// String returns the name of the state: "starting", "ready", "leaving", "condemned" or "dead".
func (s workerState) String() string {
	return [...]string{"starting", "ready", "leaving", "condemned", "dead"}[s]
}

// urge is the last step that was taken to end a worker that leaves or is condemned. Only an ASGI
// worker that leaves is parted and drained. After each step it has some time:
//
//	urge     what was done                             the next step comes after
//	unurged  nothing: it finishes its requests         graceful_timeout; dumpTime if it is condemned
//	                                                   and runs nothing else; at once if it starts
//	parted   its WebSockets end one after the other    drain_timeout, from when it began to leave
//	drained  its other requests were told to end, or   killAfter; if all have ended, the longer of
//	         all have ended                            graceful_timeout and drain_timeout
//	termed   it got TERM, or hangs in its import       killAfter; dumpTime if it hangs
//	killed   it got KILL                               its end is an event
type urge uint8

const (
	unurged urge = iota
	parted
	drained
	termed
	killed
)

const (
	// dumpTime is how long a worker in trouble has to write its stacks.
	dumpTime = 300 * time.Millisecond
	// killAfter is the time from TERM to KILL.
	killAfter = 2 * time.Second
)

// watch is the part of a worker that only the supervisor uses.
type watch struct {
	beat      uint32    // the last value of its heartbeat
	beatSeen  time.Time // when that value was new
	deadline  time.Time // of its start, or of its urge; zero: none
	urged     urge
	reason    string     // why it leaves or is condemned
	boot      *BootError // why its start has failed
	importing bool       // it counts among the workers that import
	looked    time.Time  // when its use of the CPU was checked
	used      int64      // its CPU time then, in clock ticks
	parting   []parting  // WebSockets that are to end
}

// leavesBefore reports whether w is an ASGI worker that leaves and has not reached step.
func (w *worker) leavesBefore(step urge) bool {
	return w.streams != nil && w.state == workerLeaving && w.urged < step
}

// retire makes w finish the requests that it runs, and take no others. Requests that it has not
// received go back to the queue.
func (p *Pool) retire(w *worker, to workerState, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state >= to {
		return
	}
	first, starting := w.state < workerLeaving, w.state == workerStarting
	w.state, w.reason = to, reason
	p.ready = slices.DeleteFunc(p.ready, func(v *worker) bool { return v == w })
	p.agree()
	if first {
		p.takeAll(w)
		w.channel.EndWrites(w.threads)
		w.deadline = time.Now()
		if !starting { // a worker that imports has no request to finish
			w.deadline = w.deadline.Add(p.o.GracefulTimeout)
		}
	}
	p.dispatch()
}

// retireAll retires all workers of a pool that stops.
func (p *Pool) retireAll() {
	for _, w := range slices.Clone(p.workers) {
		p.retire(w, workerLeaving, "the pool stops")
	}
}

// expireAll answers the waiting requests of a pool that stops with 503, also those that come back
// from a worker that ends. The caller holds the lock.
func (p *Pool) expireAll() {
	for p.queue.first != nil {
		p.expire(p.queue.first, "stopped before a worker was free")
	}
}

// onViolation ends w, which has broken the protocol.
func (p *Pool) onViolation(w *worker, breach string) {
	w.log(proxy.LevelAlert, "broke the worker protocol: %s", breach)
	if w.state == workerStarting {
		w.boot = &BootError{App: p.o.Name, Worker: w.name, Message: "it broke the worker protocol while it started: " + breach}
	}
	p.retire(w, workerCondemned, "it broke the worker protocol")
	w.urged = killed
	w.signal(syscall.SIGKILL)
}

// onIdle takes the next step with w, which leaves or is condemned and has ended its last
// request.
func (p *Pool) onIdle(w *worker, now time.Time) {
	switch {
	case w.leavesBefore(drained):
		w.urged = drained // it may still work after its responses
		w.deadline = now.Add(max(p.o.GracefulTimeout, p.o.DrainTimeout))
	case w.state == workerCondemned && w.urged < killed:
		w.deadline = now // the other threads have finished
	}
}

// hurry makes all workers end now: requests of ASGI workers are told to end, other workers get
// TERM.
func (p *Pool) hurry() {
	for _, w := range p.workers {
		switch {
		case w.leavesBefore(drained):
			p.drain(w, time.Now())
		case w.urged < termed:
			w.deadline = time.Now()
		}
	}
}

// overdue takes the next step with w, whose deadline has passed.
func (p *Pool) overdue(w *worker, now time.Time) {
	switch {
	case w.state == workerStarting:
		p.startOverdue(w, now)
	case w.leavesBefore(parted):
		p.part(w, now)
	case w.leavesBefore(drained):
		p.drain(w, now)
	case w.urged < termed:
		w.urged = termed
		w.signal(syscall.SIGTERM)
		w.deadline = now.Add(killAfter)
	case w.urged < killed:
		w.urged = killed
		w.signal(syscall.SIGKILL)
		w.deadline = time.Time{}
	default:
		w.deadline = time.Time{}
	}
}

// startOverdue ends w, which was not ready within startup_timeout. A process that a signal has
// stopped writes no stacks, and is no fault of the application.
func (p *Pool) startOverdue(w *worker, now time.Time) {
	p.retire(w, workerCondemned, "startup_timeout")
	w.urged = termed // a worker that hangs in the import has no request to finish
	if isStopped(w.process.Pid()) {
		w.deadline = now
		p.interrupted(w, fmt.Sprintf("was stopped by a signal, such as SIGSTOP, for startup_timeout (%s),", p.o.StartupTimeout))
		return
	}
	w.boot = &BootError{App: p.o.Name, Worker: w.name,
		Message: fmt.Sprintf("it was not ready within startup_timeout (%s); %s", p.o.StartupTimeout, bootMessage)}
	w.signal(DumpSignal)
	w.deadline = now.Add(dumpTime)
}
