package pool

import (
	"math/rand/v2"
	"slices"
	"time"

	"alicorn/appserver/wire"
)

// longestSpread bounds the time over which the ends of a worker's WebSockets are spread. Their
// clients connect again at once, so they must not all end together.
const longestSpread = 5 * time.Second

// parting is a WebSocket that ends at a time.
type parting struct {
	socket Socket
	at     time.Time
	code   uint16
	reason string
}

// part makes the WebSockets of w end one after the other, as graceful_timeout is over. Its other
// requests, and work of the application after its responses, have drain_timeout, which began
// with graceful_timeout.
func (p *Pool) part(w *worker, now time.Time) {
	spread := p.spread()
	w.urged = parted
	p.mu.Lock()
	defer p.mu.Unlock()
	w.partBetween(now, now.Add(spread), closeRestart, "service restart")
	w.deadline = now.Add(max(p.o.DrainTimeout-p.o.GracefulTimeout, spread))
	p.wakeTick()
}

// hasten makes ASGI workers that are replaced because of max_requests end after graceful_timeout
// if more of them leave than there should be workers: with long streams they would become ever
// more. The oldest end first.
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

// spread returns the time over which the ends of a worker's WebSockets are spread.
func (p *Pool) spread() time.Duration { return min(p.o.GracefulTimeout/2, longestSpread) }

// partBetween makes each WebSocket of w end at a random time from first to last. The caller holds
// the lock.
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

// Quit is called when the server stops and waits for its clients. Streams of ASGI applications
// may never end by themselves, so they are told to end after graceful_timeout. WebSockets end
// before that, and before last, when the server cuts the rest.
func (p *Pool) Quit(last time.Duration) {
	p.post(event{kind: eventQuits, within: max(min(last, p.o.GracefulTimeout), 0)})
}

// quits handles eventQuits. WebSockets have some time to end by themselves. Then they end one
// after the other, early enough for their clients to answer.
func (p *Pool) quits(now time.Time, within time.Duration) {
	p.quitting = now.Add(p.o.GracefulTimeout)
	last := within / 10 * 9
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		w.partBetween(now.Add(last-min(within/2, longestSpread)), now.Add(last), closeLeaves, "server stops")
	}
}

// endStreams tells streams to end while the server stops: after graceful_timeout, and then each
// second, for streams that have begun later.
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

// drain tells the requests of w to end, as their time is over.
func (p *Pool) drain(w *worker, now time.Time) {
	w.urged = drained
	w.deadline = now.Add(killAfter)
	p.mu.Lock()
	w.partBetween(now, now, closeRestart, "service restart")
	w.tellLeaving(w.hasStarted)
	p.mu.Unlock()
	p.partDue(now)
}

// tellLeaving tells the requests for which ends returns true, except WebSockets, to end. The
// caller holds the lock.
func (w *worker) tellLeaving(ends func(j *Job) bool) {
	for _, j := range w.jobs {
		if j != nil && j.at != placeTalking && ends(j) {
			w.slots[w.place(j.id)].cancel(j.id, wire.WorkerLeaves)
		}
	}
}
