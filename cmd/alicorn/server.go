package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/transport"
)

// server runs a program: it owns the Engine, the generations and their Resources. The
// goroutine of run decides; reloads and drains run on others.
type server struct {
	p      *program
	host   config.Host
	apps   *appserver.Runtime
	link   *keeper.Client   // to the keeper; nil in one process
	loops  *eventloop.Group // nil where the system has none
	engine *proxy.Engine
	start  time.Time

	commands chan command
	drains   sync.WaitGroup
	draining context.Context // ends when a stop no longer waits for drains
	cut      context.CancelFunc

	verbs      verbSocket
	failures   failures
	found      atomic.Pointer[findings] // of find; nil before the first look
	first      firstStart
	ending     atomic.Bool  // the server has stopped listening
	queued     atomic.Int64 // reloads that wait for the running reload
	mu         sync.Mutex
	current    *loaded
	generation int
}

// command is a request to the server, from a signal or the control API.
type command struct {
	verb   verb
	reply  chan error // may be nil
	reload *reloading // of verbReload; nil: a reload by a signal
}

// reloading returns the reload that c asks for.
func (c command) reloading() *reloading {
	if c.reload == nil {
		return &reloading{reply: c.reply}
	}
	c.reload.reply = c.reply
	return c.reload
}

type verb int

const (
	verbStop verb = iota // while stopping it means: now
	verbStopNow
	verbReload
	verbReopen
	verbScaleUp
	verbScaleDown
	verbUpgrade
	verbRetire // another process has taken over
	verbAlive  // answered at once, to show that the server works
)

// newServer starts the event loops, which end with run.
func newServer(p *program, host config.Host, launcher appserver.Launcher) (*server, error) {
	loops, err := eventloop.New(max(p.loops, 1))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	surveyor, _ := launcher.(appserver.Surveyor)
	draining, cut := context.WithCancel(context.Background())
	return &server{
		draining: draining, cut: cut, loops: loops,
		p: p, host: host, start: time.Now(), engine: proxy.NewEngine(transport.Serve(protocols()), loops), commands: make(chan command),
		apps: appserver.NewRuntime(appserver.Options{Launcher: launcher, Surveyor: surveyor, Loops: loops, TempDir: filepath.Join(p.folders.cache, "responses"), Version: proxy.Version, ReportStatic: true, Environ: p.environ()}),
	}, nil
}

// open reads and starts the first generation. Afterwards the server serves.
func (s *server) open(ctx context.Context) error {
	tree, err := s.p.read()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.begin(ctx, tree, err)
}

// startUntil returns the result of start. When ctx ends it waits abandonPatience for
// start, less when hurry is closed: start may wait for a name server or a file. The
// process must end after that.
func startUntil(ctx context.Context, hurry <-chan struct{}, start func() error) error {
	done := make(chan error, 1)
	go func() { done <- start() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-hurry:
	case <-time.After(abandonPatience):
	}
	return ctx.Err()
}

// begin opens the addresses of the first generation and starts its applications. After
// an error nothing of it is left. The caller must then call run, which waits for the
// outcome.
func (s *server) begin(ctx context.Context, tree *config.Tree, readErr error) error {
	ld, err := s.bring(ctx, tree, readErr, config.NewResources(s.host), s.p.firstPolicy())
	if err != nil {
		return err
	}
	s.swap(ld)
	s.first.watch(func(ctx context.Context) error { return appserver.RolloutOf(ld.main).Verdict(ctx, s.p.single) })
	return nil
}

// ours returns files and folders of the server that may lie in an application's
// directory, and whose changes are not changes of the application: the configuration
// and what the server writes.
func (p *program) ours(ld *loaded) []string {
	f := p.folders
	all := append([]string{f.run, f.state, f.cache}, ld.tree.Files...)
	if pid := ld.process.PIDFile; pid != "" {
		all = append(all, pid)
	}
	return all
}

