package accesslog

import (
	"sync/atomic"
	"time"

	"alicorn/proxy"
)

// clock formats times in whole seconds for a format: once for all lines of a second. The zero
// value can be used.
type clock struct {
	now atomic.Pointer[stamp]
}

// stamp is the texts of one second.
type stamp struct {
	second         int64
	local, iso8601 string
}

// take makes the clock format p, if p is a time in whole seconds.
func (c *clock) take(p *proxy.Piece) {
	switch p.Name {
	case "time_local":
		p.Get = func(_ *proxy.Exchange, dst []byte) ([]byte, bool) {
			return append(dst, c.stamp(time.Now()).local...), true
		}
	case "time_iso8601":
		p.Get = func(_ *proxy.Exchange, dst []byte) ([]byte, bool) {
			return append(dst, c.stamp(time.Now()).iso8601...), true
		}
	}
}

func (c *clock) stamp(now time.Time) *stamp {
	if s := c.now.Load(); s != nil && s.second == now.Unix() {
		return s
	}
	s := &stamp{now.Unix(), now.Format("02/Jan/2006:15:04:05 -0700"), now.Format("2006-01-02T15:04:05-07:00")}
	c.now.Store(s)
	return s
}
