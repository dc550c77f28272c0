//go:build linux

package pool_test

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

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
)

// awake is a Source that keeps a loop from sleeping.
type awake struct{}

func (awake) Poll(*eventloop.Turn) bool {
	runtime.Gosched() // a single CPU has others to run
	return true
}

func (awake) Sleep(bool) bool { return false }

func (awake) Expects() bool { return true }

func ask(t *testing.T, nc net.Conn, r *bufio.Reader) string {
	t.Helper()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %q, %v; want 200", res.StatusCode, body, err)
	}
	return string(body)
}

func TestBothAreAwakeAndTheChannelIsStill(t *testing.T) {
	s := newSite(t, 1, (*pooltest.Fake).Work)
	s.Loops.Next().AddSource(awake{})
	nc := s.Dial("127.0.0.1:8080")
	r := bufio.NewReader(nc)
	for range 300 {
		ask(t, nc, r)
	}
	l := s.fakes.Fake(0).Lane
	if l.Requests.Load() < 300 || l.Channels.Load() != 0 {
		t.Errorf("%d requests came by the lane, %d by the channel; want at least 300 and 0", l.Requests.Load(), l.Channels.Load())
	}
	if n := l.Answers.Load(); n != 300 {
		t.Errorf("%d answers went by the lane although the front never slept, want 300", n)
	}
}

func TestAnAnswerWakesAFrontThatSleeps(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(f *pooltest.Fake, id uint32)
	}{
		{"by the channel", func(f *pooltest.Fake, id uint32) { f.Reply(id, "woken") }},
		{"by the lane, and a wake-up", func(f *pooltest.Fake, id uint32) {
			b := wiretest.Response(id, "woken")
			f.Lane.Publish(b, uint32(len(b)))
			f.Wake()
		}},
		{"after wake-ups for nothing", func(f *pooltest.Fake, id uint32) {
			for range 5 {
				f.Wake()
			}
			f.Reply(id, "woken")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, 1, func(f *pooltest.Fake) {
				for id, ok := f.Next(); ok; id, ok = f.Next() {
					f.Start(id)
					for !f.Lane.Asleep() {
						time.Sleep(50 * time.Microsecond)
					}
					c.answer(f, id)
				}
			})
			nc := s.Dial("127.0.0.1:8080")
			r := bufio.NewReader(nc)
			for range 50 {
				if got := ask(t, nc, r); got != "woken" {
					t.Errorf(`got %q, want "woken"`, got)
				}
			}
		})
	}
}

// The requests of a turn wake a worker once.
func TestAWorkerIsWokenOnceATurn(t *testing.T) {
	s := newSite(t, 1, (*pooltest.Fake).Work)
	const connections, rounds = 8, 40
	s.sendAhead(t, connections) // a slow worker would be given some of them after its first answers
	socket := s.Dir + "/s"      // what is written to it has arrived; TCP may deliver it later
	var all [connections]net.Conn
	var readers [connections]*bufio.Reader
	for i := range all {
		all[i] = s.Dial(socket)
		readers[i] = bufio.NewReader(all[i])
		ask(t, all[i], readers[i])
	}
	l := s.fakes.Fake(0).Lane
	for range rounds {
		proxytest.Eventually(t, func() bool { return l.Word(wire.LaneWaiting).Load() == 1 }, "no thread of the worker waits")
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
	}
	const most = connections + rounds // each connection's first request has a turn, and each round
	if n := l.Wakes.Load(); n == 0 || n > most {
		t.Errorf("%d wake-ups for %d turns, want at least 1 and at most one for each", n, most)
	}
}

// heldTurn is a handler that holds up a turn of its loop.
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

func (h *heldTurn) Expects() bool { return !h.done }

// sendAhead lets n requests wait at the first worker.
func (s *site) sendAhead(t testing.TB, n int) {
	t.Helper()
	proxytest.Eventually(t, func() bool { return s.pool.Outstanding() == 0 }, "no worker is ready")
	s.pool.SendAhead(n)
}

