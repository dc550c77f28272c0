package pool

import (
	"fmt"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

const (
	askEvery  = 200 * time.Millisecond  // how often the clients of waiting requests are checked
	restAfter = time.Second / tickEvery // after so many ticks without requests the tick rests
	// silenceOfLeft is when a client counts as gone that has ended its sending side during a
	// response: this time after the end, if nothing was sent to it since. Until something is
	// sent, TCP does not distinguish a client that has closed the connection from one that
	// still reads. For nginx both have gone at once; gunicorn notices neither. A client that
	// ends its sending side right after its request gets the whole response, however slow
	// the application is, as the head is sent after that.
	silenceOfLeft = 500 * time.Millisecond
	// pauseAfter is the time without a tick after which heartbeats are timed anew.
	pauseAfter = 500 * time.Millisecond
)

// tick checks the requests and workers. It takes back requests that wait behind long ones, ends
// requests that have taken longer than timeout or queue_timeout, and condemns workers that are
// stuck or give no heartbeat. It rests when no request was outstanding for a while.
func (p *Pool) tick(now time.Time) {
	p.now.Store(now.UnixNano())
	var late, still []*worker
	p.mu.Lock()
	since := p.sinceTick(now)
	busy := p.queue.length > 0
	for _, w := range p.workers {
		w.pace(w.served, w.outstanding, since)
		p.audit(w)
		if w.outstanding > 0 {
			busy = true
			if p.inspect(w, now, since) {
				late = append(late, w)
			}
			if !p.beats(w, now, since == pauseAfter) {
				still = append(still, w)
			}
		} else {
			w.rest(now.UnixNano())
		}
	}
	p.inspectQueue(now)
	p.dispatch()
	for _, w := range p.ready {
		p.fill(w)
	}
	if p.idles(busy) {
		p.ticking = false
		p.arena.Trim()
	} else {
		p.ticker.Reset(tickEvery)
	}
	p.mu.Unlock()
	p.partDue(now)
	p.endStreams(now)
	for _, w := range late {
		p.condemn(w, now, "a request took longer than timeout")
	}
	for _, w := range still {
		why := "it gave no heartbeat"
		if w.streams != nil {
			why = "its event loop stood still"
		}
		p.condemn(w, now, why)
	}
}

// inspect checks the requests of a worker, since after the last check. It returns true if the
// worker must be condemned: a request has taken longer than timeout, or none has started for as
// long. The caller holds the lock.
func (p *Pool) inspect(w *worker, now time.Time, since time.Duration) bool {
	late, waiting := false, 0
	for _, j := range w.jobs {
		p.attend(w, j, since)
		switch {
		case j == nil:
		case !w.hasStarted(j):
			waiting++
		case j.started == 0:
			j.started = now.UnixNano()
		case w.streams != nil && j.at >= placeAnswering: // it has no timeout
		case j.at == placeAnswering && j.Out.Full() || j.owner.Starved():
			j.started += int64(since) // its client is slow, not the application
		case p.o.Timeout > 0 && now.UnixNano()-j.started > int64(p.o.Timeout) && !j.failed():
			late = w.streams == nil
			p.timeOut(w, j)
		}
	}
	held := w.look(now.UnixNano(), waiting, w.outstanding)
	if held && (waiting > 1 || w.trust != stuck || p.healthyBeside(w)) {
		p.takeAll(w)
	}
	most := p.o.Timeout
	if most == 0 {
		most = p.o.QueueTimeout
	}
	return late || waiting > 0 && w.trust == stuck && now.UnixNano()-min(w.progress, w.since) > int64(most)
}

// beats reports whether w has given a heartbeat recently. If it has not, beats ends the requests
// that it runs. After a pause the time begins anew. The caller holds the lock.
func (p *Pool) beats(w *worker, now time.Time, paused bool) bool {
	if p.o.Heartbeat == 0 || w.state < workerReady || w.state >= workerCondemned {
		return true
	}
	if beat := w.page.Word(0, wire.PageHeartbeat).Load(); beat != w.beat || paused || w.beatSeen.IsZero() {
		w.beat, w.beatSeen = beat, now
	}
	if now.Sub(w.beatSeen) <= p.o.Heartbeat {
		return true
	}
	reason := "gave no heartbeat"
	if w.streams != nil {
		reason = "has an event loop that stood still"
	}
	for _, j := range w.jobs {
		switch {
		case j == nil || !w.hasStarted(j) || j.failed():
		case j.at == placeTalking:
			p.post(event{kind: eventCutOff, socket: j.Socket, code: closeError})
		default:
			j.fail(&proxy.Fail{Status: 504, Level: proxy.LevelError,
				Reason: fmt.Sprintf("worker %s (pid %d) %s for %s; the log has its stacks", w.name, w.process.Pid(), reason, p.o.Heartbeat)})
		}
	}
	return false
}

// attend checks j's client, since after the last check. If the client has gone, attend wakes
// j's Exchange. If nobody waits for the answer, it tells the worker. The caller holds the lock.
func (p *Pool) attend(w *worker, j *Job, since time.Duration) {
	switch {
	case j == nil || j.at == placeTalking:
	case j.wanted != wanted:
		w.cancel(j)
	case j.Lost():
		j.tell(nil)
	case j.at == placeAnswering && j.Client != nil && j.Client.Silent():
		j.silent(since)
	case w.streams != nil && j.at == placeSent && j.Client != nil && j.Client.Gone():
		j.silent(since) // an ASGI application is told also before it has answered
	default:
		j.silence = 0
	}
}

// healthyBeside reports whether a worker other than w starts its requests.
func (p *Pool) healthyBeside(w *worker) bool {
	for _, v := range p.ready {
		if v != w && v.healthy() {
			return true
		}
	}
	return false
}

// timeOut ends j, which has taken longer than timeout. An ASGI worker is told to end the
// request. The caller holds the lock.
func (p *Pool) timeOut(w *worker, j *Job) {
	p.overrun(printable(j.owner.Line()))
	j.fail(&proxy.Fail{Status: 504, Level: proxy.LevelError,
		Reason: fmt.Sprintf("worker %s (pid %d) took longer than its timeout of %s; the log has its stacks, and \"timeout\" of app %s allows more", w.name, w.process.Pid(), p.o.Timeout, p.o.Name)})
	if w.streams != nil {
		j.wanted = cancelled
		w.slots[w.place(j.id)].cancel(j.id, wire.PastTimeout)
	}
}

// condemn makes w write its stacks, and replaces it. Its other threads may finish their
// requests.
func (p *Pool) condemn(w *worker, now time.Time, why string) {
	if w.state >= workerCondemned {
		return
	}
	w.signal(DumpSignal)
	p.retire(w, workerCondemned, why)
	p.mu.Lock()
	others := w.runsOthers() && w.streams == nil // in an ASGI worker nothing goes on
	p.mu.Unlock()
	if !others {
		w.deadline = now.Add(dumpTime)
	}
}

// inspectQueue ends requests that have waited too long, or whose client has gone.
func (p *Pool) inspectQueue(now time.Time) {
	look := now.UnixNano()/int64(askEvery) != (now.UnixNano()-int64(tickEvery))/int64(askEvery)
	for j := p.queue.first; j != nil; {
		next := j.next
		switch {
		case now.Sub(j.Began) > p.o.QueueTimeout:
			p.expire(j, fmt.Sprintf("waited longer than queue_timeout (%s) for a worker%s", p.o.QueueTimeout, p.crowded()))
		case look && j.clientGone():
			p.leave(j)
		}
		j = next
	}
}

// crowded says that all ASGI workers have as many requests as they may run, if that is why
// requests wait: such workers may have little to do, as with many WebSockets. The caller holds
// the lock.
func (p *Pool) crowded() string {
	for _, w := range p.ready {
		if w.streams == nil || w.outstanding < p.o.Streams {
			return ""
		}
	}
	if len(p.ready) == 0 {
		return ""
	}
	return fmt.Sprintf(": each has %s, WebSockets included, which is its concurrency", proxy.Count(p.o.Streams, "request"))
}

// expire answers a waiting request with 503. The caller holds the lock.
func (p *Pool) expire(j *Job, why string) {
	p.queue.remove(j)
	j.fail(&proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: fmt.Sprintf("request for app %q %s", p.o.Name, why), RetryAfter: 1})
	j.Drop()
}
