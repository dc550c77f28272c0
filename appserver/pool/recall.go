package pool

import (
	"cmp"
	"fmt"
	"slices"

	"alicorn/appserver/wire"
)

// recall takes back every request younger than arrival that a worker has not
// received.
func (p *Pool) recall(arrival uint64) {
	p.newest = 0
	for _, w := range p.ready {
		if w.newest > arrival {
			p.takeAll(w)
		}
		p.newest = max(p.newest, w.newest)
	}
}

// steal gives the idle worker w its share of what waits at another one. It
// begins with the worker that has ended no request for longest: what is there
// has waited longest. It reports false when nothing could be taken.
func (p *Pool) steal(w *worker) bool {
	if w.state != workerReady {
		return false
	}
	var from *worker
	for _, v := range p.ready {
		if v != w && v.hasQueued() && (from == nil || v.progress < from.progress) {
			from = v
		}
	}
	if from == nil {
		return false
	}
	if !p.takeAll(from) && !p.takeAny(w) {
		return false
	}
	p.dispatch()
	return true
}

// takeAny takes back what waits at some worker beside w.
func (p *Pool) takeAny(w *worker) bool {
	for _, v := range p.ready {
		if v != w && v.hasQueued() && p.takeAll(v) {
			return true
		}
	}
	return false
}

// hasQueued reports whether w has been sent more requests than it can run, or
// does not start what it has been sent.
func (w *worker) hasQueued() bool {
	return w.outstanding > w.threads || w.trust == stuck && w.outstanding > 0
}

// takeAll takes back what w has not received, into the queue. It reports
// whether there was anything.
func (p *Pool) takeAll(w *worker) bool {
	w.recalled()
	if w.outstanding == 0 {
		return false
	}
	all := p.taken[:0]
	for j := p.takeOne(w); j != nil; j = p.takeOne(w) {
		all = append(all, j)
	}
	p.requeue(all...)
	n := len(all)
	clear(all)
	p.taken = all
	return n > 0
}

// requeue has requests wait again, each in its place by arrival.
func (p *Pool) requeue(back ...*Job) {
	slices.SortFunc(back, func(a, b *Job) int { return cmp.Compare(a.arrival, b.arrival) })
	p.queue.merge(back)
}

// takeOne takes a request back that w has not received, nil when there is
// none: the newest of its lane, then the oldest of its channel.
func (p *Pool) takeOne(w *worker) *Job {
	id, ok := w.takeBack()
	if !ok {
		return nil
	}
	j := w.find(id)
	if j == nil || j.at >= placeAnswering {
		p.distrust(w, fmt.Sprintf("it has answered request %#x and has not received it", id))
		return nil
	}
	w.remove(j)
	w.unassign()
	return j
}

// takeBack returns the id of a request that w will not receive any more.
func (w *worker) takeBack() (id uint32, ok bool) {
	if w.trust == distrusted || w.channel.Closed() {
		return 0, false
	}
	if w.lane != nil { // first: what is in the channel may have to wake the worker for it
		id, ok, err := w.lane.TakeBack()
		if err != nil {
			w.pool.distrust(w, err.Error())
		}
		if ok || err != nil {
			return id, ok
		}
		if w.lane.Holds() && w.lane.Waiting() {
			w.owesWake.Store(true)
			w.wake()
		}
	}
	for {
		b, ok := w.channel.TakeBack()
		if !ok {
			return 0, false
		}
		if len(b) >= wire.HeaderSize && b[0] == wire.KindRequest { // else a wake-up, or the first frame, of a worker that died before it
			return uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24, true
		}
	}
}

// distrust ends w, which has broken the protocol. Nothing is taken back from it
// any more: what it holds goes on once it has died.
func (p *Pool) distrust(w *worker, breach string) {
	if w.distrust() {
		p.post(event{kind: eventViolation, w: w, text: breach})
	}
}
