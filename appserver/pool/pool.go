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

// ErrSucceeded is returned by a pool that another one has succeeded. The request
// must go to that one.
var ErrSucceeded = &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: "another pool has succeeded this one"}

var errGivenUp = errors.New("it was given up before it came up")

// Settings are what an operator decides about a pool.
type Settings struct {
	Name    string // of the app
	Kind    string // of worker, as its settings name it
	Program string // the application, as the configuration names it
	Workers int
	Threads int // of a worker: the requests that it runs at a time
	Streams int // the same of an ASGI worker, which has one thread; 0: it is a WSGI worker
	Balance Balance

	Timeout         time.Duration // for one request, from its start in the worker; in an ASGI worker until its answer has begun; 0: none
	Heartbeat       time.Duration // how long a busy worker may give no sign of life; 0: any time
	GracefulTimeout time.Duration // for a retiring worker's requests; of an ASGI worker, for its WebSockets
	DrainTimeout    time.Duration // for the other requests of a retiring ASGI worker
	StartupTimeout  time.Duration // from exec to ready
	QueueTimeout    time.Duration // for a request that waits for a worker
	Backlog         int           // requests that may wait
	MaxRequests     int           // 0: no recycling
	MaxJitter       int
}

// Balance is how a pool picks a worker for a request.
type Balance uint8

// The ways to balance.
const (
	LeastConn  Balance = iota // the worker with the fewest outstanding requests
	RoundRobin                // the worker with the fewest requests so far
)

// Observer gets what a pool tells of its application.
type Observer interface {
	// Reported is called with the reports of all ready workers when these have changed,
	// under the pool's lock.
	Reported(all []Report)
	// Noted is called for each file that a worker notes (PROTOCOL.md, "From the worker").
	Noted(kind, path, stamp string)
	// Ended is called before Done is closed.
	Ended()
}

// Options are what a Pool is made of.
type Options struct {
	Settings
	Observer Observer
	// Launch starts a worker.
	Launch func(Order) (Process, error)
	// ParseHead decodes the head of a response, as this kind of worker sends it. It
	// refuses one that must not reach a client.
	ParseHead func(text string) (*Head, error)
	// ParseAccept decodes the acceptance of a WebSocket: the application's fields and the
	// subprotocol that it chose. Only pools with Streams need it.
	ParseAccept func(text string) (h *Head, subprotocol string, err error)
	// ParseFields decodes the fields of an early hint, or those after a body. The status of
	// the head means nothing. Only pools with Streams need it.
	ParseFields func(text string) (*Head, error)
	Imports     *Imports
	Loops       *eventloop.Group // read the frames of workers; nil: a goroutine for each worker does
}

// Pool is the workers of one version of an app: of its settings and its code.
// One goroutine supervises them; the lock guards what requests need.
type Pool struct {
	o     Options
	arena *wire.Arena // nil where there is none
	logs  atomic.Pointer[Logs]
	// stacks counts the stacks of workers that are in trouble, which are not to be lost
	// where the application prints much.
	stacks Allowance
	now    atomic.Int64 // coarse: the tick's clock, in nanoseconds

	remarks remarks
	outputs outputs

	events chan event
	came   chan struct{} // closed when the first start has succeeded or failed
	done   chan struct{} // closed when every worker has ended
	ticker *time.Timer
	born   time.Time

	mu       sync.Mutex // guards what follows, up to the supervisor's
	phase    phase
	replaced bool      // another pool takes new requests; this one ends once it has none
	workers  []*worker // all with a process
	ready    []*worker // those that take requests
	want     int       // how many workers there should be
	queue    queue
	newest   uint64 // arrival of the newest request sent to a worker; 0 once it was recalled
	taken    []*Job // scratch of takeAll
	ticking  bool
	boots
	tally

	supervision
}

// phase is where a pool stands in its life.
type phase uint8

const (
	phaseNew  phase = iota // Start was not called
	phaseOn                // it starts workers and takes requests
	phaseEnds              // no further worker is started, no request taken
)

