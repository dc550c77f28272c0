//go:build linux

package appserver

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
)

// awake keeps a loop from sleeping.
type awake struct{}

func (awake) Poll(*eventloop.Turn) bool {
	runtime.Gosched() // a single CPU has others to run
	return true
}

func (awake) Sleep(bool) bool { return false }

func ask(t *testing.T, nc net.Conn, r *bufio.Reader) string {
	t.Helper()
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %q, %v", res.StatusCode, body, err)
	}
	return string(body)
}

func TestBothAreAwakeAndTheChannelIsStill(t *testing.T) {
	s := newLaneSite(t, "workers 1;", (*fake).work)
	s.Loops.Next().AddSource(awake{})
	nc := s.Dial("127.0.0.1:8080")
	r := bufio.NewReader(nc)
	for range 300 {
		ask(t, nc, r)
	}
	l := s.fake(0).lane
	if l.requests.Load() < 300 || l.channels.Load() != 0 {
		t.Errorf("%d requests came by the lane, %d by the channel", l.requests.Load(), l.channels.Load())
	}
	if n := l.answers.Load(); n != 300 {
		t.Errorf("%d answers went by the lane although the front never slept", n)
	}
}

func TestAnAnswerWakesAFrontThatSleeps(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(f *fake, id uint32)
	}{
		{"by the channel", func(f *fake, id uint32) { f.reply(id, "woken") }},
		{"by the lane, and a wake-up", func(f *fake, id uint32) {
			b := wholeResponse(id, "woken")
			f.lane.Publish(b, uint32(len(b)))
			f.wake()
		}},
		{"after wake-ups for nothing", func(f *fake, id uint32) {
			for range 5 {
				f.wake()
			}
			f.reply(id, "woken")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newLaneSite(t, "workers 1;", func(f *fake) {
				for id, ok := f.next(); ok; id, ok = f.next() {
					f.start(id)
					for !f.lane.Asleep() {
						time.Sleep(50 * time.Microsecond)
					}
					c.answer(f, id)
				}
			})
			nc := s.Dial("127.0.0.1:8080")
			r := bufio.NewReader(nc)
			for range 50 {
				if got := ask(t, nc, r); got != "woken" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}

// Requests of one turn wake a worker that waits once.
func TestAWorkerIsWokenOnceATurn(t *testing.T) {
	s := newLaneSite(t, "workers 1;", (*fake).work)
	// Where the machine holds the loop or the worker up in the midst of a round,
	// the round's requests come in several turns: then they are sent again.
	const connections, rounds, tries = 8, 40, 10
	var all [connections]net.Conn
	var readers [connections]*bufio.Reader
	for i := range all {
		all[i] = s.Dial("127.0.0.1:8080")
		readers[i] = bufio.NewReader(all[i])
		ask(t, all[i], readers[i])
	}
	l := s.fake(0).lane
	before := l.wakes.Load()
	for round := 1; round <= rounds*tries; round++ {
		proxytest.Eventually(t, func() bool { return l.Word(wire.LaneWaiting).Load() == 1 && l.Asleep() }, "nobody waits")
		turn := &heldTurn{began: make(chan bool), hold: make(chan bool)} // all requests arrive in the one behind it
		s.Loops.Next().AddSource(turn)
		<-turn.began
		for i := range all {
			fmt.Fprint(all[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		close(turn.hold)
		for i := range all {
			if res, err := http.ReadResponse(readers[i], nil); err != nil || res.StatusCode != 200 {
				t.Fatal(err)
			} else {
				io.Copy(io.Discard, res.Body)
			}
		}
		if round%rounds > 0 {
			continue
		}
		n := l.wakes.Load() - before
		if n > 0 && n <= 3*rounds {
			return
		}
		t.Logf("%d wake-ups for %d turns of %d requests", n, rounds, connections)
		before = l.wakes.Load()
	}
	t.Errorf("the worker is woken more often than three times a turn in each of %d tries", tries)
}

// heldTurn holds its loop up for one turn.
type heldTurn struct {
	began, hold chan bool
	done        bool
}

func (h *heldTurn) Poll(*eventloop.Turn) bool {
	if h.done {
		return false
	}
	h.done = true
	close(h.began)
	<-h.hold
	return true
}

func (h *heldTurn) Sleep(bool) bool { return !h.done }

// outstanding is how many requests the first worker has.
func (s *laneSite) outstanding(t testing.TB) int {
	p := s.pool(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return -1
	}
	return p.ready[0].outstanding
}

// sendAhead lets n requests wait at the first worker, however long it takes for
// what it runs: nothing is taken back by the tick.
func (s *laneSite) sendAhead(t testing.TB, n int) {
	t.Helper()
	proxytest.Eventually(t, func() bool { return s.outstanding(t) == 0 }, "no worker is ready")
	p := s.pool(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking, p.ready[0].depth = true, n
}

// submit posts a body of size bytes and returns once a worker has the request.
func (s *laneSite) submit(t testing.TB, wg *sync.WaitGroup, size int, answer func(r *proxytest.Recorder)) {
	t.Helper()
	before := s.outstanding(t)
	wg.Go(func() { answer(s.Do(proxytest.Request{Method: "POST", Body: strings.Repeat("b", size)})) })
	proxytest.Eventually(t, func() bool { return s.outstanding(t) == before+1 }, "the worker has no request more than %d", before)
}

// What does not fit the lane keeps its place: what comes later queues behind it.
func TestWhatDoesNotFitTheLaneIsNotOvertaken(t *testing.T) {
	hold := make(chan bool)
	served := make(chan string, 8)
	s := newLaneSite(t, "workers 1;", func(f *fake) {
		for id, ok := f.next(); ok; id, ok = f.next() {
			f.start(id)
			if id>>indexBits == 1 {
				<-hold
			}
			served <- fmt.Sprint(id >> indexBits)
			f.reply(id, fmt.Sprint(id>>indexBits))
		}
	})
	s.sendAhead(t, 6)
	var wg sync.WaitGroup
	for i, size := range []int{0, 0, 20000, 0, 30000, 0, 0} {
		s.submit(t, &wg, size, func(r *proxytest.Recorder) { expect(t, r, 200, fmt.Sprint(i+1)) })
	}
	close(hold)
	wg.Wait()
	var order []string
	for range 7 {
		order = append(order, <-served)
	}
	if got := strings.Join(order, " "); got != "1 2 3 4 5 6 7" {
		t.Errorf("served in the order %s", got)
	}
	l := s.fake(0).lane
	if l.requests.Load() != 2 || l.channels.Load() != 5 {
		t.Errorf("%d requests came by the lane, %d by the channel; want 2 and 5", l.requests.Load(), l.channels.Load())
	}
	expect(t, s.Get("/"), 200, "8")
	if n := l.requests.Load(); n != 3 {
		t.Error("the lane is not used again")
	}
}

func TestWhatWaitsAtAWorkerGoesToAnIdleOne(t *testing.T) {
	hold := make(chan bool)
	s := newLaneSite(t, "workers 2;", func(f *fake) {
		if f.number == 0 {
			if id, ok := f.next(); ok {
				f.start(id)
				<-hold
				f.reply(id, "held")
			}
		}
		f.work()
	})
	var held atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if r := s.Get("/"); r.Text() == "held" {
				held.Add(1)
			} else {
				expect(t, r, 200, "1")
			}
		})
	}
	proxytest.Eventually(t, func() bool { return s.pool(t).Status().Requests == 11 }, "all others are answered")
	close(hold)
	wg.Wait()
	if held.Load() != 1 {
		t.Errorf("%d were held", held.Load())
	}
}

func TestADeathWithEntriesInTheLane(t *testing.T) {
	for _, c := range []struct {
		name  string
		dying func(f *fake, id uint32)
		first string
	}{
		{"answered without a wake-up", func(f *fake, id uint32) {
			f.start(id)
			b := wholeResponse(id, "last words")
			f.lane.Publish(b, uint32(len(b)))
		}, "last words"},
		{"answered by the channel", func(f *fake, id uint32) { f.answer(id, "last words") }, "last words"},
		{"taken, and not started", func(f *fake, id uint32) {}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hold := make(chan bool)
			s := newLaneSite(t, "workers 1;", func(f *fake) {
				if f.number > 0 {
					f.work()
					return
				}
				id, ok := f.next()
				if <-hold; ok {
					c.dying(f, id)
				}
			})
			s.sendAhead(t, 5)
			var wg sync.WaitGroup
			s.submit(t, &wg, 0, func(r *proxytest.Recorder) { expect(t, r, 200, c.first) })
			for range 5 {
				s.submit(t, &wg, 0, func(r *proxytest.Recorder) { expect(t, r, 200, "1") })
			}
			close(hold)
			wg.Wait()
		})
	}
}

func TestABreachOfTheLaneCostsTheWorker(t *testing.T) {
	for _, c := range []struct {
		name   string
		breach func(l *fakeLane, id uint32)
	}{
		{"a count too far ahead", func(l *fakeLane, id uint32) { l.Word(wire.LaneAnswered).Add(l.Size + 1) }},
		{"a count that went back", func(l *fakeLane, id uint32) { l.Word(wire.LaneAnswered).Add(^uint32(0)) }},
		{"an entry longer than entries are", func(l *fakeLane, id uint32) { l.Publish(wholeResponse(id, ""), wire.LaneEntry-3) }},
		{"the longest of lengths", func(l *fakeLane, id uint32) { l.Publish(wholeResponse(id, ""), 1<<32-1) }},
		{"an empty entry", func(l *fakeLane, id uint32) { l.Publish(nil, 0) }},
		{"an entry shorter than a header", func(l *fakeLane, id uint32) { l.Publish(testFrame(wire.KindHead, id), 7) }},
		{"a request that it does not have", func(l *fakeLane, id uint32) { b := wholeResponse(id+1, ""); l.Publish(b, uint32(len(b))) }},
		{"one answer twice", func(l *fakeLane, id uint32) {
			b := wholeResponse(id, "twice")
			l.Publish(b, uint32(len(b)))
			l.Publish(b, uint32(len(b)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newLaneSite(t, "workers 1;", func(f *fake) {
				if f.number > 0 {
					f.work()
					return
				}
				if id, ok := f.next(); ok {
					f.start(id)
					c.breach(f.lane, id)
					f.wake()
					<-f.killed
				}
			})
			var wg sync.WaitGroup
			wg.Go(func() {
				if r := s.Get("/"); r.Status != 502 && r.Text() != "twice" {
					t.Errorf("%d %q", r.Status, r.Text())
				}
			})
			s.Log.Wait(t, "broke the worker protocol")
			wg.Wait()
			expect(t, s.Get("/"), 200, "1")
		})
	}
}

// A thread ends one response by the channel and gives its next by the lane,
// where the front looks first.
func TestAnAnswerByTheLaneMayOvertakeAStreamsEnd(t *testing.T) {
	s := newLaneSite(t, "workers 1;", func(f *fake) {
		for id, ok := f.next(); ok; id, ok = f.next() {
			f.start(id)
			f.send(wire.KindHead, 0, id, append(sizedHead("200 OK"), "stre"...))
			f.send(wire.KindData, wire.FlagEnd, id, []byte("amed"))
			if id, ok = f.next(); !ok {
				return
			}
			f.start(id)
			b := wholeResponse(id, "whole")
			f.lane.Publish(b, uint32(len(b)))
			f.wake()
		}
	})
	for range 100 {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if r := s.Get("/"); r.Text() != "streamed" && r.Text() != "whole" {
					t.Errorf("%d %q", r.Status, r.Text())
				}
			})
		}
		if wg.Wait(); t.Failed() {
			t.Fatal(s.Log)
		}
	}
}

// Many clients, two workers that answer now by the lane, now by the channel, and die.
func TestNothingIsLostBetweenLaneAndChannel(t *testing.T) {
	s := newLaneSite(t, "workers 2; backlog 1000;", func(f *fake) {
		r := rand.New(rand.NewPCG(uint64(f.number), 1))
		for id, ok := f.next(); ok; id, ok = f.next() {
			f.start(id)
			switch r.IntN(300) {
			case 0, 1, 2:
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
			case 3, 4, 5, 6, 7, 8:
				f.answer(id, fmt.Sprint(f.number))
				continue
			}
			f.reply(id, fmt.Sprint(f.number))
		}
	})
	var wg sync.WaitGroup
	for range 24 {
		nc := s.Dial("127.0.0.1:8080")
		nc.SetDeadline(time.Now().Add(60 * time.Second))
		r := bufio.NewReader(nc)
		wg.Go(func() {
			for i := range 250 {
				size := 0
				if i%10 == 3 {
					size = 10000 + i*100
				}
				fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("b", size))
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				if res.StatusCode != 200 || !slices.Contains([]string{"0", "1"}, string(body)) {
					t.Errorf("%d %q", res.StatusCode, body)
				}
			}
		})
	}
	wg.Wait()
	var lanes, channels int64
	for i := range 2 {
		l := s.fake(i).lane
		lanes += l.requests.Load()
		channels += l.channels.Load()
	}
	if lanes == 0 || channels == 0 || lanes+channels != 24*250 {
		t.Errorf("%d by the lanes, %d by the channels", lanes, channels)
	}
}
