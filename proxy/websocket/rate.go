package websocket

import "time"

// rate bounds how often something may happen: once in each, and burst/each times more at
// once. If each is 0, there is no bound.
type rate struct{ each, burst time.Duration }

// meter counts events by a rate. The zero meter has counted nothing.
type meter struct {
	due time.Duration // when the next event is due
}

// count counts an event at the time now, and reports whether the rate allows it.
func (m *meter) count(r rate, now time.Duration) bool {
	if r.each == 0 {
		return true
	}
	if m.due > now+r.burst {
		return false
	}
	m.due = max(m.due, now) + r.each
	return true
}
