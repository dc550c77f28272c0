package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// ErrSucceeded is returned by a pool that another one has succeeded. The caller must give the
// request to that one.
var ErrSucceeded = &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: "another pool has succeeded this one"}

var errGivenUp = errors.New("it was given up before it came up")

// Settings are the settings of a pool in the configuration.
type Settings struct {
	Name    string // of the app
	Kind    string // of the workers, as their settings name it
	Program string // the application, as the configuration names it
	Workers int    // how many workers there are
	Threads int    // threads of a WSGI worker, each of which runs one request at a time
	Streams int    // how many requests an ASGI worker runs at a time; 0: the workers are of WSGI
	Balance Balance

	Timeout         time.Duration // for a request, from its start in the worker; in an ASGI worker until its answer begins; 0: none
	Heartbeat       time.Duration // how long a busy worker may give no sign of life; 0: no limit
	GracefulTimeout time.Duration // for the requests of a retiring worker; for the WebSockets of an ASGI worker
	DrainTimeout    time.Duration // for the other requests of a retiring ASGI worker
	StartupTimeout  time.Duration // from exec to ready
	QueueTimeout    time.Duration // for a request that waits for a worker
	Backlog         int           // how many requests may wait
	MaxRequests     int           // after so many requests a worker is replaced; 0: never
	MaxJitter       int           // the most that is added to MaxRequests, at random
}

// Balance is how a pool picks a worker for a request.
type Balance uint8

// The ways to balance.
const (
	LeastConn  Balance = iota // the worker with the fewest outstanding requests
	RoundRobin                // the worker with the fewest requests so far
)

// Observer gets the reports of workers about their application.
type Observer interface {
	// Reported is called with the reports of all ready workers when these have changed,
	// under the pool's lock.
	Reported(all []Report)
	// Noted is called for each file that a worker notes (PROTOCOL.md, "From the worker").
	Noted(kind, path, stamp string)
	// Ended is called before Done is closed.
	Ended()
}

// Options are the settings and functions of a Pool.
type Options struct {
	Settings
	Observer Observer
	// Launch starts a worker.
	Launch func(Order) (Process, error)
	// ParseHead decodes the head of a response of this kind of worker. It fails for one that
	// must not reach a client.
	ParseHead func(text string) (*Head, error)
	// ParseAccept decodes the acceptance of a WebSocket: the application's fields and the
	// subprotocol that it chose. Only pools with Streams need it.
	ParseAccept func(text string) (h *Head, subprotocol string, err error)
	// ParseFields decodes the fields of an early hint, or those after a body. The status of
	// the Head means nothing. Only pools with Streams need it.
	ParseFields func(text string) (*Head, error)
	Imports     *Imports
	Loops       *eventloop.Group // they read the frames of workers; if it is nil, each worker has a goroutine for that
}

// Pool has the workers of one version of an app. One goroutine supervises them; the lock guards
// the fields that requests need.
type Pool struct {
	o      Options
	arena  *wire.Arena // nil if there is none
	logs   atomic.Pointer[Logs]
	stacks Allowance    // for stacks of workers in trouble, apart from the output of the application
	now    atomic.Int64 // the time of the last tick, in nanoseconds

	remarks remarks
	outputs outputs
	closing atomic.Int32 // files of workers that are being discarded

	events chan event
	came   chan struct{} // closed when the first start has succeeded or failed
	done   chan struct{} // closed when all workers have ended
	ticker *time.Timer
	born   time.Time

	mu       sync.Mutex // guards the fields up to supervision
	phase    phase
	replaced bool      // another pool takes new requests; this one ends once it has none
	workers  []*worker // those with a process
	ready    []*worker // those that take requests
	want     int       // how many workers there should be
	queue    queue
	newest   uint64 // arrival of the newest request that a worker was sent; 0 once it was recalled
	taken    []*Job // memory for takeAll
	ticking  bool   // the tick runs
	boots
	tally

	supervision
}

// phase is the state of a pool.
type phase uint8

const (
	phaseNew  phase = iota // Start was not called
	phaseOn                // it starts workers and takes requests
	phaseEnds              // it does neither any more
)

// tally counts requests and deaths. The pool's lock guards it.
type tally struct {
	arrivals uint64  // requests that have come
	served   uint64  // requests that were answered
	refused  uint64  // requests for which the backlog had no room
	overran  Overran // requests that took longer than timeout
	deaths   Deaths  // of workers that were ready
}

// arrive counts a request that has come and returns its number.
func (t *tally) arrive() uint64 {
	t.arrivals++
	return t.arrivals
}

// turnAway counts a request for which the backlog has no room.
func (t *tally) turnAway() { t.refused++ }

// serve counts a request that was answered.
func (t *tally) serve() { t.served++ }

// die counts a worker that has ended unexpectedly.
func (t *tally) die(exit Exit) {
	t.deaths = Deaths{Times: t.deaths.Times + 1, At: time.Now(), Exit: exit.String()}
}