// discard ends a generation that has begun to serve, and the event loops.
func (s *server) discard(ld *loaded) {
	now := cancelled()
	_ = s.engine.Shutdown(now, 0)
	ld.generation.Stop(now)
	if s.link == nil && !s.p.upgrade.handedOver() {
		keeper.RemoveSockets(ld.generation, nil, s.p.origin.inherited)
	}
	ld.generation.Resources.Release()
}

// gatePatience bounds how long a program that takes over waits for its applications,
// since its predecessor waits for upgradePatience only.
func (p *program) gatePatience() time.Duration {
	if p.gated && !p.single {
		return upgradePatience * 3 / 4
	}
	return 0
}

// firstPolicy returns how the applications of the first generation start.
func (p *program) firstPolicy() appserver.Policy {
	return appserver.Policy{Survey: !p.single, Early: !p.gated, Alone: !p.single, Gate: p.gated, Patience: p.gatePatience()}
}

// bring makes a generation that is ready to serve. After an error nothing of it is left.
func (s *server) bring(ctx context.Context, tree *config.Tree, readErr error, res *config.Resources, policy appserver.Policy) (*loaded, error) {
	ld, err := s.p.compile(tree, readErr, res, s.apps)
	if err == nil {
		policy.Ours = s.p.ours(ld)
		appserver.RolloutOf(ld.main).Policy = policy
		err = ld.generation.Start(ctx)
	}
	if s.link != nil {
		s.link.Settle(err == nil)
	}
	if err != nil {
		s.undo(res)
		return nil, err
	}
	for _, w := range ld.load.Warnings() {
		if !w.Verbose {
			ld.generation.LogTo(proxy.LevelWarn, w.Pos.String()+": "+w.Msg)
		}
	}
	return ld, nil
}

// undo releases what a configuration that does not serve has taken. The keeper, where
// there is one, removes the files of its sockets.
func (s *server) undo(taken *config.Resources) {
	if s.link != nil {
		taken.Release()
		return
	}
	var serving *proxy.Generation
	if ld := s.loaded(); ld != nil {
		serving = ld.generation
	}
	keeper.Undo(taken, serving, s.p.origin.inherited)
}

// swap makes ld current and drains the generation before. It returns false when the
// server is already stopping.
func (s *server) swap(ld *loaded) bool {
	s.mu.Lock()
	if s.ending.Load() {
		s.mu.Unlock()
		return false
	}
	old := s.current
	s.current = ld
	s.generation++
	s.mu.Unlock()
	ld.process.GC.apply()
	s.compareLoops(ld)
	s.engine.Swap(ld.generation)
	if old != nil && s.link == nil {
		keeper.RemoveSockets(old.generation, ld.generation, s.p.origin.inherited)
	}
	if old != nil {
		s.drains.Go(func() { s.drain(old) })
	}
	return true
}

// paceGC is called in the course of each collection.
func (s *server) paceGC() {
	s.mu.Lock()
	c := s.current.process.GC
	s.mu.Unlock()
	c.pace()
}

// drain waits for the requests of old, ends its workers, and releases what no other
// generation holds.
func (s *server) drain(old *loaded) {
	ctx, cancel := old.process.shutdownContext(s.draining)
	defer cancel()
	s.engine.Drain(ctx, old.generation)
	old.generation.Stop(ctx)
	old.generation.Resources.Release()
}

// shutdownContext ends after worker_shutdown_timeout, if there is one.
func (c *processSettings) shutdownContext(parent context.Context) (context.Context, context.CancelFunc) {
	if c.ShutdownTimeout == 0 {
		return context.WithCancel(parent)
	}
	return context.WithTimeout(parent, c.ShutdownTimeout)
}

