//go:build linux

package appserver

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy/proxytest"
)

// Many clients and workers that work, pause and die, all at once: when a worker
// takes a request from its lane, no older one waits in the queue.
func TestNoWorkerOvertakesTheQueue(t *testing.T) {
	var s *laneSite
	var known atomic.Bool
	var taken atomic.Int64
	s = newLaneSite(t, "workers 3; backlog 1000;", func(f *fake) {
		for !known.Load() {
			time.Sleep(time.Millisecond)
		}
		p := s.pool(t)
		r := rand.New(rand.NewPCG(uint64(f.number), 3))
		for n := 0; ; n++ {
			id, ok := f.takeInOrder(t, p, &taken)
			if !ok {
				return
			}
			if n == 150 && f.number < 3 {
				return // dies with a request that it has not started
			}
			f.start(id)
			switch r.IntN(100) {
			case 0:
				time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
			case 1, 2, 3, 4, 5, 6, 7, 8, 9:
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
			}
			f.reply(id, "served")
		}
	})
	known.Store(true)
	var wg sync.WaitGroup
	for i := range 24 {
		nc := s.Dial("127.0.0.1:8080")
		nc.SetDeadline(time.Now().Add(60 * time.Second))
		in := bufio.NewReader(nc)
		wg.Go(func() {
			for j := range 80 {
				size := 0
				if (i+j)%15 == 0 {
					size = 12000
				}
				fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("b", size))
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
					t.Errorf("%d %q", res.StatusCode, body)
				}
			}
		})
	}
	if wg.Wait(); taken.Load() == 0 {
		t.Error("nothing came by a lane")
	}
}

// takeInOrder waits for a request as next does, and looks at the queue in the
// moment in which it takes one from the lane.
func (f *fake) takeInOrder(t *testing.T, p *Pool, taken *atomic.Int64) (id uint32, ok bool) {
	take := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if id, ok = f.lane.Take(); !ok {
			return false
		}
		taken.Add(1)
		first := p.queue.first
		for _, w := range p.ready {
			if r := w.find(id); r != nil && w.lane != nil && w.process == Process(f) && first != nil && first.arrival < r.arrival {
				t.Errorf("request %d was taken while %d waited", r.arrival, first.arrival)
			}
		}
		return true
	}
	for {
		if take() {
			return id, true
		}
		f.lane.Word(wire.LaneWaiting).Store(1)
		if take() {
			f.lane.Word(wire.LaneWaiting).Store(0)
			return id, true
		}
		b, more := f.frame()
		f.lane.Word(wire.LaneWaiting).Store(0)
		switch {
		case !more:
			return 0, false
		case b[0] == wire.KindRequest:
			return idOf(b), true
		}
	}
}

// A client that leaves while its request waits in the queue leaves it at once
// when its turn comes, and the next one is served.
func TestTheQueuePassesOverClientsThatLeft(t *testing.T) {
	hold := make(chan bool)
	served := make(chan uint64, 64)
	var s *laneSite
	s = newLaneSite(t, "workers 1;", func(f *fake) {
		for id, ok := f.next(); ok; id, ok = f.next() {
			f.start(id)
			<-hold
			served <- arrivalOf(s.pool(t), id)
			f.reply(id, "served")
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		nc := s.Dial("127.0.0.1:8080")
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		proxytest.Eventually(t, func() bool { return s.arrived(t) == uint64(i+1) }, "request %d has not come", i+1)
		if i == 0 {
			proxytest.Eventually(t, func() bool { return s.outstanding(t) == 1 && s.long(t) }, "the first request does not run")
		}
		if i%2 == 1 {
			nc.Close()
		} else {
			wg.Go(func() { io.Copy(io.Discard, io.LimitReader(nc, 20)) })
			defer nc.Close()
		}
	}
	s.awaitLeft(t, 4)
	close(hold)
	for want := uint64(1); want <= 7; want += 2 {
		if got := <-served; got != want {
			t.Errorf("request %d was served, want %d", got, want)
		}
	}
	wg.Wait()
}

// arrived is how many requests have come to the pool.
func (s *laneSite) arrived(t testing.TB) uint64 {
	p := s.pool(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrivals
}

// long reports whether the first worker's request runs for long.
func (s *laneSite) long(t testing.TB) bool {
	p := s.pool(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready[0].slow
}

// awaitLeft waits until n clients have left the queue, or are known to have gone.
func (s *laneSite) awaitLeft(t testing.TB, n int) {
	t.Helper()
	p := s.pool(t)
	proxytest.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		there := 0
		for r := p.queue.first; r != nil; r = r.next {
			if !r.clientGone() {
				there++
			}
		}
		return there == int(p.arrivals)-1-n
	}, "the clients have not left")
}

func arrivalOf(p *Pool, id uint32) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ready {
		if r := w.find(id); r != nil {
			return r.arrival
		}
	}
	return 0
}

func idOf(frame []byte) uint32 { return binary.LittleEndian.Uint32(frame[4:]) }
