package pool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"alicorn/proxy/eventloop"
)

// closes is a Socket that notes its close.
type closes []string

// Message implements Socket.
func (*closes) Message(*eventloop.Turn, []byte, bool, bool) {}

// Grant implements Socket.
func (*closes) Grant(*eventloop.Turn, int) {}

// Close implements Socket.
func (c *closes) Close(_ *eventloop.Turn, code uint16, reason string) {
	*c = append(*c, fmt.Sprint(code, " ", reason))
}

// When the server stops, WebSockets end one after the other, within graceful_timeout and before
// they are cut.
func TestWebSocketsOfAServerThatStopsEndByAndBy(t *testing.T) {
	const sockets = 1000
	for _, c := range []struct{ graceful, last, first, end time.Duration }{
		{30 * time.Second, 5 * time.Second, 2000 * time.Millisecond, 4500 * time.Millisecond},
		{2 * time.Second, 5 * time.Second, 800 * time.Millisecond, 1800 * time.Millisecond},
		{30 * time.Second, time.Hour, 22 * time.Second, 27 * time.Second},
		{30 * time.Second, -time.Second, 0, 0},
	} {
		p := newTestPool(Settings{Streams: sockets, GracefulTimeout: c.graceful})
		w := &worker{pool: p, table: newTable(sockets+ahead, 0)}
		p.workers = append(p.workers, w)
		ends := make([]closes, sockets)
		for i := range ends {
			j := newJob()
			w.enter(j)
			j.at, j.Socket = placeTalking, &ends[i]
		}
		p.Quit(c.last)
		now := time.Now()
		p.quits(now, (<-p.events).within)
		var at []time.Duration
		for step := time.Duration(0); step <= c.end; step += max((c.end-c.first)/100, 1) {
			p.partDue(now.Add(step))
			for len(at) < sockets-len(w.parting) {
				at = append(at, step)
			}
		}
		if len(at) != sockets || at[0] < c.first {
			t.Errorf("graceful_timeout %s, last %s: got %d ends by %s, the first after %s, want %d, the first after at least %s", c.graceful, c.last, len(at), c.end, at[0], sockets, c.first)
		}
		if steps := len(slices.Compact(slices.Clone(at))); c.end > 0 && steps < 50 {
			t.Errorf("graceful_timeout %s, last %s: got the ends in %d steps, want at least 50", c.graceful, c.last, steps)
		}
		for _, e := range ends {
			if !slices.Equal(e, closes{"1001 server stops"}) {
				t.Fatalf("a WebSocket ends with %q, want %q", e, closes{"1001 server stops"})
			}
		}
	}
}

// The longest times that a configuration may have do not overflow.
func TestWebSocketsMayHaveVeryLongToEnd(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	p := newTestPool(Settings{Streams: 1, GracefulTimeout: century})
	w := &worker{pool: p, table: newTable(1+ahead, 0)}
	p.workers = append(p.workers, w)
	var end closes
	j := newJob()
	w.enter(j)
	j.at, j.Socket = placeTalking, &end
	p.Quit(century)
	now := time.Now()
	p.quits(now, (<-p.events).within)
	if len(w.parting) != 1 || w.parting[0].at.Sub(now) < century/2 {
		t.Errorf("got %+v for a timeout of a century, want the WebSocket to end in that time", w.parting)
	}
}
