package pool

import (
	"fmt"
	"slices"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

const (
	// mostDeaths is how many workers in a row must end right after they became ready before
	// the pool counts as failed.
	mostDeaths = 3
	// stableAfter is how long a worker must be ready to end such a row.
	stableAfter = time.Second
)

// onExit handles the end of a worker's process, and its requests.
func (p *Pool) onExit(w *worker, exit Exit) {
	was := w.state
	p.mu.Lock()
	w.state = workerDead
	p.ready = slices.DeleteFunc(p.ready, func(v *worker) bool { return v == w })
	p.agree()
	p.workers = slices.DeleteFunc(p.workers, func(v *worker) bool { return v == w })
	if was == workerReady {
		p.die(exit)
	}
	lost := p.settle(w, exit)
	p.mu.Unlock()
	p.endImport(w)
	w.group.Wait()
	w.discard()
	switch {
	case p.isEnding() && w.boot == nil:
	case was == workerStarting && w.boot == nil && exit.Signal != 0:
		p.interrupted(w, "ended with "+exit.String())
	case was == workerStarting || w.boot != nil:
		if w.boot == nil {
			w.boot = &BootError{App: p.o.Name, Worker: w.name, Message: fmt.Sprintf("worker %s ended with %s before the application was ready", w.name, exit)}
		}
		if w.boot.Traceback == "" {
			w.boot.Traceback = w.early.end()
		}
		p.bootFailed(w.boot)
	case was == workerReady:
		w.log(proxy.LevelError, "exited: %s; it held %s", exit, proxy.Count(lost, "started request"))
		p.onDeath(w, exit, lost)
	case was == workerCondemned:
		w.log(proxy.LevelNotice, "ended: %s; %s", exit, w.reason)
	}
}

// isEnding reports whether the pool starts no worker any more.
func (p *Pool) isEnding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseEnds
}

// settle gives the jobs of a worker that has died to other workers, or fails them. It returns
// how many started ones have failed. The rule is that of all upstreams: a request that was not
// started is repeated, at most three times if a worker had received it, else as mostLosses says.
// If the worker is distrusted, all its requests count as started. The caller holds the lock.
func (p *Pool) settle(w *worker, exit Exit) (lost int) {
	p.takeAll(w)
	rule := upstream.Repeat{On: upstream.OnError, Begun: upstream.BegunNever, Tries: 4}
	for _, j := range w.jobs {
		if j == nil {
			continue
		}
		started, talked := w.hasStarted(j), j.at == placeTalking
		begun := started || w.trust == distrusted
		w.remove(j)
		j.deaths++
		switch {
		case p.phase != phaseEnds && rule.Allows(&upstream.Outcome{Failure: upstream.OnError, Begun: begun, Tries: int(j.deaths)}):
			p.requeue(j)
			continue
		case talked:
			lost++
			p.post(event{kind: eventCutOff, socket: j.Socket, code: closeError})
			j.Drop()
		case started:
			lost++
			j.abort(fmt.Sprintf("worker %s (pid %d) ended while it ran the request: %s", w.name, w.process.Pid(), exit))
		case begun:
			lost++
			j.abort(fmt.Sprintf("worker %s (pid %d) broke the worker protocol and may have run the request: %s", w.name, w.process.Pid(), exit))
		default:
			j.abort(fmt.Sprintf("%s in a row died before the request was started, the last was %s", proxy.Count(j.deaths, "worker"), w.name))
		}
	}
	p.dispatch()
	return lost
}

// onDeath delays the next start if w, which has ended unexpectedly, was ready for less than
// stableAfter. The delay is short if w had answered requests, or if requests were lost with it.
// Requests still wait for the next worker: otherwise a client that repeats a request that ends its
// worker would make the pool refuse other requests.
func (p *Pool) onDeath(w *worker, exit Exit, lost int) {
	if time.Since(w.readied) > stableAfter {
		p.failures = 0
		p.noteDeaths(0, "")
		return
	}
	most := lastBackoff
	if lost > 0 || w.served > 0 {
		most = busyBackoff
	}
	p.backOff(most)
	p.noteDeaths(p.young+1, fmt.Sprintf("its workers end as soon as they are ready, the last one with %s: "+
		"a thread, a library or a request ends the process; the error log has its output", exit))
}

// noteDeaths sets how many workers in a row have ended so soon. From mostDeaths on the status has
// why.
func (p *Pool) noteDeaths(deaths int, why string) {
	p.young = deaths
	if deaths < mostDeaths {
		why = ""
	}
	p.mu.Lock()
	isNew := p.dies(why)
	p.mu.Unlock()
	if isNew {
		p.logf(proxy.LevelError, "app %q: %s", p.o.Name, why)
	}
}
