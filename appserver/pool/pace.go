package pool

import "time"

// A worker is sent more requests than it can run at once; their number follows its
// pace. A request that waits at a worker must be taken back before it can go to
// another, so few should wait there. But a worker without a waiting request sleeps
// between two, and that costs more than a short request.
const (
	tickEvery = 10 * time.Millisecond
	longAfter = 20 * time.Millisecond // no request waits behind one that runs longer
	// aheadShare divides the number of requests that a worker serves in a tick:
	// as many wait at it as it serves in a quarter of a tick.
	aheadShare = 4
	// A worker that does not start its requests gets none while others do, except
	// for trials, the first one soon, further ones less often.
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

// pace sets how many requests may wait at w, by the number it has served since the last tick.
func (w *worker) pace() {
	n := int(w.served - w.paced)
	w.paced = w.served
	if n > 0 || w.outstanding > 0 {
		w.depth = min(max(n/aheadShare, w.depth/2, 1), ahead) // a pause does not change the pace much
	}
}

// sticks notes that w does not start its requests.
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

// rest is pace for a worker without requests.
func (w *worker) rest(now int64) {
	w.slow = false
	w.stuck = w.stuck && now < w.retry
}
