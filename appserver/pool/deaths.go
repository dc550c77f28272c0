package pool

import (
	"fmt"
	"time"

	"alicorn/proxy"
)

// mostDeaths is how many workers in a row must end right after they became ready for
// the pool to count as failed.
const mostDeaths = 3

// onDeath delays the next start when a worker has ended unexpectedly within
// stableAfter. Requests still wait for the next worker: a client that repeats a
// request that ends its worker must not have other requests refused.
func (p *Pool) onDeath(w *worker, exit Exit) {
	if time.Since(w.readied) > stableAfter {
		p.failures = 0
		p.noteDeaths(0, "")
		return
	}
	p.backOff()
	p.noteDeaths(p.young+1, fmt.Sprintf("its workers end as soon as they are ready, the last one with %s: "+
		"a thread, a library or a request ends the process; the error log has its output", exit))
}

// noteDeaths counts such ends. The status has why from mostDeaths on.
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