// overrun counts a request that took longer than timeout.
func (t *tally) overrun(line string) {
	t.overran = Overran{Times: t.overran.Times + 1, At: time.Now(), Request: line}
}

// New returns a pool that was not started.
func New(o Options) *Pool {
	return &Pool{
		o: o, want: o.Workers,
		events: make(chan event, 64), came: make(chan struct{}), done: make(chan struct{}),
	}
}

// SetLogs sets the destinations of log lines.
func (p *Pool) SetLogs(l Logs) { p.logs.Store(&l) }

// Arena returns the memory for bodies that the workers share; nil if there is none, as before
// Start.
func (p *Pool) Arena() *wire.Arena { return p.arena }

// First returns a channel that is closed when the first start has succeeded or failed.
func (p *Pool) First() <-chan struct{} { return p.came }

// Done returns a channel that is closed when all workers have ended.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Start starts the workers. Await returns the outcome of the first start. The pool repeats a
// start that has failed until it is stopped. It logs failed starts after the first start has
// succeeded, or after Speak was called.
func (p *Pool) Start() {
	p.born = time.Now()
	if p.o.Loops != nil {
		if a, err := wire.NewArena(); err == nil {
			p.arena = a // without it bodies are sent as descriptors
		}
	}
	p.mu.Lock()
	p.phase, p.silent = phaseOn, true
	p.ticker = time.NewTimer(time.Hour)
	p.mu.Unlock()
	p.now.Store(time.Now().UnixNano())
	go p.run()
}

// Await waits for the outcome of the first start: nil if all workers have become ready, a
// *BootError if one has not.
func (p *Pool) Await(ctx context.Context) error {
	select {
	case <-p.came:
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch ready, failed := p.Outcome(); {
	case ready:
		return nil
	case failed != nil:
		return failed
	}
	return errGivenUp
}

// Outcome returns the outcome of the first start, as far as it is known.
func (p *Pool) Outcome() (ready bool, failed *BootError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first == succeeded, p.why
}

// Speak makes the pool log failed starts. With missed it also logs the last start if that has
// failed before.
func (p *Pool) Speak(missed bool) {
	p.mu.Lock()
	was, failed := p.speak(), p.failed
	p.mu.Unlock()
	if was && missed && failed != nil {
		p.logFailure(failed)
	}
}

// Succeed makes the pool end once it has answered its requests. Another pool takes the app's
// new requests. Succeed returns at once.
func (p *Pool) Succeed() {
	p.mu.Lock()
	p.replaced = true
	p.mu.Unlock()
	p.post(event{kind: eventSucceeded})
}

// IsSucceeded reports whether Succeed was called.
func (p *Pool) IsSucceeded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replaced
}

// Finish waits until a pool that was succeeded has ended. If ctx ends before, it stops the
// pool.
func (p *Pool) Finish(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Stop(ctx)
	}
}

// Stop ends the pool: requests that wait get 503, and those that run may end until ctx ends.
// Then workers get TERM and KILL. Stop returns when all workers have exited.
func (p *Pool) Stop(ctx context.Context) {
	p.mu.Lock()
	was := p.phase
	p.phase = phaseEnds
	p.mu.Unlock()
	if was == phaseNew {
		close(p.done)
		return
	}
	p.post(event{kind: eventStopped, cut: ctx.Done()})
	<-p.done
}

// IsBroken reports whether no worker is ready and the last start has failed.
func (p *Pool) IsBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken()
}

// Serves reports whether a worker is ready, or was ready and the last start has not failed.
func (p *Pool) Serves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) > 0 || p.cameUp && p.failed == nil
}

// Failure returns why the last start has failed, nil if it has not, and the time of the next
// start.
func (p *Pool) Failure() (e *BootError, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed, p.next
}

// broken is IsBroken for callers that hold the lock.
func (p *Pool) broken() bool { return p.failed != nil && len(p.ready) == 0 }

// Scale changes the number of workers by n, to at least 1.
func (p *Pool) Scale(n int) {
	p.mu.Lock()
	p.want = max(p.want+n, 1)
	p.mu.Unlock()
	p.post(event{kind: eventScaled})
}

// post gives the supervisor an event. It does not wait, so callers may hold the lock: if the
// channel is full, another goroutine hands the event over.
func (p *Pool) post(e event) {
	select {
	case p.events <- e:
	default:
		go func() {
			select {
			case p.events <- e:
			case <-p.done:
			}
		}()
	}
}

// wakeTick makes the tick run. The caller holds the lock.
func (p *Pool) wakeTick() {
	if !p.ticking && p.phase != phaseNew {
		p.ticking = true
		p.now.Store(time.Now().UnixNano())
		p.ticker.Reset(tickEvery)
	}
}

// Report returns the report of the first ready worker. ok is false if no worker is ready.
func (p *Pool) Report() (r Report, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ready {
		return w.report, true
	}
	return Report{}, false
}
