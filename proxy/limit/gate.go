package limit

import (
	"math"
	"sync"
	"time"

	"alicorn/proxy"
)

// gate is the limits of one location.
type gate struct {
	limits     []*limit
	status     proxy.Status
	level      proxy.Level
	delayLevel proxy.Level
	dryRun     bool
	decided    *proxy.ExchangeSlot[decision]
}

// maxKey is the largest length of a key in bytes, as in nginx.
const maxKey = 65535

var keys = sync.Pool{New: func() any { b := make([]byte, 0, 64); return &b }}

// pass counts a request, and admits, delays or refuses it. It does so only once for a
// request, its subrequests and its internal redirects.
func (g *gate) pass(x *proxy.Exchange) error {
	if *g.decided.In(x.Main()) != undecided {
		return nil
	}
	buf := keys.Get().(*[]byte)
	v := g.judge(x, buf)
	keys.Put(buf)
	switch {
	case v.zone == nil:
		return nil // every key is empty
	case v.refused:
		return g.refuse(x, v)
	case v.delay == 0:
		*g.decided.In(x.Main()) = passed
		return nil
	}
	return g.delay(x, v)
}

// verdict is the result of all limits for a request.
type verdict struct {
	zone    *zone // the zone that decides; nil if no limit applies
	excess  int64 // thousandths of a request
	delay   time.Duration
	refused bool
}

// judge asks all zones, and then counts the request in all of them. It does not ask the last
// zone, as count itself refuses there.
func (g *gate) judge(x *proxy.Exchange, buf *[]byte) (v verdict) {
	last := len(g.limits) - 1
	for _, l := range g.limits[:last] {
		key, ok := l.key(x, buf)
		if !ok {
			continue
		}
		v.zone = l.zone
		if v.excess = l.zone.ask(key); v.excess > l.burst {
			v.refused = true
			return v
		}
	}
	v.excess = 0
	for i := last; i >= 0; i-- {
		l := g.limits[i]
		key, ok := l.key(x, buf)
		if !ok {
			continue
		}
		bound := l.burst
		if i < last {
			bound = unbounded // ask has admitted the request
		}
		excess, ok := l.zone.count(key, bound)
		if !ok {
			return verdict{zone: l.zone, excess: excess, refused: true}
		}
		if d := l.wait(excess); v.zone == nil || d > v.delay || i == last {
			v.zone, v.excess, v.delay = l.zone, excess, d
		}
	}
	return v
}

// key returns the hash of the request's key; false if the request is not limited.
func (l *limit) key(x *proxy.Exchange, buf *[]byte) (hash, bool) {
	b := l.zone.key.Append(x, (*buf)[:0])
	*buf = b
	if len(b) == 0 {
		return hash{}, false
	}
	if len(b) > maxKey {
		x.Log(proxy.LevelError, "the value of the %q key is more than %d bytes", l.zone.keyText, maxKey)
		return hash{}, false
	}
	return l.zone.states.hash(b), true
}

// longestWait is the longest delay in milliseconds that a time.Duration holds. A large burst
// at a low rate would make a longer one.
const longestWait = math.MaxInt64 / int64(time.Millisecond)

// wait returns how long a request with this excess waits.
func (l *limit) wait(excess int64) time.Duration {
	if excess <= l.delay {
		return 0
	}
	return time.Duration(min((excess-l.delay)*1000/l.zone.rate, longestWait)) * time.Millisecond
}

func (g *gate) refuse(x *proxy.Exchange, v verdict) error {
	if g.dryRun {
		*g.decided.In(x.Main()) = rejectedDryRun
		x.Log(g.level, "limiting requests, dry run, excess: %d.%03d by zone %q", v.excess/1000, v.excess%1000, v.zone.name)
		return nil
	}
	*g.decided.In(x.Main()) = rejected
	x.Log(g.level, "limiting requests, excess: %d.%03d by zone %q", v.excess/1000, v.excess%1000, v.zone.name)
	return g.status
}

func (g *gate) delay(x *proxy.Exchange, v verdict) error {
	if g.dryRun {
		*g.decided.In(x.Main()) = delayedDryRun
		x.Log(g.delayLevel, "delaying request, dry run, excess: %d.%03d, by zone %q", v.excess/1000, v.excess%1000, v.zone.name)
		return nil
	}
	*g.decided.In(x.Main()) = delayed
	x.Log(g.delayLevel, "delaying request, excess: %d.%03d, by zone %q", v.excess/1000, v.excess%1000, v.zone.name)
	return x.Sleep(v.delay)
}
