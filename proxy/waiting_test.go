package proxy

import (
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy/eventloop"
)

// fakeWire is the scheduler's part of a wire. resumed is called for Resume.
type fakeWire struct {
	Wire
	resumed  func()
	detached atomic.Bool
	watcher  *Waiting
}

func (f *fakeWire) Suspends() bool           { return true }
func (f *fakeWire) Resume(*eventloop.Turn)   { f.resumed() }
func (f *fakeWire) Detach()                  { f.detached.Store(true) }
func (f *fakeWire) Gone() bool               { return false }
func (f *fakeWire) Watch(w *Waiting) bool    { f.watcher = w; return true }
func (f *fakeWire) state(x *Exchange) uint64 { return x.waiting.word.Load() & stateMask }

// transition has one state's line of the table in the package comment.
var transition = regexp.MustCompile(`(?m)^//\t(running|told|suspended|awaiting)  +(\w+)(?:, (\w+))?  +([\w-]+)  +([\w-]+)$`)

// The code makes the transitions of the package comment, all of them, and no others.
func TestTheTransitionsAreThoseOfThePackageComment(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := transition.FindAllStringSubmatch(string(text), -1)
	if len(lines) != len(stateNames) {
		t.Fatalf("the package comment has %d states, want %d", len(lines), len(stateNames))
	}
	for _, line := range lines {
		state := uint64(slices.Index(stateNames[:], line[1]))
		enter := func() (*Exchange, *fakeWire) {
			wire := &fakeWire{}
			x := NewExchange(&Conn{}, wire)
			x.waiting.bell = make(chan struct{}, 1)
			x.waiting.word.Store(x.waiting.word.Load()&^stateMask | state)
			return x, wire
		}
		x, wire := enter()
		effect := ""
		if x.waiting.event(x.Waker().number, nil) {
			effect = "resumed"
		}
		if len(x.waiting.bell) > 0 {
			effect += "woken"
		}
		if got := stateNames[wire.state(x)]; got != line[2] || effect != line[3] {
			t.Errorf("%s: an event makes it %s, %q; want %s, %q", line[1], got, effect, line[2], line[3])
		}
		for i, to := range []uint64{suspended, awaiting} { // of Park and Await
			if line[4+i] == "-" {
				continue // only a goroutine that works on the exchange calls it
			}
			x, wire := enter()
			left := x.waiting.leave(to)
			if got := stateNames[wire.state(x)]; got != line[4+i] || left != (got == stateNames[to]) {
				t.Errorf("%s: it is %s, and has left: %v; want %s", line[1], got, left, line[4+i])
			}
		}
	}
}

var stateNames = [...]string{running: "running", told: "told", suspended: "suspended", awaiting: "awaiting"}

// later is a Continuation for exchanges that the test itself goes on with.
type later struct{}

func (later) Continue(*Exchange) error { return nil }

// What follows from one event, and from several.
func TestTransitionsOfAnExchangeThatWaits(t *testing.T) {
	type step struct {
		do   string
		want uint64
	}
	for _, c := range []struct {
		name    string
		steps   []step
		resumes int32
	}{
		{"an event before the wait", []step{{"event", told}, {"event", told}, {"park", running}, {"park", suspended}}, 0},
		{"an event in suspension", []step{{"park", suspended}, {"event", running}, {"event", told}, {"park", running}}, 1},
		{"twice", []step{{"park", suspended}, {"event", running}, {"park", suspended}, {"event", running}}, 2},
		{"an event before awaiting", []step{{"event", told}, {"await", running}}, 0},
		{"an event while it awaits", []step{{"begin await", awaiting}, {"event", running}, {"end await", running}}, 0},
		{"an earlier request's events", []step{{"old event", running}, {"park", suspended}, {"old event", suspended}, {"event", running}, {"event", told}, {"old event", told}}, 1},
		{"an earlier request's events while it awaits", []step{{"begin await", awaiting}, {"old event", awaiting}, {"event", running}, {"end await", running}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var resumes atomic.Int32
			resumed, done := make(chan bool, 8), make(chan bool)
			wire := &fakeWire{resumed: func() { resumes.Add(1); resumed <- true }}
			x := NewExchange(&Conn{}, wire)
			old := x.Waker()
			x.Reset()
			k := x.Waker()
			for i, s := range c.steps {
				before := wire.state(x)
				switch s.do {
				case "event":
					if k.Wake(); before == suspended {
						<-resumed
					}
				case "old event":
					old.Wake()
				case "park":
					if x.Suspend(later{}); x.Park() != (before == running) {
						t.Fatalf("step %d: Park from %s; want true from running alone", i, stateNames[before])
					}
				case "await":
					x.Await()
				case "begin await":
					go func() { x.Await(); done <- true }()
					for wire.state(x) != awaiting {
						runtime.Gosched()
					}
				case "end await":
					<-done
				}
				if got := wire.state(x); got != s.want {
					t.Fatalf("step %d, %s: %s, want %s", i, s.do, stateNames[got], stateNames[s.want])
				}
			}
			if n := resumes.Load(); n != c.resumes {
				t.Errorf("resumed %d times, want %d", n, c.resumes)
			}
		})
	}
}

// The end of a request ends the wire's watch of the client.
func TestAnEndedRequestIsNotWatched(t *testing.T) {
	wire := &fakeWire{}
	x := NewExchange(&Conn{}, wire)
	x.Suspend(later{})
	if wire.watcher != x.waiting {
		t.Error("the wire does not report to the exchange that waits")
	}
	x.Reset()
	if wire.watcher != nil {
		t.Error("the wire reports to an exchange that has ended")
	}
}