// post posts a body of size bytes and returns once a worker has the request.
func (s *site) post(t testing.TB, wg *sync.WaitGroup, size int, answer func(r *proxytest.Recorder)) {
	t.Helper()
	before := s.pool.Outstanding()
	wg.Go(func() { answer(s.Do(proxytest.Request{Method: "POST", Body: strings.Repeat("b", size)})) })
	proxytest.Eventually(t, func() bool { return s.pool.Outstanding() == before+1 }, "the worker has no request more than %d", before)
}

// A request that does not fit the lane keeps its place: later ones wait behind it.
func TestWhatDoesNotFitTheLaneIsNotOvertaken(t *testing.T) {
	hold := make(chan bool)
	served := make(chan string, 8)
	s := newSite(t, 1, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			if pool.Sequence(id) == 1 {
				<-hold
			}
			served <- fmt.Sprint(pool.Sequence(id))
			f.Reply(id, fmt.Sprint(pool.Sequence(id)))
		}
	})
	s.sendAhead(t, 6)
	var wg sync.WaitGroup
	for i, size := range []int{0, 0, 20000, 0, 30000, 0, 0} {
		s.post(t, &wg, size, func(r *proxytest.Recorder) { expect(t, r, 200, fmt.Sprint(i+1)) })
	}
	close(hold)
	wg.Wait()
	var order []string
	for range 7 {
		order = append(order, <-served)
	}
	if got := strings.Join(order, " "); got != "1 2 3 4 5 6 7" {
		t.Errorf(`served in the order %s, want "1 2 3 4 5 6 7"`, got)
	}
	l := s.fakes.Fake(0).Lane
	if l.Requests.Load() != 2 || l.Channels.Load() != 5 {
		t.Errorf("%d requests came by the lane, %d by the channel; want 2 and 5", l.Requests.Load(), l.Channels.Load())
	}
	expect(t, s.Get("/"), 200, "8")
	if n := l.Requests.Load(); n != 3 {
		t.Errorf("%d requests went by the lane, want 3: it is used again", n)
	}
}

