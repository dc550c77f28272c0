package pool

import (
	"time"

	"alicorn/proxy"
)

// eventKind is the kind of an event. After each event the supervisor calls reconcile. Kinds
// marked "wakes" need nothing else.
type eventKind uint8

const (
	eventReady      eventKind = iota // the worker has imported the application
	eventBootFailed                  // the worker has failed to import the application
	eventExited                      // the process has ended, and all its frames were read
	eventLeaving                     // the worker asks to be retired
	eventViolation                   // the worker has broken the protocol
	eventLost                        // no frame can be sent by the worker's stream channel any more
	eventTired                       // the worker is near max_requests; wakes
	eventIdle                        // a worker that leaves or is condemned has ended its last request
	eventScaled                      // the number of workers has changed, or a turn to import has come; wakes
	eventSucceeded                   // another pool takes the app's new requests; wakes
	eventStopped                     // the pool ends now
	eventCutOff                      // a WebSocket has lost its worker
	eventQuits                       // the server stops
)

// event is something that has happened, for the supervisor.
type event struct {
	kind   eventKind
	w      *worker // nil: it concerns the pool
	text   string  // for eventLeaving, eventViolation and eventLost: why
	exit   Exit
	report Report
	boot   *BootError
	cut    <-chan struct{} // for eventStopped: ends the wait for requests
	socket Socket          // for eventCutOff
	code   uint16          // for eventCutOff: of the close frame
	within time.Duration   // for eventQuits: until WebSockets are cut
}

// supervision is the state of the supervisor, which alone uses it.
type supervision struct {
	ticked    time.Time       // when the tick was last
	idleTicks int             // how many ticks in a row found no requests
	failures  int             // how many starts in a row have failed
	young     int             // how many workers in a row have ended right after they became ready
	cuts      int             // how many starts in a row were interrupted, of those that began one after the other
	lastCut   time.Time       // when the last of them was
	cut       <-chan struct{} // closed when workers must end at once
	quitting  time.Time       // when streams are told to end next; zero: the server does not stop
}

// sinceTick returns the time since the last tick, but at most pauseAfter.
func (s *supervision) sinceTick(now time.Time) time.Duration {
	since := min(now.Sub(s.ticked), pauseAfter)
	s.ticked = now
	return since
}

// idles reports whether the tick may rest. busy says that requests were outstanding in this
// tick.
func (s *supervision) idles(busy bool) bool {
	if s.idleTicks++; busy {
		s.idleTicks = 0
	}
	if s.idleTicks < int(restAfter) {
		return false
	}
	s.idleTicks = 0
	return true
}

// run is the supervisor. It handles events one after the other, and calls reconcile, which is
// idempotent, after each.
func (p *Pool) run() {
	defer func() {
		p.ticker.Stop()
		p.outputs.end()
		p.o.Imports.forget(p)
		p.o.Observer.Ended()
		p.arena.Close()
		close(p.done)
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case e := <-p.events:
			p.on(e)
		case <-p.ticker.C:
			p.tick(time.Now())
		case <-timer.C:
		case <-p.cut:
			p.cut = nil
			p.hurry()
		}
		next, ended := p.reconcile(time.Now())
		if ended {
			return
		}
		timer.Reset(time.Until(next))
	}
}

// on handles an event. An event of a worker that is dead is dropped.
func (p *Pool) on(e event) {
	w := e.w
	if w != nil && w.state == workerDead {
		return
	}
	switch e.kind {
	case eventReady:
		p.onReady(w, e.report)
	case eventBootFailed:
		w.boot = e.boot
	case eventExited:
		p.onExit(w, e.exit)
	case eventStopped:
		p.cut = e.cut
		p.retireAll()
	case eventLeaving:
		p.onLeaving(w, e.text)
	case eventViolation:
		p.onViolation(w, e.text)
	case eventLost:
		p.onStreamsLost(w, e.text)
	case eventQuits:
		p.quits(time.Now(), e.within)
	case eventCutOff:
		e.socket.Close(nil, e.code, "")
	case eventIdle:
		p.onIdle(w, time.Now())
	}
}

// onReady makes w take requests.
func (p *Pool) onReady(w *worker, r Report) {
	if w.state != workerStarting {
		return
	}
	if told, ok := w.process.(interface{ CameUp() }); ok && !p.cameUp {
		told.CameUp()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.report, w.state, w.deadline, w.readied = r, workerReady, time.Time{}, time.Now()
	w.early.end()
	p.cuts = 0
	for i, v := range p.ready {
		if i == 0 || v.assigned < w.assigned {
			w.assigned = v.assigned
		}
	}
	p.ready = append(p.ready, w)
	p.agree()
	p.readied()
	p.endImport(w)
	p.occupy(w)
}

// agree gives the observer the reports of the ready workers. The caller holds the lock.
func (p *Pool) agree() {
	all := make([]Report, len(p.ready))
	for i, w := range p.ready {
		all[i] = w.report
	}
	p.o.Observer.Reported(all)
}

// onLeaving retires w, which asks for it.
func (p *Pool) onLeaving(w *worker, why string) {
	if w.state < workerLeaving {
		w.log(proxy.LevelNotice, "leaves: %s", printable(why))
	}
	p.mu.Lock()
	w.asked = true
	p.mu.Unlock()
	p.retire(w, workerLeaving, why)
}

// onStreamsLost ends w, whose stream channel is lost, if it still needs that.
func (p *Pool) onStreamsLost(w *worker, why string) {
	p.mu.Lock()
	needed := w.state <= workerReady || w.state == workerLeaving && w.outstanding > 0
	p.mu.Unlock()
	if needed {
		p.onViolation(w, why)
	}
}
