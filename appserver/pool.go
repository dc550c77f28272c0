package appserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/appserver/wire"
)

// Pool is the workers of one version of an app: of its settings and its code.
// One goroutine supervises them; the lock guards what requests need.
type Pool struct {
	rt     *Runtime
	app    *App
	launch func(Order) (Process, error)
	arena  *wire.Arena // nil where there is none
	logs   atomic.Pointer[logs]
	now    atomic.Int64 // coarse: the tick's clock, in nanoseconds

	remarks  remarks
	journal  journal
	tree     []byte // stands for the files when the pool was started; empty: they are not known
	identity string // and this for its settings and environment
	service  *service
	outputs  outputs

	events chan event
	first  chan struct{} // closed when the first start has succeeded or failed
	done   chan struct{} // closed when every worker has ended
	ticker *time.Timer
	born   time.Time

	mu        sync.Mutex
	running   bool
	succeeded bool       // another pool takes new requests; this one ends once it has none
	closed    bool       // ends now
	failed    *BootError // why the last start of a worker failed; nil: it has not
	dying     string     // why workers end right after they became ready, while they do
	cameUp    bool       // a worker has been ready
	silent    bool       // failed starts are not logged
	decided   bool
	outcome   *BootError // of the first start, once that is decided
	lastBoot  string     // the failure that was logged last
	next      time.Time  // no worker is started before; the supervisor's to change
	ready     []*worker  // those that take requests
	folders   folders    // what these agree on; read without the lock
	queue     queue
	arrivals  uint64     // requests that have come
	newest    uint64     // arrival of the newest request sent to a worker; 0 once it was recalled
	taken     []*request // scratch of takeAll
	ticking   bool
	want      int
	served    uint64
	refused   uint64
	overran   Overran   // requests past their timeout
	workers   []*worker // all with a process

	// The supervisor's own.
	ticked    time.Time // the last time
	idleTicks int
	failures  int             // in a row
	deaths    int             // in a row, of workers that ended right after they became ready
	cut       <-chan struct{} // ends what retiring or stopping may take
}

func newPool(rt *Runtime, app *App) *Pool {
	launch := app.Launch
	if l := rt.o.Launcher; l != nil {
		launch = l.For(app.Name)
	}
	return &Pool{
		rt: rt, app: app, want: app.Workers, launch: launch,
		events: make(chan event, 64), first: make(chan struct{}), done: make(chan struct{}),
	}
}

// App returns what the pool runs.
func (p *Pool) App() *App { return p.app }

// start starts the workers; await returns the outcome of the first start. A
// start that fails is tried again until the pool is stopped, and logged from
// then on that speak was called, or the first start has succeeded. errors gives
// the error log for what belongs to no request.
func (p *Pool) start(errors func() *slog.Logger) {
	p.logs.Store(p.app.output.logs(errors))
	p.born = time.Now()
	if p.rt.o.Loops != nil {
		if a, err := wire.NewArena(); err == nil {
			p.arena = a // without it bodies go another way
		}
	}
	p.mu.Lock()
	p.running, p.silent = true, true
	p.ticker = time.NewTimer(time.Hour)
	p.mu.Unlock()
	p.now.Store(time.Now().UnixNano())
	p.rt.add(p)
	go p.run()
}

// await returns nil when all workers have become ready, or a *BootError when
// the application did not come up at its first start.
func (p *Pool) await(ctx context.Context) error {
	select {
	case <-p.first:
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch ready, failed := p.outcomeNow(); {
	case ready:
		return nil
	case failed != nil:
		return failed
	}
	return errGivenUp
}

// outcomeNow returns the outcome of the first start, as far as it is known.
func (p *Pool) outcomeNow() (ready bool, failed *BootError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decided && p.outcome == nil, p.outcome
}

// speak has the pool log failed starts. missed: also one that has failed already.
func (p *Pool) speak(missed bool) {
	p.mu.Lock()
	was, failed := p.silent, p.failed
	p.silent = false
	p.mu.Unlock()
	if was && missed && failed != nil {
		p.logFailure(failed)
	}
}

// succeed has the pool end once it has answered the requests that it has:
// another one takes the app's new requests. It returns at once.
func (p *Pool) succeed() {
	p.mu.Lock()
	p.succeeded = true
	p.mu.Unlock()
	p.post(event{kind: eventSucceeded})
}

func (p *Pool) isSucceeded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.succeeded
}

// finish waits until a pool that was succeeded has ended. When ctx ends first, workers get
// TERM and KILL.
func (p *Pool) finish(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop(ctx)
	}
}

// stop ends the pool: requests that wait get 503, those that run may end; when
// ctx ends workers get TERM and KILL. It returns when every worker has exited.
func (p *Pool) stop(ctx context.Context) {
	p.mu.Lock()
	running := p.running
	p.closed = true
	p.mu.Unlock()
	if !running {
		return
	}
	p.post(event{kind: eventStopped, cut: ctx.Done()})
	<-p.done
}

// isBroken reports whether nothing serves and the last start has failed.
func (p *Pool) isBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken()
}

// serves reports whether the pool has come up and its last start has not failed.
func (p *Pool) serves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) > 0 || p.cameUp && p.failed == nil
}

// failure returns why the last start has failed and when the next one is.
func (p *Pool) failure() (e *BootError, next time.Time) {
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
	if !p.ticking && p.running {
		p.ticking = true
		p.now.Store(time.Now().UnixNano())
		p.ticker.Reset(tickEvery)
	}
}

// Report is what a worker tells of its application once it is ready.
type Report struct {
	Version    string // of Python
	Executable string
	App        string // "module:name" as found
	Framework  string // "Flask", "Django", "WSGI", ...
	Static     []Folder
	Notes      []string
}

func newReport(v any) (Report, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return Report{}, fmt.Errorf("malformed report")
	}
	r := Report{Version: textIn(m, "version"), Executable: textIn(m, "executable"), App: textIn(m, "app"), Framework: textIn(m, "framework")}
	static, _ := m["static"].([]any)
	for _, e := range static {
		parts, _ := e.([]any)
		if len(parts) != 3 {
			continue
		}
		url, ok1 := parts[0].(string)
		dir, ok2 := parts[1].(string)
		how, ok3 := parts[2].(string)
		if ok1 && ok2 && ok3 {
			r.Static = append(r.Static, Folder{url, dir, how == "plain"})
		}
	}
	notes, _ := m["notes"].([]any)
	for _, n := range notes {
		if s, ok := n.(string); ok {
			r.Notes = append(r.Notes, printable(s))
		}
	}
	return r, nil
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
