package proxy

import "time"

// HoldTurn has r be a pattern of which a match has just run out of time, while
// another one has the turn until the returned function is called.
func (r *Regexp) HoldTurn() (give func()) {
	r.turns.alarm.Store(time.Now().UnixNano())
	r.turns.turn <- struct{}{}
	return func() { r.turns.give(0) }
}

// Waiting returns how many matches wait for their turn.
func (r *Regexp) Waiting() int { return int(r.turns.waiting.Load()) }
