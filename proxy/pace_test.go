package proxy

import (
	"math"
	"testing"
	"time"
)

// TestARateIsKeptAsNginxDoes sends as many bytes as room allows, as soon as it allows them.
func TestARateIsKeptAsNginxDoes(t *testing.T) {
	at := func(fraction time.Duration) time.Time { return time.Unix(1_000_000, int64(fraction)) }
	for _, c := range []struct {
		name               string
		rate, after, total int64
		start              time.Time
		most               time.Duration // what is sent at once takes as long as the rate says
		ends               time.Duration
	}{
		{"a second at once, and then one each second", 1000, 0, 3500, at(0), time.Second, 3 * time.Second},
		{"less than a second's", 1000, 0, 999, at(0), time.Second, 0},
		{"what is not limited comes first", 1000, 5000, 6000, at(0), time.Second, 0},
		{"and then the rest", 1000, 5000, 7500, at(0), time.Second, 2 * time.Second},
		{"nothing is gained by a second that begins soon", 1000, 0, 3500, at(900 * time.Millisecond), time.Second, 3 * time.Second},
		{"a large rate", maxPace, 0, 3 * maxPace, at(0), time.Second, 2 * time.Second},
		{"the largest rate", math.MaxInt64, 0, 3 * maxPace, at(0), time.Second, 2 * time.Second},
		{"the largest size without a limit", 1000, math.MaxInt64, 1 << 50, at(0), time.Second, 0},
		{"the largest of both", math.MaxInt64, math.MaxInt64, 1 << 50, at(0), time.Second, 0},
	} {
		p := newPace(c.rate, c.after, c.start)
		now, left := c.start, c.total
		for left > 0 {
			n, wait := p.room(now)
			if n == 0 {
				if wait <= 0 || wait > 2*c.most {
					t.Fatalf("%s: waits for %s; want more than 0 and at most %s", c.name, wait, 2*c.most)
				}
				now = now.Add(wait)
				continue
			}
			n = min(n, left)
			p.count(n, now)
			left -= n
		}
		if took := now.Sub(c.start); (took - c.ends).Abs() > 2*time.Millisecond {
			t.Errorf("%s: took %s, want %s", c.name, took, c.ends)
		}
	}
}