// driver takes one Exchange through request after request, each with waits of both
// kinds, while producers bring events, those of earlier requests too.
type driver struct {
	t      *testing.T
	x      *Exchange
	drives atomic.Int32
	waker  atomic.Pointer[Waker]
	come   atomic.Int64 // events that were waited for and have come
	next   chan bool    // the request is resumed
	random *rand.Rand
}

// wait waits until n events have come.
func (d *driver) wait(n int64) {
	for d.come.Load() < n {
		if d.random.IntN(2) == 0 {
			d.x.Await()
			continue
		}
		d.x.Suspend(later{})
		d.drives.Add(-1)
		if d.x.Park() {
			<-d.next
		} else if d.drives.Add(1) != 1 {
			d.t.Error("two drive one exchange")
		}
		d.x.pending = nil
	}
}

// TestNoEventIsLostOrMistaken runs waits and events of all kinds at the same time.
func TestNoEventIsLostOrMistaken(t *testing.T) {
	const requests, waits = 300, 5
	d := &driver{t: t, next: make(chan bool), random: rand.New(rand.NewPCG(1, 2))}
	wire := &fakeWire{resumed: func() {
		if d.drives.Add(1) != 1 {
			t.Error("two drive one exchange")
		}
		d.next <- true
	}}
	d.x = NewExchange(&Conn{}, wire)
	d.drives.Store(1)
	var stop atomic.Bool
	var producers sync.WaitGroup
	var want atomic.Int64
	for i := range 3 {
		random := rand.New(rand.NewPCG(uint64(i), 7))
		producers.Go(func() {
			var old []Waker
			for !stop.Load() {
				if k := d.waker.Load(); k != nil {
					if n := d.come.Load(); n < want.Load() && d.come.CompareAndSwap(n, n+1) {
						k.Wake()
					}
					old = append(old, *k)
				}
				if len(old) > 0 {
					old[random.IntN(len(old))].Wake() // of this request, or of one before
				}
				runtime.Gosched()
			}
		})
	}
	for range requests {
		k := d.x.Waker()
		d.waker.Store(&k)
		for range waits {
			d.wait(want.Add(1))
		}
		d.waker.Store(nil)
		d.x.Reset()
		if s := wire.state(d.x); s != running {
			t.Fatalf("a new request is %s, want %s", stateNames[s], stateNames[running])
		}
	}
	stop.Store(true)
	producers.Wait()
	if s := wire.state(d.x); s != running {
		t.Errorf("events of requests that have ended left it %s, want %s", stateNames[s], stateNames[running])
	}
}

// FuzzWaiting compares the machine with a model of two booleans, one step a byte.
func FuzzWaiting(f *testing.F) {
	f.Add([]byte("epepsese"))
	f.Add([]byte("aeaoresp"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		resumed := make(chan bool, 1)
		wire := &fakeWire{resumed: func() { resumed <- true }}
		x := NewExchange(&Conn{}, wire)
		var old []Waker
		k := x.Waker()
		var isTold, isSuspended bool
		for i, b := range steps {
			switch b % 5 {
			case 0: // an event
				if k.Wake(); isSuspended {
					<-resumed
				}
				isTold, isSuspended = !isSuspended, false
			case 1: // an event of a request before
				for _, o := range old {
					o.Wake()
				}
			case 2: // the request waits
				if isSuspended {
					continue
				}
				if isSuspended = x.Park(); isSuspended == isTold {
					t.Fatalf("step %d: Park is %v, told %v; want one of them", i, isSuspended, isTold)
				}
				isTold = false
			case 3: // it awaits an event that is there
				if isTold {
					x.Await()
					isTold = false
				}
			case 4: // it ends
				if isSuspended {
					continue
				}
				old = append(old, k)
				x.Reset()
				k, isTold = x.Waker(), false
			}
			want := running
			switch {
			case isSuspended:
				want = suspended
			case isTold:
				want = told
			}
			if got := wire.state(x); got != want {
				t.Fatalf("step %d: %s, want %s", i, stateNames[got], stateNames[want])
			}
		}
	})
}

// A request that does not wait leaves the state machine alone: no timer, no new number.
func TestARequestThatNeverWaitsCostsNothing(t *testing.T) {
	x := NewExchange(&Conn{}, &fakeWire{})
	word := x.waiting.word.Load()
	if n := testing.AllocsPerRun(100, x.Reset); n > 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if x.waiting.word.Load() != word {
		t.Errorf("its word is %#x, want %#x as before", x.waiting.word.Load(), word)
	}
}

// Waiting allocates only the first time.
func TestSuspendingAllocatesNothing(t *testing.T) {
	resumed := make(chan bool, 1)
	x := NewExchange(&Conn{}, &fakeWire{resumed: func() { resumed <- true }})
	if n := testing.AllocsPerRun(100, func() {
		k := x.Waker()
		x.Suspend(later{})
		k.Wake()
		x.Park()
		x.Reset()
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Sleep ends only when its time is over, or when the client leaves.
func TestSleepEndsInTime(t *testing.T) {
	resumed := make(chan bool, 1)
	x := NewExchange(&Conn{}, &fakeWire{resumed: func() { resumed <- true }})
	const d = 20 * time.Millisecond
	began := time.Now()
	err := x.Sleep(d)
	k := x.Waker()
	for looks := 0; err == errSuspended; looks++ {
		if looks == 0 {
			k.Wake() // for nothing
		}
		if x.Park() {
			<-resumed
		}
		pending := x.pending
		x.pending = nil
		err = pending.Continue(x)
	}
	if slept := time.Since(began); slept < d || err != nil {
		t.Errorf("%v after %s, want nil after %s", err, slept, d)
	}
}
