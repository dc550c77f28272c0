package websocket

import "time"

// rate is how often something may come: once in each, and up to burst sooner. each 0: as
// often as it likes.
type rate struct {
	each  time.Duration
	burst time.Duration // as many times each as may come at once beside the one that is due
}

// meter counts by a rate. The zero meter has counted nothing.
type meter struct{ due time.Duration }

// count counts one at the time now, and reports whether it may come.
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
