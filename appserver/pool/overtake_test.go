//go:build linux

package pool_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy/proxytest"
)

// Many clients send requests while workers work, pause and die. When a worker takes a request
// from its lane, no older one waits in the queue.
func TestNoWorkerOvertakesTheQueue(t *testing.T) {
	var s *site
	var known atomic.Bool
	var taken atomic.Int64
	s = newSite(t, 3, func(f *pooltest.Fake) {
		for !known.Load() {
			time.Sleep(time.Millisecond)
		}
		p := s.pool
		r := rand.New(rand.NewPCG(uint64(f.Number), 3))
		for n := 0; ; n++ {
			id, ok := takeInOrder(t, f, p, &taken)
			if !ok {
				return
			}
			if n == 150 && f.Number < 3 {
				return // dies with a request that it has not started
			}
			f.Start(id)
			switch r.IntN(100) {
			case 0:
				time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
			case 1, 2, 3, 4, 5, 6, 7, 8, 9:
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
			}
			f.Reply(id, "served")
		}
	})
	known.Store(true)
	var wg sync.WaitGroup
	for i := range 24 {
		nc := s.Dial("127.0.0.1:8080")
		in := bufio.NewReader(nc)
		wg.Go(func() {
			for j := range 80 {
				nc.SetDeadline(time.Now().Add(60 * time.Second))
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
					t.Errorf("%d %q; want 200", res.StatusCode, body)
				}
			}
		})
	}
	if wg.Wait(); taken.Load() == 0 {
		t.Error("got no request by a lane, want some")
	}
}

// takeInOrder waits for a request as Next does. When it takes one from the lane, it checks the
// queue.
func takeInOrder(t *testing.T, f *pooltest.Fake, p *pool.Pool, count *atomic.Int64) (id uint32, ok bool) {
	take := func() bool {
		var taken, older uint64
		if id, ok, taken, older = p.TakeInOrder(f, f.Lane.Take); !ok {
			return false
		}
		if count.Add(1); older != 0 {
			t.Errorf("request %d was taken while %d waited; want 0", taken, older)
		}
		return true
	}
	for {
		if take() {
			return id, true
		}
		f.Lane.Word(wire.LaneWaiting).Store(1)
		if take() {
			f.Lane.Word(wire.LaneWaiting).Store(0)
			return id, true
		}
		b, more := f.Frame()
		f.Lane.Word(wire.LaneWaiting).Store(0)
		switch {
		case !more:
			return 0, false
		case b[0] == wire.KindRequest:
			return wiretest.ID(b), true
		}
	}
}

// A request whose client has left is dropped when its turn comes, and the next one is served.
func TestTheQueuePassesOverClientsThatLeft(t *testing.T) {
	hold := make(chan bool)
	served := make(chan uint64, 64)
	var s *site
	s = newSite(t, 1, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			<-hold
			served <- s.pool.Arrival(id)
			f.Reply(id, "served")
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		nc := s.Dial("127.0.0.1:8080")
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		proxytest.Eventually(t, func() bool { return s.pool.Arrived() == i+1 }, "request %d has not come", i+1)
		if i == 0 {
			proxytest.Eventually(t, func() bool { return s.pool.Outstanding() == 1 && s.pool.IsLong() }, "the first request does not run")
		}
		if i%2 == 1 {
			nc.Close()
		} else {
			wg.Go(func() { io.Copy(io.Discard, io.LimitReader(nc, 20)) })
			defer nc.Close()
		}
	}
	proxytest.Eventually(t, func() bool { return s.pool.Wanted() == s.pool.Arrived()-1-4 }, "the clients have not left")
	close(hold)
	for want := uint64(1); want <= 7; want += 2 {
		if got := <-served; got != want {
			t.Errorf("request %d was served, want %d", got, want)
		}
	}
	wg.Wait()
}
