package upstream

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
)

// sink takes bytes in portions, with no room between them, until it fails.
type sink struct {
	strings.Builder
	portion int
	fails   error // once it has all that it takes
	takes   int
	full    bool
	expired bool
}

func (s *sink) AdoptWriter(eventloop.Handler) {}
func (s *sink) AwaitRoom(time.Duration) bool  { return true }
func (s *sink) RoomExpired() bool             { return s.expired }

func (s *sink) TryWrite(p []byte) (int, error) {
	switch {
	case s.Len() >= s.takes:
		return -1, s.fails
	case s.full:
		s.full = false
		return -1, unix.EAGAIN
	}
	s.full = true
	return s.Write(p[:min(len(p), s.portion, s.takes-s.Len())])
}

// feeding returns the exchange of a request with a body.
func feeding(t *testing.T, body string) *proxy.Exchange {
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; }"})
	x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(body))
	x.Server = s.Engine.Current().Servers[0]
	x.Req.ContentLength = int64(len(body))
	return x
}

// feed pumps until f is over.
func feed(t *testing.T, f *Feed, x *proxy.Exchange) {
	for range 1_000_000 {
		if err := f.Pump(x); err != nil {
			t.Fatal(err)
		}
		if f.Over() {
			return
		}
		f.Ready(nil) // there is room
	}
	t.Fatal("got no end of the feed, want one")
}

func TestAFeedPassesOnBodiesOfAllSizes(t *testing.T) {
	lengths := Framing{Head: func(dst []byte, n int) []byte { return fmt.Appendf(dst, "<%x>", n) }, Tail: ";", End: "end"}
	for _, size := range []int{0, 1, 65503, 65504, 65505, 200_000} {
		for _, framing := range []Framing{{}, lengths} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			x, to := feeding(t, body), &sink{portion: 1000, takes: 1 << 30}
			f := NewFeed(x, framing, 0)
			f.Begin(to)
			feed(t, f, x)
			got, rest := "", to.String()
			for framing.Head != nil && rest != framing.End {
				var n int
				fmt.Sscanf(rest, "<%x>", &n)
				_, rest, _ = strings.Cut(rest, ">")
				got, rest = got+rest[:n], strings.TrimPrefix(rest[n:], framing.Tail)
			}
			if framing.Head == nil {
				got = rest
			}
			if got != body || !f.Done() || f.Taken() != int64(size) || f.Sent() != int64(to.Len()) {
				t.Errorf("%d bytes: got %d, done %v, taken %d, sent %d, want all and sent %d", size, len(got), f.Done(), f.Taken(), f.Sent(), to.Len())
			}
			f.Close()
		}
	}
}

// What was read before goes to another upstream as long as the first has had nothing.
func TestAFeedBeginsAgainWhereNothingWasSent(t *testing.T) {
	for _, first := range []error{unix.EPIPE, unix.EAGAIN} {
		t.Run(first.Error(), func(t *testing.T) {
			body := strings.Repeat("x", 100_000)
			x := feeding(t, body)
			f := NewFeed(x, Framing{}, 0)
			if all, err := f.Preread(x, new(Body)); all || err != nil {
				t.Fatalf("%v, %v; want all false", all, err)
			}
			f.Begin(&sink{fails: first})
			if err := f.Pump(x); err != nil || f.Done() || f.Sent() != 0 {
				t.Fatalf("%v, done %v, sent %d; want false and 0", err, f.Done(), f.Sent())
			}
			to := &sink{portion: 1000, takes: 1 << 30}
			f.Begin(to)
			feed(t, f, x)
			if to.String() != body || !f.Done() {
				t.Errorf("got %d bytes, done %v, want %d, true", to.Len(), f.Done(), len(body))
			}
			f.Close()
		})
	}
}

func TestAFeedEndsWhereItsUpstreamDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		to   sink
		want error
	}{
		{"a failure", sink{portion: 1000, takes: 5000, fails: unix.ECONNRESET}, unix.ECONNRESET},
		{"no room for too long", sink{portion: 1000, takes: 5000, fails: unix.EAGAIN, expired: true}, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := feeding(t, strings.Repeat("x", 10_000))
			f := NewFeed(x, Framing{}, time.Second)
			f.Begin(&c.to)
			for range 20 {
				f.Pump(x)
				f.Ready(nil)
			}
			if f.Failed() != c.want || f.Done() || !f.Over() {
				t.Errorf("%v, want %v; done %v, over %v", f.Failed(), c.want, f.Done(), f.Over())
			}
			f.Close()
		})
	}
}

func TestAFeedMovesABodyThatIsThere(t *testing.T) {
	x := feeding(t, "hello")
	var b Body
	if all, err := NewFeed(x, Framing{}, 0).Preread(x, &b); string(b.Inline) != "hello" || b.Length != 5 || !all || err != nil {
		t.Errorf(`%q of %d, %v, %v; want "hello", 5 and all true`, b.Inline, b.Length, all, err)
	}
	b.Close()
	if _, err := io.ReadAll(x.Body()); err != nil {
		t.Error(err)
	}
}

// What was read and not sent is read again, before the rest.
func TestAFeedGivesBackWhatItHasNotSent(t *testing.T) {
	framing := Framing{Head: func(dst []byte, n int) []byte { return fmt.Appendf(dst, "<%d>", n) }, Tail: "\r\n"}
	for _, c := range []struct {
		name    string
		preread bool
		to      *sink // nil: the upstream was not reached
		lost    bool
	}{
		{"nothing was read", false, nil, false},
		{"no connection", true, nil, false},
		{"no room", true, &sink{fails: unix.EAGAIN}, false},
		{"no room for what comes first", false, &sink{fails: unix.EAGAIN}, false},
		{"a part was sent", true, &sink{portion: 1000, takes: 5000, fails: unix.EPIPE}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := strings.Repeat("x", 30_000) + strings.Repeat("y", 70_000)
			x := feeding(t, body)
			f := NewFeed(x, framing, 0)
			if c.preread {
				if all, err := f.Preread(x, new(Body)); all || err != nil {
					t.Fatalf("got all %v, %v, want false, nil", all, err)
				}
			}
			if c.to != nil {
				f.Begin(c.to)
				f.Pump(x)
			}
			f.GiveBack(x)
			got, err := io.ReadAll(x.Body())
			if !c.lost && (err != nil || string(got) != body) || c.lost && err != errBodySent {
				t.Errorf("%d bytes, %v; want all, or the loss: %v", len(got), err, c.lost)
			}
		})
	}
}
