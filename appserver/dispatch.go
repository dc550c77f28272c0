package appserver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// grantAfter is how long a request has waited when its own goroutine is asked
// to send it, which finds out whether the client is still there.
const grantAfter = 50 * time.Millisecond

// submit gives r to a worker or to the queue; then the pool holds r too.
func (p *Pool) submit(r *request) *proxy.Fail {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.succeeded {
		return errSucceeded
	}
	if p.broken() {
		return p.unavailable()
	}
	if p.closed {
		return &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: fmt.Sprintf("app %q is stopped", p.app.Name), RetryAfter: 1}
	}
	p.wakeTick()
	if p.queue.length == 0 {
		if w := p.pick(); w != nil {
			r.refs.Add(1)
			p.give(w, r)
			return nil
		}
	}
	if p.queue.length >= p.app.Backlog {
		p.refused++
		return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: 1,
			Reason: fmt.Sprintf("app %q has %d requests waiting, which is its backlog", p.app.Name, p.queue.length)}
	}
	r.refs.Add(1)
	if r.queued = r.waiter.began; r.queued.IsZero() {
		r.queued = time.Now()
	}
	p.queue.pushBack(r)
	p.dispatch()
	return nil
}

// dispatch gives waiting requests to workers that have room.
func (p *Pool) dispatch() {
	for p.queue.first != nil {
		w := p.pick()
		if w == nil {
			return
		}
		r := p.queue.first
		p.queue.remove(r)
		r.waited = time.Since(r.queued)
		if !r.withdrawn && r.waited > grantAfter {
			w.add(r)
			r.at = placeGranted
			if r.stage.CompareAndSwap(stageWaiting, stageGranted) {
				r.tell(nil)
				continue
			}
		}
		if r.at == placeGranted {
			w.remove(r)
		}
		if !p.give(w, r) {
			return
		}
	}
}

// pick returns the worker for the next request, nil when none has room. A
// worker that is idle comes before one that has to queue it.
func (p *Pool) pick() *worker {
	var best *worker
	for _, w := range p.ready {
		if w.room() <= 0 {
			continue
		}
		if best == nil || p.better(w, best) {
			best = w
		}
	}
	return best
}

func (p *Pool) better(a, b *worker) bool {
	if a.stuck != b.stuck {
		return b.stuck
	}
	if p.app.Balance == RoundRobin {
		if ai, bi := a.outstanding < a.threads, b.outstanding < b.threads; ai != bi {
			return ai
		}
		return a.assigned < b.assigned
	}
	return a.outstanding < b.outstanding
}

// give sends r to w; where that fails r waits at the head of the queue.
func (p *Pool) give(w *worker, r *request) bool {
	w.add(r)
	return p.transmit(w, r)
}

func (p *Pool) transmit(w *worker, r *request) bool {
	r.at = placeWorker
	b := r.frame
	b[4], b[5], b[6], b[7] = byte(r.id), byte(r.id>>8), byte(r.id>>16), byte(r.id>>24)
	if w.lane != nil && w.putInLane(r) {
		return true
	}
	err := w.channel.send(b, r.rights)
	if err == nil {
		if w.lane != nil {
			w.lane.misfit = r.id
		}
		return true
	}
	w.remove(r)
	w.assigned--
	p.requeue(r)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
		w.full = true
		return false
	}
	w.stuck = true
	p.post(event{kind: eventViolation, w: w, text: "cannot be sent a request: " + err.Error()})
	return false
}

// putInLane passes r by the lane where it can go there. The channel is for what
// does not fit; while it holds that, later requests queue behind it.
func (w *worker) putInLane(r *request) bool {
	l := w.lane
	fits := r.rights == nil && len(r.frame) <= laneEntry-4 && w.hasReceived(l.ids[l.puts&(l.size-1)])
	if !fits || !w.hasReceived(l.misfit) {
		return false
	}
	l.put(r.id, r.frame)
	if l.waiting() {
		// A worker that is woken for a turn's first request, and finds it alone,
		// sleeps again before the second: it is woken when the turn is over.
		w.owesWake.Store(true)
		if l.asleep.Load() {
			w.wake()
		}
	}
	return true
}

// hasReceived reports whether the worker needs the frame of request id no more.
func (w *worker) hasReceived(id uint32) bool {
	r := w.find(id)
	return r == nil || w.hasStarted(r)
}

// wake has a worker that waits for its channel look at its lane. The pool's
// lock is held.
func (w *worker) wake() {
	if w.owesWake.Swap(false) && w.lane.waiting() {
		w.channel.send(appendHeader(w.wakeUp[:0], frameWake, 0, 0), nil)
	}
}

// wakeLate is wake for the end of a turn. The reader's lock is held.
func (w *worker) wakeLate() {
	if w.owesWake.Load() && !w.ended.Load() {
		w.pool.mu.Lock()
		w.wake()
		w.pool.mu.Unlock()
	}
}

// requeue puts r at the head of the queue: it has waited longest.
func (p *Pool) requeue(r *request) {
	if r.queued.IsZero() {
		r.queued = time.Now()
	}
	r.stage.CompareAndSwap(stageGranted, stageWaiting)
	p.queue.pushFront(r)
}

