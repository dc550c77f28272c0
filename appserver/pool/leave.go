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
}

// part has the WebSockets of w, which has had graceful_timeout, end by and by. Its other
// requests have drain_timeout, counted as that.
func (p *Pool) part(w *worker, now time.Time) {
	spread := min(p.o.GracefulTimeout/2, longestSpread)
	w.urged = parted
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range w.jobs {
		if j != nil && j.at == placeTalking {
			w.parting = append(w.parting, parting{j.Socket, now.Add(time.Duration(rand.Int64N(int64(spread) + 1)))})
		}
	}
	w.deadline = now.Add(max(p.o.DrainTimeout-p.o.GracefulTimeout, spread))
	if w.outstanding == 0 {
		w.deadline = now
		w.urged = drained
	}
	p.wakeTick()
}

// partDue ends the WebSockets whose time has come.
func (p *Pool) partDue(now time.Time) {
	for _, w := range p.workers {
		w.parting = slices.DeleteFunc(w.parting, func(d parting) bool {
			due := !now.Before(d.at)
			if due {
				d.socket.Close(nil, closeRestart, "")
			}
			return due
		})
	}
}

// Quit says that the server stops: it waits for its clients, and for the streams of ASGI
// applications graceful_timeout, since they would never end by themselves.
func (p *Pool) Quit() { p.post(event{kind: eventQuits}) }

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
		for _, j := range w.jobs {
			if j != nil && w.streams != nil && j.at == placeAnswering {
				w.slots[w.place(j.id)].cancel(j.id, wire.WorkerLeaves)
			}
		}
	}
}

// drain tells the requests of w, which waits for them no longer, to end.
func (p *Pool) drain(w *worker, now time.Time) {
	w.urged = drained
	w.deadline = now.Add(killAfter)
	w.parting = nil
	var sockets []Socket
	p.mu.Lock()
	for _, j := range w.jobs {
		switch {
		case j == nil:
		case j.at == placeTalking:
			sockets = append(sockets, j.Socket)
		case w.hasStarted(j):
			w.slots[w.place(j.id)].cancel(j.id, wire.WorkerLeaves)
		}
	}
	p.mu.Unlock()
	for _, s := range sockets {
		s.Close(nil, closeRestart, "")
	}
}
