package appserver

import (
	"fmt"
	"time"

	"alicorn/proxy"
)

// mostDeaths is how many workers in a row may end right after they became
// ready before the pool's status calls that a failure.
const mostDeaths = 3

// onDeath puts the next start off after the unexpected end of a worker that was
// ready for a moment only. Requests wait for the next worker all the same: a
// client that repeats one that ends its worker must not have others refused.
func (p *Pool) onDeath(w *worker, exit Exit) {
	if time.Since(w.readied) > stableAfter {
		p.failures = 0
		p.noteDeaths(0, "")
		return
	}
	p.backOff()
	p.noteDeaths(p.deaths+1, fmt.Sprintf("its workers end as soon as they are ready, the last one with %s: "+
		"a thread, a library or a request ends the process; the error log has what it has printed", exit))
}

// noteDeaths has the status say why workers end, once there are enough of them.
func (p *Pool) noteDeaths(deaths int, why string) {
	p.deaths = deaths
	if deaths < mostDeaths {
		why = ""
	}
	p.mu.Lock()
	was := p.dying
	p.dying = why
	p.mu.Unlock()
	if why != "" && was == "" {
		p.logf(proxy.LevelError, "app %q: %s", p.app.Name, why)
	}
}
