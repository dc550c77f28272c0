package proxy

import "time"

// HoldTurn makes it look as if a match of r has just run out of time, and gives the turn to
// another match, until the returned function is called.
func (r *Regexp) HoldTurn() (give func()) {
	r.turns.alarm.Store(time.Now().UnixNano())
	r.turns.turn <- struct{}{}
	return func() { r.turns.give(0) }
}

// Waiting returns how many matches wait for their turn.
func (r *Regexp) Waiting() int { return int(r.turns.waiting.Load()) }

// DefaultCore makes the settings of the core that a configuration begins with.
func DefaultCore() { _ = defaultCore(Options{}) }
