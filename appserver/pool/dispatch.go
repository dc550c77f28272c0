package pool

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// Submit gives j to a worker or to the queue. If it returns nil, the pool holds a reference to
// j; otherwise it returns the answer to the request.
func (p *Pool) Submit(j *Job) *proxy.Fail {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.replaced {
		return ErrSucceeded
	}
	if p.broken() {
		return p.unavailable()
	}
	if p.phase == phaseEnds {
		return &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: fmt.Sprintf("app %q is stopped", p.o.Name), RetryAfter: 1}
	}
	p.wakeTick()
	j.submitted(p.arrive())
	if p.queue.length == 0 {
		if w := p.pick(); w != nil {
			j.refs.Add(1)
			p.give(w, j)
			return nil
		}
	}
	if p.queue.length >= p.o.Backlog {
		p.turnAway()
		return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: 1,
			Reason: fmt.Sprintf("app %q has %s waiting, which is its backlog", p.o.Name, proxy.Count(p.queue.length, "request"))}
	}
	j.refs.Add(1)
	p.queue.pushBack(j)
	p.dispatch()
	return nil
}

// dispatch gives waiting requests to workers that have room, in the order of arrival. If a
// request has come back after younger ones were sent, the younger ones at the worker that gets
// it come back first; if no worker has room for it, all younger ones do. These may bring back
// even older requests, so each round begins with an older one. The caller holds the lock.
func (p *Pool) dispatch() {
	p.giveWaiting()
	for p.queue.first != nil && p.queue.first.arrival < p.newest {
		p.recall(p.queue.first.arrival)
		p.giveWaiting()
	}
}

// giveWaiting gives waiting requests to workers until none has room.
func (p *Pool) giveWaiting() {
	for p.queue.first != nil {
		j := p.queue.first
		if j.clientGone() {
			p.leave(j)
			continue
		}
		w := p.pick()
		if w == nil {
			return
		}
		if w.newest > j.arrival && p.takeAll(w) {
			continue
		}
		p.queue.remove(j)
		j.waited = time.Since(j.Began)
		if !p.give(w, j) {
			return
		}
	}
}

// pick returns the worker for the next request; nil if none has room. An idle worker comes
// before one at which the request would wait. A stuck worker is picked only if all are stuck.
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
	if best != nil && best.trust == stuck && healthy {
		return nil
	}
	return best
}

// better reports whether a is to be picked before b.
func (p *Pool) better(a, b *worker) bool {
	if a, b := a.trust == stuck, b.trust == stuck; a != b {
		return b
	}
	if p.o.Balance == RoundRobin {
		if ai, bi := a.outstanding < a.threads, b.outstanding < b.threads; ai != bi {
			return ai
		}
		return a.assigned < b.assigned
	}
	return a.outstanding < b.outstanding
}

// give sends j to w. If that fails, j goes back to the queue, and give returns false.
func (p *Pool) give(w *worker, j *Job) bool {
	w.add(j)
	b := j.Frame
	b[4], b[5], b[6], b[7] = byte(j.id), byte(j.id>>8), byte(j.id>>16), byte(j.id>>24)
	inLane := w.lane != nil && w.putInLane(j)
	err := error(nil)
	if !inLane {
		err = w.channel.Send(b, j.Rights)
	}
	if err == nil {
		if w.lane != nil && !inLane {
			w.misfit = j.id
		}
		w.sent(j)
		p.newest = max(p.newest, j.arrival)
		p.weary(w)
		return true
	}
	w.remove(j)
	w.unassign()
	p.requeue(j)
	if isTransient(err) {
		w.blocked()
		return false
	}
	p.distrust(w, "cannot be sent a request: "+err.Error())
	return false
}

// passing has the state of sending jobs by the lane and the channel. The pool's lock guards it;
// the reader may load owesWake.
type passing struct {
	misfit   uint32                // id of the newest job that was sent by the channel although there is a lane
	owesWake atomic.Bool           // the lane has a job for which the worker was not woken yet
	wakeUp   [wire.HeaderSize]byte // memory for the frame of wake
}

// isTransient reports whether err means that a frame may be sent later: the socket is full,
// memory is short, or too many descriptors of this user are on their way to workers that do not
// receive.
func isTransient(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ETOOMANYREFS)
}

// putInLane sends j by the lane. It returns false if j must go by the channel: j does not fit
// into the lane, or an earlier request that did not fit is still in the channel.
func (w *worker) putInLane(j *Job) bool {
	l := w.lane
	fits := j.Rights == nil && len(j.Frame) <= wire.LaneEntry-4 && w.hasReceived(l.Next())
	if !fits || !w.hasReceived(w.misfit) {
		return false
	}
	l.Put(j.id, j.Frame)
	if l.Waiting() {
		// A worker that is woken for the first request of a turn would sleep again before
		// the second one comes. So it is woken when the turn is over.
		w.owesWake.Store(true)
		if l.Asleep() {
			w.wake()
		}
	}
	return true
}

