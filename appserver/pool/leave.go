package pool

import (
	"math/rand/v2"
	"slices"
	"time"

	"alicorn/appserver/wire"
)

// longestSpread bounds the time over which the WebSockets of a worker that leaves are ended:
// their clients connect again at once, and all together would be many.
const longestSpread = 5 * time.Second

// parting is a WebSocket that ends at that time.
type parting struct {
	socket Socket
	at     time.Time
	code   uint16
	reason string
}

// part has the WebSockets of w, which has had graceful_timeout, end by and by. Its other
// requests, and what the application still does after its responses, have drain_timeout,
// counted as that.
func (p *Pool) part(w *worker, now time.Time) {
	spread := p.spread()
	w.urged = parted
	p.mu.Lock()
	defer p.mu.Unlock()
	w.partBetween(now, now.Add(spread), closeRestart, "service restart")
	w.deadline = now.Add(max(p.o.DrainTimeout-p.o.GracefulTimeout, spread))
	p.wakeTick()
}

// hasten has ASGI workers that were recycled end once they have had graceful_timeout where more
// of them leave than should serve: else they would pile up, with streams that last. The oldest
// go first.
func (p *Pool) hasten(now time.Time) {
	var leaving []*worker
	p.mu.Lock()
	for _, w := range p.workers {
		if w.tired && w.leavesBefore(drained) {
			leaving = append(leaving, w)
		}
	}
	spare := max(len(leaving)-p.want, 0)
	p.mu.Unlock()
	last := now.Add(p.spread())
	for _, w := range leaving[:spare] {
		if w.urged == parted && w.deadline.After(last) {
			w.deadline = last
		}
	}
}

// spread is how long it takes to end the WebSockets of a worker that leaves.
func (p *Pool) spread() time.Duration { return min(p.o.GracefulTimeout/2, longestSpread) }

// partBetween has each WebSocket of w end at some time from first to last. The lock is held.
func (w *worker) partBetween(first, last time.Time, code uint16, reason string) {
	w.parting = w.parting[:0]
	for _, j := range w.jobs {
		if j != nil && j.at == placeTalking {
			at := first.Add(time.Duration(rand.Int64N(int64(last.Sub(first)) + 1)))
			w.parting = append(w.parting, parting{j.Socket, at, code, reason})
		}
	}
}

// partDue ends the WebSockets whose time has come.
func (p *Pool) partDue(now time.Time) {
	for _, w := range p.workers {
		w.parting = slices.DeleteFunc(w.parting, func(d parting) bool {
			due := !now.Before(d.at)
			if due {
				d.socket.Close(nil, d.code, d.reason)
			}
			return due
		})
	}
}

// Quit says that the server stops. It waits for its clients, and for the streams of ASGI
// applications graceful_timeout, since they would never end by themselves. WebSockets end
// before that, and before last has passed: then the server cuts those that are left.
func (p *Pool) Quit(last time.Duration) {
	p.post(event{kind: eventQuits, within: max(min(last, p.o.GracefulTimeout), 0)})
}

// quits begins the end of streams and WebSockets. These have some time to end by themselves.
// Then they end by and by, in time for their clients to answer.
func (p *Pool) quits(now time.Time, within time.Duration) {
	p.quitting = now.Add(p.o.GracefulTimeout)
	last := within / 10 * 9
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		w.partBetween(now.Add(last-min(within/2, longestSpread)), now.Add(last), closeLeaves, "server stops")
	}
}

// endStreams tells the streams that have begun to end, while the server stops. Later ones
// are told after another while.
func (p *Pool) endStreams(now time.Time) {
	if p.quitting.IsZero() || now.Before(p.quitting) {
		return
	}
	p.quitting = now.Add(time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w.streams != nil {
			w.tellLeaving(func(j *Job) bool { return j.at == placeAnswering })
		}
	}
}

// drain tells the requests of w, which waits for them no longer, to end.
func (p *Pool) drain(w *worker, now time.Time) {
	w.urged = drained
	w.deadline = now.Add(killAfter)
	p.mu.Lock()
	w.partBetween(now, now, closeRestart, "service restart")
	w.tellLeaving(w.hasStarted)
	p.mu.Unlock()
	p.partDue(now)
}

// tellLeaving says to the requests for which ends returns true, and that are no WebSockets,
// that w waits for them no longer. The lock is held.
func (w *worker) tellLeaving(ends func(j *Job) bool) {
	for _, j := range w.jobs {
		if j != nil && j.at != placeTalking && ends(j) {
			w.slots[w.place(j.id)].cancel(j.id, wire.WorkerLeaves)
		}
	}
}