func TestWhatWaitsAtAWorkerGoesToAnIdleOne(t *testing.T) {
	hold := make(chan bool)
	s := newSite(t, 2, func(f *pooltest.Fake) {
		if f.Number == 0 {
			if id, ok := f.Next(); ok {
				f.Start(id)
				<-hold
				f.Reply(id, "held")
			}
		}
		f.Work()
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
	proxytest.Eventually(t, func() bool { return s.pool.Status().Requests == 11 }, "the other 11 requests are not answered")
	close(hold)
	wg.Wait()
	if held.Load() != 1 {
		t.Errorf("%d were held, want 1", held.Load())
	}
}

func TestADeathWithEntriesInTheLane(t *testing.T) {
	for _, c := range []struct {
		name  string
		dying func(f *pooltest.Fake, id uint32)
		first string
	}{
		{"answered without a wake-up", func(f *pooltest.Fake, id uint32) {
			f.Start(id)
			b := wiretest.Response(id, "last words")
			f.Lane.Publish(b, uint32(len(b)))
		}, "last words"},
		{"answered by the channel", func(f *pooltest.Fake, id uint32) { f.Answer(id, "last words") }, "last words"},
		{"taken, and not started", func(f *pooltest.Fake, id uint32) {}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hold := make(chan bool)
			s := newSite(t, 1, func(f *pooltest.Fake) {
				if f.Number > 0 {
					f.Work()
					return
				}
				id, ok := f.Next()
				if <-hold; ok {
					c.dying(f, id)
				}
			})
			s.sendAhead(t, 5)
			var wg sync.WaitGroup
			s.post(t, &wg, 0, func(r *proxytest.Recorder) { expect(t, r, 200, c.first) })
			for range 5 {
				s.post(t, &wg, 0, func(r *proxytest.Recorder) { expect(t, r, 200, "1") })
			}
			close(hold)
			wg.Wait()
		})
	}
}

func TestABreachOfTheLaneCostsTheWorker(t *testing.T) {
	for _, c := range []struct {
		name   string
		breach func(l *pooltest.Lane, id uint32)
	}{
		{"a count too far ahead", func(l *pooltest.Lane, id uint32) { l.Word(wire.LaneAnswered).Add(l.Size + 1) }},
		{"a count that went back", func(l *pooltest.Lane, id uint32) { l.Word(wire.LaneAnswered).Add(^uint32(0)) }},
		{"a block that there is not", func(l *pooltest.Lane, id uint32) {
			l.PublishIn(wire.LaneBlocks, wiretest.Response(id, ""), wire.LaneEntry-3)
		}},
		{"the block of the highest number", func(l *pooltest.Lane, id uint32) { l.PublishIn(1<<32-1, nil, wire.LaneEntry) }},
		{"a block with more than a frame", func(l *pooltest.Lane, id uint32) { l.PublishIn(0, wiretest.Response(id, ""), wire.MaxFrame+1) }},
		{"the longest of lengths", func(l *pooltest.Lane, id uint32) { l.Publish(wiretest.Response(id, ""), 1<<32-1) }},
		{"an empty entry", func(l *pooltest.Lane, id uint32) { l.Publish(nil, 0) }},
		{"an entry shorter than a header", func(l *pooltest.Lane, id uint32) { l.Publish(wiretest.Frame(wire.KindHead, id), 7) }},
		{"a request that it does not have", func(l *pooltest.Lane, id uint32) { b := wiretest.Response(id+1, ""); l.Publish(b, uint32(len(b))) }},
		{"one answer twice", func(l *pooltest.Lane, id uint32) {
			b := wiretest.Response(id, "twice")
			l.Publish(b, uint32(len(b)))
			l.Publish(b, uint32(len(b)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, 1, func(f *pooltest.Fake) {
				if f.Number > 0 {
					f.Work()
					return
				}
				if id, ok := f.Next(); ok {
					f.Start(id)
					c.breach(f.Lane, id)
					f.Wake()
					<-f.Killed
				}
			})
			var wg sync.WaitGroup
			wg.Go(func() {
				if r := s.Get("/"); r.Status != 502 && r.Text() != "twice" {
					t.Errorf(`%d %q; want 502, or "twice"`, r.Status, r.Text())
				}
			})
			s.Log.Wait(t, "broke the worker protocol")
			wg.Wait()
			expect(t, s.Get("/"), 200, "1")
		})
	}
}

// A thread ends one response by the channel and sends its next one by the lane, which the front
// reads first.
func TestAnAnswerByTheLaneMayOvertakeAStreamsEnd(t *testing.T) {
	s := newSite(t, 1, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			f.Send(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "stre"...))
			f.Send(wire.KindData, wire.FlagEnd, id, []byte("amed"))
			if id, ok = f.Next(); !ok {
				return
			}
			f.Start(id)
			b := wiretest.Response(id, "whole")
			f.Lane.Publish(b, uint32(len(b)))
			f.Wake()
		}
	})
	for range 100 {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if r := s.Get("/"); r.Text() != "streamed" && r.Text() != "whole" {
					t.Errorf(`%d %q; want "streamed" or "whole"`, r.Status, r.Text())
				}
			})
		}
		if wg.Wait(); t.Failed() {
			t.Fatal(s.Log)
		}
	}
}

// There are many clients, and two workers, which answer by the lane or by the channel, and die.
func TestNothingIsLostBetweenLaneAndChannel(t *testing.T) {
	s := newSite(t, 2, func(f *pooltest.Fake) {
		r := rand.New(rand.NewPCG(uint64(f.Number), 1))
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			switch r.IntN(300) {
			case 0, 1, 2:
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
			case 3, 4, 5, 6, 7, 8:
				f.Answer(id, fmt.Sprint(f.Number))
				continue
			}
			f.Reply(id, fmt.Sprint(f.Number))
		}
	})
	var wg sync.WaitGroup
	for range 24 {
		nc := s.Dial("127.0.0.1:8080")
		r := bufio.NewReader(nc)
		wg.Go(func() {
			for i := range 250 {
				nc.SetDeadline(time.Now().Add(60 * time.Second))
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
					t.Errorf("%d %q; want 200 and 0 or 1", res.StatusCode, body)
				}
			}
		})
	}
	wg.Wait()
	var lanes, channels int64
	for i := range 2 {
		l := s.fakes.Fake(i).Lane
		lanes += l.Requests.Load()
		channels += l.Channels.Load()
	}
	if lanes == 0 || channels == 0 || lanes+channels != 24*250 {
		t.Errorf("got %d requests by the lanes and %d by the channels, want some by each", lanes, channels)
	}
}