// hasReceived reports whether the worker has received the frame of request id.
func (w *worker) hasReceived(id uint32) bool {
	j := w.find(id)
	return j == nil || w.hasStarted(j)
}

// wake wakes a worker that waits for its channel, if its lane has a job for which it was not
// woken. The caller holds the pool's lock.
func (w *worker) wake() {
	if w.owesWake.Swap(false) && w.lane.Waiting() {
		w.channel.Send(wire.AppendHeader(w.wakeUp[:0], wire.KindWake, 0, 0), nil)
	}
}

// wakeLate is wake for the end of a turn. The caller holds the reader's lock.
func (w *worker) wakeLate() {
	if w.owesWake.Load() && w.isRead() {
		w.pool.mu.Lock()
		w.wake()
		w.pool.mu.Unlock()
	}
}

// complete takes j, which has been answered, from w, and gives w more requests. The caller holds
// the lock.
func (p *Pool) complete(w *worker, j *Job) {
	w.remove(j)
	w.served++
	p.serve()
	w.progressed(p.now.Load(), w.served)
	p.weary(w)
	if w.state != workerReady {
		if w.state == workerCondemned && !w.runsOthers() || w.streams != nil && w.outstanding == 0 {
			p.post(event{kind: eventIdle, w: w})
		}
		return
	}
	p.occupy(w)
}

// weary marks w as tired, so that it is replaced, if max_requests is near: if it may get no
// more requests, or if at its rate the rest of them take no longer than a worker takes to start.
// The rate counts once w has served ten requests or half of them.
func (p *Pool) weary(w *worker) {
	if w.limit == 0 || w.tired || w.state != workerReady {
		return
	}
	if rest := w.left(); rest > 0 {
		if w.served < min((w.limit+1)/2, 10) {
			return
		}
		mean := float64(w.served) / time.Duration(max(p.now.Load()-w.readied.UnixNano(), 1)).Seconds()
		if float64(rest) > max(mean, w.rate)*w.readied.Sub(w.born).Seconds() {
			return
		}
	}
	w.tired = true
	p.post(event{kind: eventTired, w: w})
}

// occupy gives w what waits, in the queue or at other workers.
func (p *Pool) occupy(w *worker) {
	p.dispatch()
	p.fill(w)
}

// fill has w, where it has a free thread and nothing is queued, steal.
func (p *Pool) fill(w *worker) {
	for w.outstanding < w.threads && w.room() > 0 && w.trust != stuck && p.queue.length == 0 {
		before := w.outstanding
		if !p.steal(w) || w.outstanding == before {
			return
		}
	}
}

// leave takes j, whose client has gone, from the queue and wakes its Exchange.
func (p *Pool) leave(j *Job) {
	p.queue.remove(j)
	if j.wanted == wanted {
		j.advance(StageGone)
		j.tell(nil)
	}
	j.Drop()
}

// Withdraw takes j from the queue if it is there and its client has gone, and reports whether
// it has. j's Exchange calls it.
func (p *Pool) Withdraw(j *Job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.at != placeQueued || !j.clientGone() {
		return false
	}
	p.queue.remove(j)
	j.Drop()
	return true
}

// Abandon notes that nobody waits for j's answer any more: the pool drops what its worker still
// sends. It returns the name of that worker; "" if none has j.
func (p *Pool) Abandon(j *Job) string {
	p.mu.Lock()
	j.withdraw()
	slot, id, w := j.slot, j.id, j.worker
	if j.at == placeTalking {
		p.mu.Unlock()
		p.Hangup(nil, j, closeLost, "")
		return w.name
	}
	if j.at >= placeSent {
		w.cancel(j)
	}
	p.mu.Unlock()
	back := j.Out.Drop(j)
	if w == nil {
		return ""
	}
	if slot >= 0 {
		w.slots[slot].repay(id, back)
	}
	return w.name
}

// cancel tells the thread that runs j, for which nobody waits, to end its response. If no
// thread has started j, the tick calls cancel again. The caller holds the pool's lock.
func (w *worker) cancel(j *Job) {
	slot := int(j.slot)
	if j.at < placeAnswering {
		slot = w.runningIn(j)
	}
	if slot >= 0 && j.wanted != cancelled {
		j.wanted = cancelled
		w.slots[slot].cancel(j.id, wire.ClientGone)
	}
}
