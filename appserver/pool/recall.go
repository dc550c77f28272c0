package pool

import (
	"cmp"
	"fmt"
	"slices"

	"alicorn/appserver/wire"
)

// recall takes back, from all workers that have requests younger than arrival, the requests that
// they have not received. The caller holds the lock, as for all functions of this file.
func (p *Pool) recall(arrival uint64) {
	p.newest = 0
	for _, w := range p.ready {
		if w.newest > arrival {
			p.takeAll(w)
		}
		p.newest = max(p.newest, w.newest)
	}
}

// steal gives the idle worker w requests that wait at another worker. It begins with the worker
// that has ended no request for the longest time, where requests have waited longest. It
// returns false if no request could be taken back.
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

// takeAny takes back requests that wait at some worker other than w.
func (p *Pool) takeAny(w *worker) bool {
	for _, v := range p.ready {
		if v != w && v.hasQueued() && p.takeAll(v) {
			return true
		}
	}
	return false
}

// hasQueued reports whether w was sent more requests than it runs at a time, or is stuck.
func (w *worker) hasQueued() bool {
	return w.outstanding > w.threads || w.trust == stuck && w.outstanding > 0
}

// mostLosses is how many workers may be lost with a request that they had not received, beside
// one for each worker of the pool, as all may be killed at once. The request then fails: nobody but
// the worker knows whether it has received it, and an application can write to the worker's
// memory. Such a request would run, and end a worker, again and again.
const mostLosses = 16

// takeAll takes the requests that w has not received back into the queue. It reports whether
// there were any.
func (p *Pool) takeAll(w *worker) bool {
	w.recalled()
	if w.outstanding == 0 {
		return false
	}
	all := p.taken[:0]
	lost := w.isLost()
	for j := p.takeOne(w); j != nil; j = p.takeOne(w) {
		if !lost || p.outlasts(j, w) {
			all = append(all, j)
		}
	}
	p.requeue(all...)
	n := len(all)
	clear(all)
	p.taken = all
	return n > 0
}

// outlasts notes that w was lost with j, which it had not received. It reports whether j goes on;
// otherwise it ends j.
func (p *Pool) outlasts(j *Job, w *worker) bool {
	if j.losses++; int(j.losses) <= p.want+mostLosses {
		return true
	}
	j.abort(fmt.Sprintf("%d workers ended and had not received the request, or have hidden that; the last was %s", j.losses, w.name))
	return false
}

// requeue puts requests back into the queue, in the order of arrival.
func (p *Pool) requeue(back ...*Job) {
	slices.SortFunc(back, func(a, b *Job) int { return cmp.Compare(a.arrival, b.arrival) })
	p.queue.merge(back)
}

// takeOne takes back a request that w has not received: the newest of its lane, then the oldest
// of its channel. It returns nil if there is none. Requests that w has marked as started all the
// same fail.
func (p *Pool) takeOne(w *worker) *Job {
	for {
		id, ok := w.takeBack()
		if !ok {
			return nil
		}
		j := w.find(id)
		if j == nil || j.at >= placeAnswering {
			p.distrust(w, fmt.Sprintf("it has answered request %#x and has not received it", id))
			return nil
		}
		begun := w.hasStarted(j)
		w.remove(j)
		w.unassign()
		if !begun {
			return j
		}
		j.abort(fmt.Sprintf("worker %s (pid %d) has started the request, and says that it has not received it", w.name, w.process.Pid()))
	}
}

// takeBack takes back a frame, and returns the id of its request, which w will not receive.
func (w *worker) takeBack() (id uint32, ok bool) {
	if w.trust == distrusted || w.channel.Closed() {
		return 0, false
	}
	if w.lane != nil { // before the channel, as a frame there may have to wake the worker for the lane
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
		b, ok, err := w.channel.TakeBack()
		if err != nil {
			w.pool.distrust(w, err.Error())
		}
		if !ok {
			return 0, false
		}
		if len(b) >= wire.HeaderSize && b[0] == wire.KindRequest { // not KindWake, or the first frame of a worker that has died before it received it
			return uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24, true
		}
	}
}

// distrust ends w, which has broken the protocol. Its requests go on when it has died.
func (p *Pool) distrust(w *worker, breach string) {
	if w.distrust() {
		p.post(event{kind: eventViolation, w: w, text: breach})
	}
}

// audit checks what w says in its lane against what it has said before.
func (p *Pool) audit(w *worker) {
	if w.lane != nil && w.trust != distrusted {
		if err := w.lane.Check(); err != nil {
			p.distrust(w, err.Error())
		}
	}
}
