package appserver

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

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
	p.arrivals++
	r.arrival = p.arrivals
	r.stage.Store(stageWaiting)
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
	p.queue.pushBack(r)
	p.dispatch()
	return nil
}

// dispatch gives waiting requests to workers that have room, in the order of
// arrival. Where one has come back that is older than what has been sent since,
// what is younger at its worker comes back first; where no worker has room for
// it, all that is younger does. With that may come what is older still, and has
// others before it that are younger: each round begins with an older one.
func (p *Pool) dispatch() {
	p.giveWaiting()
	for p.queue.first != nil && p.queue.first.arrival < p.newest {
		p.recall(p.queue.first.arrival)
		p.giveWaiting()
	}
}

func (p *Pool) giveWaiting() {
	for p.queue.first != nil {
		r := p.queue.first
		if r.clientGone() {
			p.leave(r)
			continue
		}
		w := p.pick()
		if w == nil {
			return
		}
		if w.newest > r.arrival && p.takeAll(w) {
			continue
		}
		p.queue.remove(r)
		r.waited = time.Since(r.waiter.began)
		if !p.give(w, r) {
			return
		}
	}
}

// pick returns the worker for the next request, nil when none has room. A
// worker that is idle comes before one that has to queue it. One that is stuck
// gets a request only where all are.
func (p *Pool) pick() *worker {
	var best *worker
	healthy := false
	for _, w := range p.ready {
		healthy = healthy || w.healthy()
		if w.room() <= 0 {
			continue
		}
		if best == nil || p.better(w, best) {
			best = w
		}
	}
	if best != nil && best.stuck && healthy {
		return nil
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

// give sends r to w; where that fails r waits in the queue.
func (p *Pool) give(w *worker, r *request) bool {
	w.add(r)
	b := r.frame
	b[4], b[5], b[6], b[7] = byte(r.id), byte(r.id>>8), byte(r.id>>16), byte(r.id>>24)
	inLane := w.lane != nil && w.putInLane(r)
	err := error(nil)
	if !inLane {
		err = w.channel.Send(b, r.rights)
	}
	if err == nil {
		if w.lane != nil && !inLane {
			w.misfit = r.id
		}
		w.newest, p.newest = max(w.newest, r.arrival), max(p.newest, r.arrival)
		p.weary(w)
		return true
	}
	w.remove(r)
	w.assigned--
	p.requeue(r)
	if isTransient(err) {
		w.full = true
		return false
	}
	p.distrust(w, "cannot be sent a request: "+err.Error())
	return false
}

// isTransient reports that a worker cannot be sent a frame now, through no fault
// of its own: its socket is full, memory is short, or too many descriptors of this
// user are on their way to workers that do not receive.
func isTransient(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ETOOMANYREFS)
}

// putInLane passes r by the lane where it can go there. The channel is for what
// does not fit; while it holds that, later requests queue behind it.
func (w *worker) putInLane(r *request) bool {
	l := w.lane
	fits := r.rights == nil && len(r.frame) <= wire.LaneEntry-4 && w.hasReceived(l.Next())
	if !fits || !w.hasReceived(w.misfit) {
		return false
	}
	l.Put(r.id, r.frame)
	if l.Waiting() {
		// A worker that is woken for a turn's first request, and finds it alone,
		// sleeps again before the second: it is woken when the turn is over.
		w.owesWake.Store(true)
		if l.Asleep() {
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
	if w.owesWake.Swap(false) && w.lane.Waiting() {
		w.channel.Send(wire.AppendHeader(w.wakeUp[:0], wire.KindWake, 0, 0), nil)
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

// complete ends r's stay at w, whose response has come, and gives w more to do.
func (p *Pool) complete(w *worker, r *request) {
	w.remove(r)
	w.served++
	p.served++
	w.progressed(p.now.Load())
	p.weary(w)
	if w.state != Ready {
		if w.state == Condemned && !w.runsOthers() {
			p.post(event{kind: eventIdle, w: w})
		}
		return
	}
	p.occupy(w)
}

// weary has w replaced where max_requests is near: when it can be given no more
// requests, or, with half of them or ten served, when the rest of them will take
// it no longer than a worker takes to start.
func (p *Pool) weary(w *worker) {
	if w.limit == 0 || w.tired || w.state != Ready {
		return
	}
	if rest := w.left(); rest > 0 {
		if w.served < min((w.limit+1)/2, 10) {
			return
		}
		each := (p.now.Load() - w.readied.UnixNano()) / int64(w.served)
		if int64(rest)*each > int64(w.readied.Sub(w.born)) {
			return
		}
	}
	w.tired = true
	p.post(event{kind: eventTired, w: w})
}

// left is how many more requests w may be given under max_requests.
func (w *worker) left() int {
	return max(int(w.limit)-int(w.served)-w.outstanding, 0)
}

// occupy gives w what waits, in the queue or at other workers.
func (p *Pool) occupy(w *worker) {
	p.dispatch()
	p.fill(w)
}

// fill has w, where it has a free thread and nothing is queued, steal.
func (p *Pool) fill(w *worker) {
	for w.outstanding < w.threads && w.room() > 0 && !w.stuck && p.queue.length == 0 {
		before := w.outstanding
		if !p.steal(w) || w.outstanding == before {
			return
		}
	}
}

// clientGone reports that nobody waits for the answer to r, which no worker
// has. The pool's lock is held.
func (r *request) clientGone() bool {
	c := r.waiter.client
	return r.withdrawn || c != nil && c.Gone()
}

// leave takes r, whose client has gone, out of the queue and tells its Exchange.
func (p *Pool) leave(r *request) {
	p.queue.remove(r)
	if !r.withdrawn {
		r.stage.CompareAndSwap(stageWaiting, stageGone)
		r.tell(nil)
	}
	r.drop()
}

// withdraw takes r out of the queue if its client has gone. It runs for r's
// Exchange.
func (p *Pool) withdraw(r *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.at != placeQueued || !r.clientGone() {
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
	back := r.out.Drop(r)
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
