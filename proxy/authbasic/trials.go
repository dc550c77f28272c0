package authbasic

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"alicorn/proxy"
)

// How many requests may wait for their check to begin: together, and of one client, so that a
// client that tries passwords does not keep others out.
const (
	maxWaiting = 128
	maxOfOne   = 16
)

// trials are the checks of passwords that take long. They use a quarter of the processors, at
// least one, and leave the others to the event loops.
type trials struct {
	mu      sync.Mutex
	waiting []*trial
	running int
	idle    chan struct{} // closed once none runs; nil unless stop waits for that
}

// trial is the check of the password of one request.
type trial struct {
	entry    *entry
	password string
	vain     bool   // entry is not the user's: the check only takes time
	client   string // see clientOf
	waker    proxy.Waker

	passed bool
	done   atomic.Bool // passed is set
}

// begin runs t in the background, or makes it wait. It returns false if too many wait.
func (ts *trials) begin(t *trial) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	switch {
	case ts.running < max(runtime.GOMAXPROCS(0)/4, 1):
		ts.running++
		go ts.run(t)
	case len(ts.waiting) < maxWaiting && (t.client == "" || ts.waitingOf(t.client) < maxOfOne):
		ts.waiting = append(ts.waiting, t)
	default:
		return false
	}
	return true
}

func (ts *trials) waitingOf(client string) (n int) {
	for _, t := range ts.waiting {
		if t.client == client {
			n++
		}
	}
	return n
}

// run does t, and then those that wait.
func (ts *trials) run(t *trial) {
	for ; t != nil; t = ts.next() {
		t.check()
		t.done.Store(true)
		t.waker.Wake()
	}
}

// next returns the next trial. If none waits it returns nil, and the caller must end.
func (ts *trials) next() (t *trial) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.waiting) > 0 {
		t, ts.waiting = ts.waiting[0], ts.waiting[1:]
		return t
	}
	if ts.running--; ts.running == 0 && ts.idle != nil {
		close(ts.idle)
		ts.idle = nil
	}
	return nil
}

// stop waits until no trial runs, or ctx ends.
func (ts *trials) stop(ctx context.Context) {
	ts.mu.Lock()
	if ts.running > 0 && ts.idle == nil {
		ts.idle = make(chan struct{})
	}
	idle, running := ts.idle, ts.running
	ts.mu.Unlock()
	if running == 0 {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// check sets passed. The password may have passed for another request since t began to wait.
func (t *trial) check() {
	switch {
	case t.vain:
		t.entry.check(t.password)
	case t.entry.cost > 0 && t.entry.proved(t.password):
		t.passed = true
	default:
		t.passed = t.entry.check(t.password)
	}
}
