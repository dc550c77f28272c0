package proxy

import (
	"math"
	"strings"
	"time"

	"alicorn/config"
)

// pace is limit_rate for one response, counted as nginx does. Besides the bytes of
// limit_rate_after, rate bytes may be sent for each second that has begun since the
// request began. After n bytes nothing is sent for n/rate seconds. nginx counts seconds of
// the clock, so that it may send the bytes of two seconds at once.
type pace struct {
	rate  int64 // bytes per second
	after int64 // bytes at the beginning that have no limit
	start time.Time
	sent  int64     // bytes of the body that were sent
	next  time.Time // when more may be sent
}

// Bounds that keep the arithmetic from overflowing: 1 TiB per second, 48 days, and 2 EiB
// without a limit.
const (
	maxPace    = 1 << 40
	maxSeconds = 1 << 22
	maxAfter   = 1 << 61
)

func newPace(rate, after int64, start time.Time) *pace {
	return &pace{rate: min(rate, maxPace), after: min(after, maxAfter), start: start}
}

// room returns how many bytes may be sent now. If that is none, wait is the time until
// some may.
func (p *pace) room(now time.Time) (n int64, wait time.Duration) {
	if wait = p.next.Sub(now); wait > 0 {
		return 0, wait
	}
	seconds := int64(now.Sub(p.start) / time.Second)
	n = p.rate*(min(max(seconds, 0), maxSeconds)+1) - (p.sent - p.after)
	if n <= 0 {
		return 0, p.lasts(-n) + time.Millisecond
	}
	return n, 0
}

// count counts n bytes that were sent.
func (p *pace) count(n int64, now time.Time) {
	before := max(p.sent-p.after, 0)
	p.sent += n
	p.next = now.Add(p.lasts(max(p.sent-p.after, 0) - before))
}

// lasts returns how long sending n bytes takes at the rate, in whole milliseconds as nginx
// counts.
func (p *pace) lasts(n int64) time.Duration {
	return time.Duration(float64(n)*1000/float64(p.rate)) * time.Millisecond
}

// setPace begins to limit the rate of r's body if l, which may be nil, or SetLimitRate has
// a limit.
func (r *Response) setPace(l *Location) {
	x := r.x
	if l == nil || r.bodyless || l.Core.LimitRate == nil && !x.limited {
		return
	}
	if rate := x.LimitRate(); rate > 0 {
		r.pace = newPace(rate, x.SizeOf(l.Core.LimitRateAfter), x.Start)
	}
}

// Room returns how many bytes of the body may be sent now. If limit_rate allows none, wait
// is the time until it allows some. Write and SendFile wait themselves, on a goroutine. A
// caller that can wait without a goroutine calls Room first.
func (r *Response) Room() (n int64, wait time.Duration) {
	if r.pace == nil {
		return math.MaxInt64, 0
	}
	return r.pace.room(time.Now())
}

// Later makes an event come to the exchange after wait, which Room has returned. Before
// that it sends the queued bytes, but not those that filters hold back.
func (r *Response) Later(wait time.Duration) error {
	r.x.wakeAfter(wait)
	return r.x.wire.Flush()
}

// awaitRoom waits until some bytes of the body may be sent, and returns how many.
func (r *Response) awaitRoom() (int64, error) {
	for {
		n, wait := r.Room()
		if n > 0 {
			return n, nil
		}
		if err := r.x.wire.Flush(); err != nil {
			return 0, err
		}
		if err := r.x.pause(wait); err != nil {
			return 0, err
		}
	}
}

// writePaced is write for a limited response.
func (r *Response) writePaced(p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		var room int64
		if room, err = r.awaitRoom(); err != nil {
			break
		}
		var n int
		n, err = r.x.wire.Write(p[:min(room, int64(len(p)))])
		r.pace.count(int64(n), time.Now())
		r.Written, total, p = r.Written+int64(n), total+n, p[n:]
	}
	return total, err
}

// sendPaced is SendFile for a limited response.
func (r *Response) sendPaced(f File, off, n int64) error {
	for n > 0 {
		room, err := r.awaitRoom()
		if err != nil {
			return err
		}
		part := min(room, n)
		if err := r.x.wire.SendFile(f, off, part); err != nil {
			return err
		}
		r.pace.count(part, time.Now())
		r.Written, off, n = r.Written+part, off+part, n-part
	}
	return nil
}

// pause waits for d on the caller's goroutine. Meanwhile the exchange's function of
// Meanwhile is called for its events. No event is lost.
func (x *Exchange) pause(d time.Duration) error {
	for due := time.Now().Add(d); d > 0; d = time.Until(due) {
		if x.meanwhile != nil {
			x.meanwhile()
		}
		x.wakeAfter(d)
		x.Await()
		if c := x.Client(); c != nil && c.Lost() {
			return ErrClientGone
		}
	}
	x.Waker().Wake() // an event that pause has taken may have been for the caller
	return nil
}

// wakeAfter makes an event come to x after d. It replaces the event of an earlier call.
func (x *Exchange) wakeAfter(d time.Duration) {
	x.waiting.used = true
	x.waiting.startTimer(d)
}

// LimitRate returns how many bytes of the response's body may be sent in a second:
// $limit_rate. 0 means no limit.
func (x *Exchange) LimitRate() int64 {
	if x.limited {
		return x.limitRate
	}
	return x.SizeOf(x.Core().LimitRate)
}

// SetLimitRate overrides limit_rate with n bytes per second; 0 sets no limit.
func (x *Exchange) SetLimitRate(n int64) { x.limitRate, x.limited = n, true }

// SizeOf returns the value of t for x as a size. A value that is not a size is logged, and
// is 0. t may be nil.
func (x *Exchange) SizeOf(t *Template) int64 {
	if t == nil {
		return 0
	}
	text := t.String(x)
	n, err := config.ParseSize(text)
	if err != nil {
		x.Log(LevelError, "invalid size %q: it is digits and at most one of k, m, g", text)
	}
	return n
}

// setSize is SetSize for a setting of Core.
func (m core) setSize(field func(c *Core) **Template) config.Setter {
	return SetSize(m.settings, func(c *coreSettings) **Template { return field(&c.Core) })
}

// SetSize returns the Setter of a size that may have variables; see SizeOf.
func SetSize[T any](k *config.Key[T], field func(c *T) **Template) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		t := ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		if !strings.Contains(n.Arg(0), "$") {
			if _, err := config.ParseSize(n.Arg(0)); err != nil {
				return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
			}
		}
		*field(k.In(s)) = t
		return nil
	}
}
