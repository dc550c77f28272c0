package eventloop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Source is work that a Loop looks for in each of its turns.
type Source interface {
	// Poll handles the work that is there and reports whether there was any. It
	// stops after t has lost the lead; so it may run on several goroutines at once.
	Poll(t *Turn) bool
	// Sleep is called with true before the Loop waits, and with false after. While
	// the Loop waits, new work must make one of its Descriptors ready. Sleep reports
	// whether there is work already, and handles none. Before the first Poll
	// of a Source Sleep is called with false, because a busy Loop may not wait for a long time.
	Sleep(asleep bool) (pending bool)
	// Expects reports whether work will soon be there: the Loop then looks for it for a short
	// time before it waits. Any goroutine may call it.
	Expects() bool
}

// Loop is one poller with its leader.
type Loop struct {
	group   *Group
	index   int
	poller  *poller
	table   table
	timers  timers
	base    time.Time
	leader  atomic.Pointer[Turn]
	waiting atomic.Bool // the leader waits in the poller
	closing atomic.Bool
	later   later

	// Only the leader uses these.
	count, next int         // the number of the poller's events, and the index of the next
	told        *[]Source   // the Sources that know that the Loop does not wait
	room        *Descriptor // its writing is handled next, after its reading
	readied     atomic.Bool // see Turn.Readied; a handler that has just lost the lead may also set it
	again       atomic.Bool // see Descriptor.Again; also set by such a handler
	hesitation  hesitation

	mu        sync.Mutex
	followers []chan struct{} // goroutines that have led before, and wait to lead again
	sources   atomic.Pointer[[]Source]
}

// maxFollowers bounds the goroutines that wait to lead again. Keeping some
// saves the growth of new stacks.
const maxFollowers = 64

func newLoop(g *Group) (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &Loop{group: g, poller: p, base: time.Now()}
	l.timers.loop = l
	l.timers.first.Store(never)
	l.sources.Store(new([]Source))
	return l, nil
}

// Index returns the index of the Loop in its Group, from 0.
func (l *Loop) Index() int { return l.index }

// clock returns the time that this Loop's deadlines use: nanoseconds since it was made.
func (l *Loop) clock() int64 { return int64(time.Since(l.base)) }

func (l *Loop) since(t time.Time) int64 { return int64(t.Sub(l.base)) }

// AddSource makes the Loop poll s from now on.
func (l *Loop) AddSource(s Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := append([]Source(nil), *l.sources.Load()...)
	all = append(all, s)
	l.sources.Store(&all)
	l.poller.ring() // the leader may be waiting, and s does not know
}

// RemoveSource makes the Loop stop polling s. A Poll may still be running.
func (l *Loop) RemoveSource(s Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Source
	for _, o := range *l.sources.Load() {
		if o != s {
			all = append(all, o)
		}
	}
	l.sources.Store(&all)
}

// Wake makes a Loop that waits begin another turn.
func (l *Loop) Wake() { l.poller.ring() }

// nudge makes a leader that waits look at its timers.
func (l *Loop) nudge() {
	if l.waiting.Load() {
		l.poller.ring()
	}
}

// follow makes another goroutine lead.
func (l *Loop) follow() {
	l.mu.Lock()
	n := len(l.followers)
	if n == 0 {
		l.mu.Unlock()
		l.group.wg.Add(1)
		go l.run()
		return
	}
	next := l.followers[n-1]
	l.followers = l.followers[:n-1]
	l.mu.Unlock()
	next <- struct{}{}
}

// run leads. When it has lost the lead and its handler has returned, it waits to lead
// again.
func (l *Loop) run() {
	defer l.group.wg.Done()
	t := &Turn{loop: l}
	var call chan struct{}
	for {
		t.step.Store(0)
		l.leader.Store(t)
		if l.lead(t) {
			return
		}
		if call == nil {
			call = make(chan struct{}, 1)
		}
		l.mu.Lock()
		if len(l.followers) >= maxFollowers || l.closing.Load() {
			l.mu.Unlock()
			return
		}
		l.followers = append(l.followers, call)
		l.mu.Unlock()
		if _, ok := <-call; !ok {
			return
		}
	}
}

