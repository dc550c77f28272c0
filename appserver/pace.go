package appserver

import "time"

// How many requests a worker is sent before it has room to run them follows
// its pace. What waits at a worker cannot go to another without being taken
// back, so it should be started soon; but a worker that has to ask for each
// request sleeps in between, which costs more than a short request does.
const (
	tickEvery = 10 * time.Millisecond
	longAfter = 20 * time.Millisecond // a request that runs longer has nothing queued behind it
	// aheadShare divides what a worker serves in a tick: what waits at it is
	// what it serves in a quarter of that.
	aheadShare = 4
	// A worker that does not start what it is sent gets nothing while others do,
	// but for a trial, at first soon, then less often.
	firstTrial = 20 * time.Millisecond
	lastTrial  = 5 * time.Second
)

// progressed notes that w has ended a request.
func (w *worker) progressed(now int64) {
	w.slow = now-w.progress >= int64(longAfter)
	w.progress = now
	w.stuck, w.full, w.patience = false, false, 0
	if n := int(w.served-w.paced) / aheadShare; n > w.depth {
		w.depth = min(n, ahead)
	}
}

// pace sets what may wait at w by what it has served since the last tick.
func (w *worker) pace() {
	n := int(w.served - w.paced)
	w.paced = w.served
	if n > 0 || w.outstanding > 0 {
		w.depth = min(max(n/aheadShare, w.depth/2, 1), ahead) // a pause is no change of pace
	}
}

// sticks notes that w does not start what it has been sent.
func (w *worker) sticks(now int64) {
	switch {
	case w.patience == 0:
		w.stuckSince = w.progress
		w.patience = int64(firstTrial)
	case now >= w.retry:
		w.patience = min(2*w.patience, int64(lastTrial))
	default:
		return
	}
	w.retry = now + w.patience
}

// rest is pace for a worker that has nothing to do.
func (w *worker) rest(now int64) {
	w.slow = false
	w.stuck = w.stuck && now < w.retry
}