// run serves until a stop is complete, or no application of the first generation can
// be served. The end of ctx stops the server at once.
func (s *server) run(ctx context.Context) error {
	defer s.first.end()
	r := newReloader(s)
	u := &upgrade{s: s, done: make(chan error, 1)}
	for {
		select {
		case c := <-s.commands:
			switch c.verb {
			case verbStop, verbStopNow:
				respond(c.reply, nil)
				if s.link != nil {
					s.link.Abandon()
				}
				u.abandon()
				r.abandon()
				return s.stop(ctx, c.verb == verbStopNow)
			case verbAlive:
				s.alive(c.reply)
				continue
			case verbRetire:
				r.abandon()
				return s.retire(ctx)
			}
			if !s.first.hold(c) {
				s.carryOut(ctx, c, r, u)
			}
		case err := <-s.first.outcome:
			held, err := s.first.decided(err)
			if err != nil {
				s.logElsewhere("the start has failed: " + words(err))
				s.discard(s.loaded())
				return err
			}
			for _, c := range held {
				s.carryOut(ctx, c, r, u)
			}
		case l := <-r.done:
			r.finished(ctx, l)
		case err := <-u.done:
			if u.finished(err) {
				r.abandon()
				return s.retire(ctx)
			}
		case <-ctx.Done():
			u.abandon()
			r.abandon()
			return s.stop(ctx, true)
		}
	}
}

// carryOut runs a command of a server that has started.
func (s *server) carryOut(ctx context.Context, c command, r *reloader, u *upgrade) {
	switch c.verb {
	case verbReload:
		r.ask(ctx, c.reloading())
	case verbReopen:
		respond(c.reply, s.reopen())
	case verbUpgrade:
		u.ask(c.reply)
	case verbScaleUp:
		s.scale(1)
	case verbScaleDown:
		s.scale(-1)
	}
}

func respond(reply chan error, err error) {
	if reply != nil {
		reply <- err
	}
}

// stop ends serving: gracefully until a second stop, or now.
func (s *server) stop(ctx context.Context, now bool) error { return s.end(ctx, now, lastWait) }

// end is stop; connections without a request may send one more within last.
func (s *server) end(ctx context.Context, now bool, last time.Duration) error {
	s.mu.Lock()
	s.ending.Store(true)
	ld := s.current
	s.mu.Unlock()
	if s.link != nil {
		s.link.Stopping(now)
	}
	s.p.origin.notify.stopping()
	ld.generation.LogTo(proxy.LevelLife, "stopping; the requests in progress are finished; a second stop ends them")
	if s.link == nil && !s.p.upgrade.handedOver() {
		s.p.upgrade.leavePID()
		keeper.RemoveSockets(ld.generation, nil, s.p.origin.inherited)
	}
	end, cancel := ld.process.shutdownContext(s.draining)
	defer cancel()
	context.AfterFunc(end, s.cut)
	if now {
		cancel()
	}
	go func() {
		for {
			select {
			case c := <-s.commands:
				if c.verb == verbStop || c.verb == verbStopNow {
					cancel()
				}
				respond(c.reply, errStopping)
			case <-ctx.Done():
				cancel()
				return
			case <-end.Done():
				return
			}
		}
	}()
	for _, p := range s.apps.Pools() {
		p.Quit(proxy.TunnelsLast(end))
	}
	whole := s.engine.Shutdown(end, last) == nil
	ld.generation.Stop(end)
	s.drains.Wait()
	if whole && s.loops != nil { // otherwise exchanges that were cut may still be ending
		defer s.loops.Close()
	}
	ld.generation.LogTo(proxy.LevelLife, "stopped")
	ld.generation.Resources.Release()
	return nil
}

var errStopping = errors.New("the server is stopping")

// alive answers that the server works.
func (s *server) alive(reply chan error) {
	respond(reply, nil)
	if s.link != nil {
		s.link.Alive()
	}
}

func (s *server) scale(by int) {
	for _, p := range s.apps.Pools() {
		p.Scale(by)
	}
}

func (s *server) loaded() *loaded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// send passes a command to run; it gives up when ctx ends.
func (s *server) send(ctx context.Context, c command) error {
	select {
	case s.commands <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
