package proxypass

import (
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// pacing is how fast an answer may be read: as many bytes in each second that has begun,
// as in nginx.
type pacing struct {
	rate  int64 // bytes in a second; 0: without a limit
	start time.Time
	read  int64
}

// maxRate bounds a rate, so that its multiples are numbers still.
const maxRate = 1 << 40

// begin begins to count, if the location has a limit. read bytes were read already.
func (l *pacing) begin(x *proxy.Exchange, h *handler, read int) {
	if h.limitRate != nil && h.buffering {
		*l = pacing{rate: min(x.SizeOf(h.limitRate), maxRate), start: x.Now(), read: int64(read)}
	}
}

// room returns how many bytes may be read now, most at most; where it is none, the time
// until some may. There is a rate.
func (l *pacing) room(most int, now time.Time) (n int, wait time.Duration) {
	left := l.rate*(int64(now.Sub(l.start)/time.Second)+1) - l.read
	if left <= 0 {
		return 0, l.start.Add(time.Duration(l.read/l.rate) * time.Second).Sub(now)
	}
	return int(min(left, int64(most))), 0
}

// rests leaves the connection alone for wait.
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

// unpace has the connection read again.
func (c *conn) unpace() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == paced {
		c.look(c.pass)
	}
}
