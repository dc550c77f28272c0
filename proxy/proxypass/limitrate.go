package proxypass

import (
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// pacing limits how fast an answer is read: proxy_limit_rate. As in nginx, each second that
// has begun allows rate bytes.
type pacing struct {
	rate  int64 // bytes per second; 0: without a limit
	start time.Time
	read  int64
}

// maxRate bounds a rate, so that computing with it does not overflow.
const maxRate = 1 << 40

// begin starts the limit, if the location has one. read bytes were read already.
func (l *pacing) begin(x *proxy.Exchange, h *handler, read int) {
	if h.limitRate != nil && h.buffering {
		*l = pacing{rate: min(x.SizeOf(h.limitRate), maxRate), start: x.Now(), read: int64(read)}
	}
}

// room returns how many bytes may be read now, at most most. If none may, wait is the time
// until some may. The rate must not be 0.
func (l *pacing) room(most int, now time.Time) (n int, wait time.Duration) {
	left := l.rate*(int64(now.Sub(l.start)/time.Second)+1) - l.read
	if left <= 0 {
		return 0, l.start.Add(time.Duration(l.read/l.rate) * time.Second).Sub(now)
	}
	return int(min(left, int64(most))), 0
}

// most returns how many bytes the next read may take. If proxy_limit_rate allows none yet, the
// pass rests, and most returns 0: the caller does not have the connection any more.
func (p *pass) most(t *eventloop.Turn) int {
	if p.limit.rate == 0 {
		return blockSize
	}
	var now time.Time
	if t != nil {
		now = t.Now()
	} else {
		now = time.Now()
	}
	most, wait := p.limit.room(blockSize, now)
	if wait > 0 {
		p.rests(t, wait)
		return 0
	}
	return most
}

// rests stops reading from the connection for the time wait.
func (p *pass) rests(t *eventloop.Turn, wait time.Duration) {
	waker, c := p.waker, p.conn
	c.mu.Lock()
	if c.state == dropped {
		c.mu.Unlock()
		c.close()
		return
	}
	c.state = paced
	time.AfterFunc(wait, c.unpace)
	c.mu.Unlock()
	waker.WakeIn(t)
}

// unpace makes the loop read the connection again.
func (c *conn) unpace() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == paced {
		c.look(c.pass)
	}
}