// complete ends r's stay at w, whose response has come, and gives w more to do.
func (p *Pool) complete(w *worker, r *request) {
	w.remove(r)
	w.served++
	p.served++
	w.progress = p.now.Load()
	w.slow, w.stuck, w.full = false, false, false
	if w.limit > 0 && w.served >= w.limit && !w.tired {
		w.tired = true
		p.post(event{kind: eventTired, w: w})
	}
	if w.state != Ready {
		if w.state == Condemned && !w.runsOthers() {
			p.post(event{kind: eventIdle, w: w})
		}
		return
	}
	p.dispatch()
	for w.outstanding < w.threads && p.queue.length == 0 && p.steal(w) {
	}
}

// steal gives the idle worker w a request that waits at another one.
func (p *Pool) steal(w *worker) bool {
	var from *worker
	most := 0
	for _, v := range p.ready {
		n := v.outstanding - v.threads
		if v.stuck {
			n = v.outstanding
		}
		if v != w && n > most {
			from, most = v, n
		}
	}
	if from == nil || w.state != Ready {
		return false
	}
	r := p.takeOne(from)
	if r == nil {
		return false
	}
	return p.give(w, r)
}

// takeOne takes a request back that w has not received, nil when there is
// none: the newest of its lane, then the oldest of its channel.
func (p *Pool) takeOne(w *worker) *request {
	id, ok := w.takeBack()
	if !ok {
		return nil
	}
	r := w.find(id)
	if r == nil || r.answering {
		p.distrust(w, fmt.Sprintf("it has answered request %#x and has not received it", id))
		return nil
	}
	w.remove(r)
	w.assigned--
	return r
}

// takeBack returns the id of a request that w will not receive any more.
func (w *worker) takeBack() (id uint32, ok bool) {
	if w.distrusted || w.channel.taken < 0 {
		return 0, false
	}
	if w.lane != nil { // first: what is in the channel may have to wake the worker for it
		id, ok, err := w.lane.takeBack()
		if err != nil {
			w.pool.distrust(w, err.Error())
		}
		if ok || err != nil {
			return id, ok
		}
		if w.lane.holds() && w.lane.waiting() {
			w.owesWake.Store(true)
			w.wake()
		}
	}
	for {
		b, ok := w.channel.takeBack()
		if !ok {
			return 0, false
		}
		if len(b) >= headerSize && b[0] == frameRequest { // else a wake-up, or the first frame, of a worker that died before it
			return uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24, true
		}
	}
}

// distrust ends w, which has broken the protocol. Nothing is taken back from it
// any more: what it holds goes on once it has died.
func (p *Pool) distrust(w *worker, breach string) {
	if !w.distrusted {
		w.distrusted, w.stuck = true, true
		p.post(event{kind: eventViolation, w: w, text: breach})
	}
}

// takeAll takes back what w has not received; it waits again, in its order.
func (p *Pool) takeAll(w *worker) {
	var all []*request
	for r := p.takeOne(w); r != nil; r = p.takeOne(w) {
		all = append(all, r)
	}
	for _, r := range w.table {
		if r != nil && r.at == placeGranted {
			w.remove(r)
			w.assigned--
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *request) int { return int(a.id>>indexBits) - int(b.id>>indexBits) })
	for i := len(all) - 1; i >= 0; i-- {
		p.requeue(all[i])
	}
}

// granted sends r, for which a worker was kept, unless its client has gone.
// It runs on r's goroutine.
func (p *Pool) granted(r *request, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.stage.CompareAndSwap(stageGranted, stageWaiting) || r.at != placeGranted {
		return
	}
	w := r.worker
	if !gone {
		r.waited = time.Since(r.queued)
		p.transmit(w, r)
		return
	}
	w.remove(r)
	w.assigned--
	p.dispatch()
	r.drop()
}

// withdraw takes r, whose client has gone, out of the queue. It reports false
// when a worker has it already.
func (p *Pool) withdraw(r *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.at != placeQueued {
		return false
	}
	p.queue.remove(r)
	r.drop()
	return true
}

// abandon says that nobody waits for r's answer any more. What its worker
// still sends is dropped. It returns the name of the worker that had it.
func (p *Pool) abandon(r *request) string {
	p.mu.Lock()
	r.withdrawn = true
	slot, w := r.slot, r.worker
	if r.at == placeWorker {
		w.cancel(r)
	}
	p.mu.Unlock()
	back := r.out.Drop()
	if w == nil {
		return ""
	}
	if slot >= 0 {
		w.slots[slot].repay(back)
	}
	return w.name
}

// cancel tells the thread that runs r, which nobody waits for, to end its
// response. Where none has started r the tick asks again. The pool's lock is held.
func (w *worker) cancel(r *request) {
	slot := int(r.slot)
	if !r.answering {
		slot = w.runningIn(r)
	}
	if slot >= 0 && !r.cancelled {
		r.cancelled = true
		w.slots[slot].cancel(r.id)
	}
}