// lead handles what is ready, until another goroutine leads or the Loop ends. ended says that
// the Loop has ended.
func (l *Loop) lead(t *Turn) (ended bool) {
	t.begin(true)
	for {
		if l.count > 0 {
			l.hesitation.worked(time.Duration(l.since(t.now)))
		}
		t.busy = l.hesitation.busy()
		if !l.handleEvents(t) {
			return false
		}
		worked, leads := l.pollSources(t)
		if !leads {
			return false
		}
		if worked {
			l.hesitation.worked(time.Duration(l.since(t.now)))
		}
		if !l.expire(t) || !l.finishTurn(t) {
			return false
		}
		if l.closing.Load() {
			l.end()
			return true
		}
		l.next, l.count = 0, l.poller.poll()
		slept := l.count == 0 && !worked
		if slept {
			l.sleep()
		}
		t.begin(slept)
	}
}

func (l *Loop) handleEvents(t *Turn) (leads bool) {
	for {
		if d := l.room; d != nil {
			l.room = nil
			if !l.handle(t, d.out) {
				return false
			}
		}
		if l.next >= l.count {
			return true
		}
		fd, tag, bits := l.poller.event(l.next)
		l.next++
		if fd == bellFD {
			l.poller.silence()
			continue
		}
		d := l.table.find(fd, tag)
		if d == nil {
			continue
		}
		read, room, left := d.readiness(bits)
		if room {
			l.room = d
		}
		if read && !l.handle(t, &d.in) || left && !l.tellLeft(t, d) {
			return false
		}
	}
}

// tellLeft calls Left of d's handler: the peer has left while d has an owner.
func (l *Loop) tellLeft(t *Turn, d *Descriptor) (leads bool) {
	t.enter()
	(*d.in.handler.Load()).(Watcher).Left(t)
	return t.leave()
}

func (l *Loop) handle(t *Turn, s *side) (leads bool) {
	t.behind = l.count - l.next // before the watch may take the lead
	if l.room != nil {
		t.behind++
	}
	t.enter()
	(*s.handler.Load()).Ready(t)
	return t.leave()
}

func (l *Loop) pollSources(t *Turn) (worked, leads bool) {
	sources := l.sources.Load()
	if sources != l.told {
		l.told = sources
		for _, s := range *sources {
			s.Sleep(false)
		}
	}
	for _, s := range *sources {
		t.enter()
		t.behind = 1 // the Source may have more
		if s.Poll(t) {
			worked = true
		}
		if !t.leave() {
			return worked, false
		}
	}
	return worked, true
}

func (l *Loop) expire(t *Turn) (leads bool) {
	for {
		now := l.since(t.now)
		s := l.timers.next(now)
		if s == nil {
			return true
		}
		if s.expire() && !l.handle(t, s) {
			return false
		}
	}
}

// sleep waits for events. Before it waits, the Loop may have some more turns (see hesitates),
// and sleep tells the Sources.
func (l *Loop) sleep() {
	if l.again.Load() {
		l.again.Store(false)
		return
	}
	if l.readied.Load() {
		l.readied.Store(false)
		runtime.Gosched() // lets the readied goroutines run before this thread waits in the kernel
		if l.count = l.poller.poll(); l.count > 0 {
			return
		}
	}
	if l.hesitates() {
		return
	}
	sources := *l.sources.Load()
	pending := false
	for _, s := range sources {
		pending = s.Sleep(true) || pending
	}
	if !pending {
		l.wait()
	}
	for _, s := range sources {
		s.Sleep(false)
	}
}

// hesitates reports whether the Loop has another turn before it waits. From the second such
// turn on it lets other threads run first.
func (l *Loop) hesitates() bool {
	first := l.hesitation.began == 0
	now := time.Duration(l.clock())
	if !l.hesitation.lasts(now) || !l.expects() {
		return false
	}
	if !first {
		yield()
		l.hesitation.yielded(time.Duration(l.clock()) - now)
	}
	return true
}

// expects reports whether one of the Sources expects work.
func (l *Loop) expects() bool {
	for _, s := range *l.sources.Load() {
		if s.Expects() {
			return true
		}
	}
	return false
}

func (l *Loop) wait() {
	l.waiting.Store(true)
	defer l.waiting.Store(false)
	l.group.watch.rest()
	defer l.group.watch.work()
	if l.closing.Load() || l.later.some.Load() {
		return
	}
	d := time.Duration(-1)
	if first := l.timers.first.Load(); first != never {
		d = max(time.Duration(first-l.clock()), 0)
	}
	before := l.clock()
	l.count = l.poller.wait(d)
	l.hesitation.waited(time.Duration(l.clock() - before))
}

// end makes every follower return.
func (l *Loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, call := range l.followers {
		close(call)
	}
	l.followers = nil
}
