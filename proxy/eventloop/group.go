package eventloop

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Group is the Loops of a process. Close it after every Descriptor was closed.
type Group struct {
	scarce, most int // bounds of descriptors; see Listener
	loops        []*Loop
	turn         atomic.Uint32
	watch        watch
	places       chan struct{} // holds a value for each place for labor that is taken
	half         chan struct{} // holds one for each of these that was taken while a Source expected work
	wg           sync.WaitGroup
}

// New starts n Loops, at least one, with one place for labor for each goroutine that the
// scheduler can run at once beside them. It returns errors.ErrUnsupported if the system
// has no poller for them.
func New(n int) (*Group, error) {
	g, err := build(n)
	if err == nil {
		g.watch.start(g)
		g.run()
	}
	return g, err
}

// NewUnwatched starts n Loops without the watch: a handler that waits while it leads
// blocks its Loop. It is for tests, which then hang on such a handler.
func NewUnwatched(n int) (*Group, error) {
	g, err := build(n)
	if err == nil {
		g.run()
	}
	return g, err
}

func build(n int) (*Group, error) {
	n = max(n, 1)
	places := max(runtime.GOMAXPROCS(0)-n, 1)
	g := &Group{places: make(chan struct{}, places), half: make(chan struct{}, (places+1)/2)}
	g.scarce, g.most = bounds()
	for range n {
		l, err := newLoop(g)
		if err != nil {
			for _, l := range g.loops {
				l.poller.close()
			}
			return nil, err
		}
		l.index = len(g.loops)
		g.loops = append(g.loops, l)
	}
	return g, nil
}

func (g *Group) run() {
	g.wg.Add(len(g.loops))
	for _, l := range g.loops {
		go l.run()
	}
}

// Next returns the Loops in turn, one by each call.
func (g *Group) Next() *Loop { return g.loops[int(g.turn.Add(1))%len(g.loops)] }

// Loops returns the number of Loops. A nil Group has none.
func (g *Group) Loops() int {
	if g == nil {
		return 0
	}
	return len(g.loops)
}

// expects reports whether a Source of some Loop expects work.
func (g *Group) expects() bool { return slices.ContainsFunc(g.loops, (*Loop).expects) }

// Spare returns the number of goroutines that wait to lead again. A nil Group has none.
func (g *Group) Spare() int {
	if g == nil {
		return 0
	}
	n := 0
	for _, l := range g.loops {
		l.mu.Lock()
		n += len(l.followers)
		l.mu.Unlock()
	}
	return n
}

// Close ends the Loops and waits for their goroutines.
func (g *Group) Close() {
	g.watch.stop() // first, as the watch starts goroutines
	for _, l := range g.loops {
		l.closing.Store(true)
		l.poller.ring()
	}
	g.wg.Wait()
	for _, l := range g.loops {
		l.poller.close()
	}
}

// watchEvery is how long a handler may run at least before the watch takes the lead from
// it; it may run for twice as long at most.
const watchEvery = 5 * time.Millisecond

// watch takes the lead from handlers that run long. It ticks only while some Loop works,
// and for a second after that.
type watch struct {
	quiet   atomic.Bool  // it does not tick, and waits for wake
	waiting atomic.Int32 // the number of Loops that wait
	wake    chan struct{}
	done    chan struct{}
	ended   chan struct{}
}

func (w *watch) start(g *Group) {
	w.wake, w.done, w.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go w.run(g)
}

func (w *watch) stop() {
	if w.done == nil {
		return
	}
	close(w.done)
	<-w.ended
}

// rest is called before a Loop waits, and work after.
func (w *watch) rest() { w.waiting.Add(1) }

func (w *watch) work() {
	w.waiting.Add(-1)
	if w.quiet.Load() && w.quiet.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

func (w *watch) run(g *Group) {
	defer close(w.ended)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := make([]uint32, len(g.loops))
	leaders := make([]*Turn, len(g.loops))
	for idle := 0; ; {
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
		for i, l := range g.loops {
			t := l.leader.Load()
			if t == nil {
				continue
			}
			if t != leaders[i] {
				leaders[i], seen[i] = t, t.step.Load()
				continue
			}
			seen[i] = t.watch(seen[i])
		}
		if idle++; int(w.waiting.Load()) < len(g.loops) {
			idle = 0
		}
		if idle < int(time.Second/watchEvery) {
			continue
		}
		tick.Stop()
		if w.quiet.Store(true); int(w.waiting.Load()) == len(g.loops) {
			select {
			case <-w.wake:
			case <-w.done:
				return
			}
		} else if !w.quiet.CompareAndSwap(true, false) {
			<-w.wake
		}
		idle = 0
		tick.Reset(watchEvery)
	}
}
