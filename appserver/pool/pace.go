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
	// rateSpan is the time over which the rate of a worker is measured.
	rateSpan = 500 * time.Millisecond
)

// gait is a worker's progress with its jobs. The pool's lock guards it. Times are in
// nanoseconds.
type gait struct {
	trust    trust
	queues   queueing
	depth    int     // how many jobs may wait at it while it queuesMany
	paced    uint64  // how many jobs it had served at the last tick
	rate     float64 // jobs per second, a moving average
	progress int64   // when its last answer has ended, or it got a job after it had none
	since    int64   // the value of progress when it was found stuck
	retry    int64   // when it may be sent another job on trial
	patience int64   // the time between the last trial and retry
}

// trust is whether a worker starts the jobs that it is sent:
//
//	from             event                                                   to
//	starts, onTrial  none of its jobs has started within longAfter           stuck
//	stuck            some have started; or it has none, and retry has come   onTrial
//	stuck, onTrial   it has ended a job, or has started all                  starts
//	any              it has broken the protocol in the memory that it        distrusted
//	                 shares with the front, has answered a job that it did
//	                 not have, or cannot be sent jobs
type trust uint8

const (
	starts     trust = iota // it does, as far as is known
	stuck                   // it does not: it gets none while others start theirs
	onTrial                 // it was stuck, and may be sent one job
	distrusted              // it gets none, and none is taken back: it will be killed, and those that it has count as started
)

// queueing is how many jobs a worker may be sent beyond those that it runs.
type queueing uint8

const (
	queuesMany queueing = iota // depth jobs
	queuesNone                 // none: its running job takes long
	takesOne                   // its socket was full: one job in all, to see whether it has room again
)

// newGait returns the gait of a worker that has no jobs yet.
func newGait() gait { return gait{depth: 1} }

// begins notes that the worker gets a job after it had none.
func (g *gait) begins(now int64) { g.progress = now }

// blocked notes that the worker's socket has no room. This counts until it has ended a job.
func (g *gait) blocked() { g.queues = takesOne }

// distrust notes that the worker has broken the protocol. It reports whether that is new.
func (g *gait) distrust() (isNew bool) {
	isNew = g.trust != distrusted
	g.trust = distrusted
	return isNew
}

// progressed notes that the worker has ended a job, the served-th.
func (g *gait) progressed(now int64, served uint64) {
	g.queues = queuesMany
	if now-g.progress >= int64(longAfter) {
		g.queues = queuesNone
	}
	g.progress = now
	if g.trust != distrusted {
		g.trust = starts
	}
	if n := int(served-g.paced) / aheadShare; n > g.depth {
		g.depth = min(n, ahead)
	}
}

// pace sets how many jobs may wait at the worker, by the number that it has served since the
// last tick, and follows its rate.
func (g *gait) pace(served uint64, outstanding int, since time.Duration) {
	n := int(served - g.paced)
	g.paced = served
	since = max(since, time.Millisecond)
	g.rate += (float64(n)/since.Seconds() - g.rate) * min(float64(since)/float64(rateSpan), 1)
	if n > 0 || outstanding > 0 {
		g.depth = min(max(n/aheadShare, g.depth/2, 1), ahead) // a pause does not change the pace much
	}
}

// look updates the trust of a worker with outstanding jobs, of which it has not started
// waiting. It reports whether jobs wait that it will not start soon.
func (g *gait) look(now int64, waiting, outstanding int) (held bool) {
	late := now-g.progress > int64(longAfter)
	if late && g.queues == queuesMany {
		g.queues = queuesNone
	}
	switch {
	case g.trust == distrusted:
	case waiting == 0:
		g.trust = starts
	case !late:
	case waiting == outstanding:
		g.sticks(now)
	case g.trust == stuck:
		g.trust = onTrial
	}
	return waiting > 0 && late
}

// sticks notes that the worker is stuck.
func (g *gait) sticks(now int64) {
	switch {
	case g.trust == starts:
		g.since = g.progress
		g.patience = int64(firstTrial)
		g.retry = now + g.patience
	case now >= g.retry:
		g.patience = min(2*g.patience, int64(lastTrial))
		g.retry = now + g.patience
	}
	g.trust = stuck
}

// rest is look for a worker without jobs.
func (g *gait) rest(now int64) {
	if g.queues == queuesNone {
		g.queues = queuesMany
	}
	if g.trust == stuck && now >= g.retry {
		g.trust = onTrial
	}
}
