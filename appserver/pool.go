package appserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy"
)

// Pool is an app's workers in one generation. One goroutine supervises them;
// the lock guards what requests need.
type Pool struct {
	rt     *Runtime
	app    *App
	launch func(worker string, files []*os.File) (Process, error)
	zip    *os.File
	arena  *arena // nil where there is none
	init   []byte
	logs   atomic.Pointer[func() *slog.Logger]
	now    atomic.Int64 // coarse: the tick's clock, in nanoseconds

	remarks remarks
	outputs outputs

	events   chan event
	started  chan error // the outcome of the first start
	stopping chan struct{}
	stop     context.Context // how long stopping may take
	done     chan struct{}   // closed when every worker has ended
	ticker   *time.Timer

	mu      sync.Mutex
	running bool
	closed  bool
	ready   []*worker // those that take requests
	queue   queue
	ticking bool
	want    int
	served  uint64
	refused uint64
	workers []*worker // all with a process

	// The supervisor's own.
	up        bool // the first start has succeeded
	idleTicks int
	failures  int // in a row
	nextStart time.Time
	lastBoot  string
}

func newPool(rt *Runtime, app *App) *Pool {
	return &Pool{
		rt: rt, app: app, want: app.Workers,
		events: make(chan event, 64), started: make(chan error, 1),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
}

// App returns what the pool runs.
func (p *Pool) App() *App { return p.app }

// Start starts the workers and returns when all are ready. A *BootError says
// that the application did not come up; then nothing of it runs any more.
// logs gives the error log for what belongs to no request.
func (p *Pool) Start(ctx context.Context, logs func() *slog.Logger) error {
	p.logs.Store(&logs)
	if err := p.prepare(); err != nil {
		return &BootError{App: p.app.Name, Message: err.Error()}
	}
	p.mu.Lock()
	p.running = true
	p.ticker = time.NewTimer(time.Hour)
	p.mu.Unlock()
	p.now.Store(time.Now().UnixNano())
	p.rt.add(p)
	go p.run()
	var err error
	select {
	case err = <-p.started:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		p.Stop(now)
	}
	return err
}

// prepare finds what all workers are started with.
func (p *Pool) prepare() (err error) {
	if p.zip, err = p.rt.bundle.open(); err != nil {
		return err
	}
	if p.rt.o.Loops != nil {
		if p.arena, err = newArena(); err != nil {
			return err
		}
	}
	if l := p.rt.o.Launcher; l != nil {
		p.launch = func(worker string, files []*os.File) (Process, error) { return l.Launch(p.app.Name, worker, files) }
		return nil
	}
	command, err := p.app.Command()
	if err != nil {
		return err
	}
	p.launch = command.Start
	return nil
}

// Stop ends the pool once its requests have ended; when ctx ends workers get
// TERM and KILL. It returns when every worker has exited.
func (p *Pool) Stop(ctx context.Context) {
	p.mu.Lock()
	running, first := p.running, !p.closed
	p.closed = true
	p.mu.Unlock()
	if !running {
		return
	}
	if first {
		p.stop = ctx
		close(p.stopping)
	}
	<-p.done
}

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

// initFrame returns the first frame that a worker gets.
func (w *worker) initFrame() []byte {
	p := w.pool
	a := p.app
	b := appendHeader(nil, frameInit, 0, 0)
	var shared any
	if w.lane != nil {
		shared = w.lane.describe()
	}
	return appendValue(b, map[string]any{
		"lane": shared, "bodies": p.arena.describe(),
		"app": a.WSGI, "kind": "wsgi", "directory": a.Directory, "pythonpath": a.PythonPath,
		"threads": a.Threads, "window": window, "dump_signal": int(dumpSignal),
		"environ": map[string]any{
			"SERVER_SOFTWARE": "alicorn/" + proxy.Version, "GATEWAY_INTERFACE": "CGI/1.1",
			"wsgi.multithread": a.Threads > 1, "wsgi.multiprocess": true,
		},
		"report_static": p.rt.o.ReportStatic, "tried": a.Tried(),
	})
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
	App        string      // "module:name" as found
	Framework  string      // "Flask", "Django", "WSGI", ...
	Static     [][2]string // URL and folder
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
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		url, ok1 := pair[0].(string)
		dir, ok2 := pair[1].(string)
		if ok1 && ok2 {
			r.Static = append(r.Static, [2]string{url, dir})
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
