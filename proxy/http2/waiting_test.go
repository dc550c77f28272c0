//go:build linux

package http2_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"alicorn/proxy/proxytest"
)

// workedOn reports whether some goroutine works on a connection or a stream.
func workedOn() bool {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte("http2_test.(*conn)")) || bytes.Contains(stacks, []byte("http2_test.(*stream)"))
}

// streams returns how many are open.
func (s *site) streams() int {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

func TestExchangesThatWaitHaveNoGoroutine(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		var wg sync.WaitGroup
		var releases []func()
		for i := range 8 { // as many as the application has threads
			releases = append(releases, s.begin(t, &wg, strconv.Itoa(i)))
		}
		for range 8 {
			wg.Go(func() { s.want(t, "/app/", nil, "200 hello") })
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		delayed := s.delay(ctx, t)
		proxytest.Eventually(t, func() bool { return s.streams() == 17 && !workedOn() }, "17 requests wait, and some have a goroutine")
		for _, release := range releases {
			release()
		}
		wg.Wait()
		cancel()
		if err := <-delayed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		proxytest.Eventually(t, func() bool { return s.streams() == 0 && !workedOn() }, "the connection idles, and has a goroutine")
		s.want(t, "/small", nil, "200 small")
		s.wantOneConnection(t)
	})
}

// A stream whose client has no room for it waits, and its connection goes on.
func TestAFullWindowHoldsItsStreamAlone(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		f := newFrames(t, s, 10)
		for round := range uint32(3) {
			large, small := 4*round+1, 4*round+3
			f.get(large, "/large")
			f.get(small, "/small")
			if f.until(small); f.bodies[small].String() != "small" || f.bodies[large].Len() > 10 {
				t.Errorf("the small response is %q, and the large one has %d bytes for a window of 10", f.bodies[small], f.bodies[large].Len())
			}
			f.WriteWindowUpdate(0, uint32(len(s.large)+len("small")))
			f.WriteWindowUpdate(large, uint32(len(s.large)-10))
			if f.until(large); !bytes.Equal(f.bodies[large].Bytes(), s.large) {
				t.Errorf("the large response has %d bytes, want %d", f.bodies[large].Len(), len(s.large))
			}
		}
	})
}

// A client that stops reading stops what is sent to it, and no other connection.
func TestAClientThatDoesNotReadHoldsItsConnectionAlone(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		f := newFrames(t, s, 1<<30)
		f.WriteWindowUpdate(0, 1<<30)
		const streams = 40 // more than sockets hold
		for i := range uint32(streams) {
			f.get(2*i+1, "/large")
		}
		for range 10 {
			s.want(t, "/small", nil, "200 small")
		}
		for i := range uint32(streams) {
			if f.until(2*i + 1); !bytes.Equal(f.bodies[2*i+1].Bytes(), s.large) {
				t.Errorf("response %d has %d bytes, want %d", i, f.bodies[2*i+1].Len(), len(s.large))
			}
		}
	})
}

func TestStreamsWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, "SideBySide|FullWindow|Reload", "")
}