// tally counts what becomes of requests. The pool's lock guards it.
type tally struct {
	arrivals uint64 // requests that have come
	served   uint64
	refused  uint64
	overran  Overran // requests past their timeout
	deaths   Deaths  // of workers that served
}

// arrive counts a request that has come and returns its number.
func (t *tally) arrive() uint64 {
	t.arrivals++
	return t.arrivals
}

// turnAway counts a request that finds too many others waiting.
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

// New returns a pool, which Start starts.
func New(o Options) *Pool {
	return &Pool{
		o: o, want: o.Workers,
		events: make(chan event, 64), came: make(chan struct{}), done: make(chan struct{}),
	}
}

// SetLogs has the pool log there from now on.
func (p *Pool) SetLogs(l Logs) { p.logs.Store(&l) }

// Arena returns the memory for bodies that the workers share; nil: there is none. It is
// there once the pool was started.
func (p *Pool) Arena() *wire.Arena { return p.arena }

// First returns a channel that is closed when the first start has succeeded or failed.
func (p *Pool) First() <-chan struct{} { return p.came }

// Done returns a channel that is closed when every worker has ended.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Start starts the workers; Await returns the outcome of the first start. A
// start that fails is tried again until the pool is stopped, and logged from
// then on that Speak was called, or the first start has succeeded.
func (p *Pool) Start() {
	p.born = time.Now()
	if p.o.Loops != nil {
		if a, err := wire.NewArena(); err == nil {
			p.arena = a // without it bodies go another way
		}
	}
	p.mu.Lock()
	p.phase, p.silent = phaseOn, true
	p.ticker = time.NewTimer(time.Hour)
	p.mu.Unlock()
	p.now.Store(time.Now().UnixNano())
	go p.run()
}

// Await returns nil when all workers have become ready, or a *BootError when
// the application did not come up at its first start.
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

// Speak has the pool log failed starts. missed: also one that has failed already.
func (p *Pool) Speak(missed bool) {
	p.mu.Lock()
	was, failed := p.speak(), p.failed
	p.mu.Unlock()
	if was && missed && failed != nil {
		p.logFailure(failed)
	}
}

// Succeed has the pool end once it has answered the requests that it has:
// another one takes the app's new requests. It returns at once.
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

// Finish waits until a pool that was succeeded has ended. When ctx ends first, workers get
// TERM and KILL.
func (p *Pool) Finish(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Stop(ctx)
	}
}

// Stop ends the pool: requests that wait get 503, those that run may end; when
// ctx ends workers get TERM and KILL. It returns when every worker has exited.
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

// IsBroken reports whether nothing serves and the last start has failed.
func (p *Pool) IsBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken()
}

// Serves reports whether the pool has come up and its last start has not failed.
func (p *Pool) Serves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) > 0 || p.cameUp && p.failed == nil
}

// Failure returns why the last start has failed and when the next one is.
func (p *Pool) Failure() (e *BootError, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed, p.next
}

func (p *Pool) broken() bool { return p.failed != nil && len(p.ready) == 0 }

// Scale changes the number of workers by n; at least one stays.
func (p *Pool) Scale(n int) {
	p.mu.Lock()
	p.want = max(p.want+n, 1)
	p.mu.Unlock()
	p.post(event{kind: eventScaled})
}

// post gives the supervisor an event. Callers may hold the lock: the
// supervisor never waits for it while its events are full, since those that
// do not fit are handed over by a goroutine of their own.
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

// wakeTick makes the tick run. The lock is held.
func (p *Pool) wakeTick() {
	if !p.ticking && p.phase != phaseNew {
		p.ticking = true
		p.now.Store(time.Now().UnixNano())
		p.ticker.Reset(tickEvery)
	}
}

// Report returns what the first ready worker told; ok is false while none is.
func (p *Pool) Report() (r Report, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ready {
		return w.report, true
	}
	return Report{}, false
}
