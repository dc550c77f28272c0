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

// workedOn reports whether a goroutine works on a connection or a stream.
func workedOn() bool {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte("http2_test.(*conn)")) || bytes.Contains(stacks, []byte("http2_test.(*stream)"))
}

// streams returns how many streams are open.
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
		proxytest.Eventually(t, func() bool { return s.streams() == 17 && !workedOn() }, "got goroutines for some of 17 requests that wait, want none")
		for _, release := range releases {
			release()
		}
		wg.Wait()
		cancel()
		if err := <-delayed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		proxytest.Eventually(t, func() bool { return s.streams() == 0 && !workedOn() }, "got streams or a goroutine on an idle connection, want none")
		s.want(t, "/small", nil, "200 small")
		s.wantOneConnection(t)
	})
}

// A stream without room in its window waits. Other streams of its connection go on.
func TestAFullWindowStallsOnlyItsStream(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		f := newFrames(t, s, 10)
		for round := range uint32(3) {
			large, small := 4*round+1, 4*round+3
			f.get(large, "/large")
			f.get(small, "/small")
			if f.until(small); f.bodies[small].String() != "small" || f.bodies[large].Len() > 10 {
				t.Errorf(`got the small response %q and %d bytes of the large one, want "small" and at most 10`, f.bodies[small], f.bodies[large].Len())
			}
			f.WriteWindowUpdate(0, uint32(len(s.large)+len("small")))
			f.WriteWindowUpdate(large, uint32(len(s.large)-10))
			if f.until(large); !bytes.Equal(f.bodies[large].Bytes(), s.large) {
				t.Errorf("got %d bytes of the large response, want %d", f.bodies[large].Len(), len(s.large))
			}
		}
	})
}

func TestAClientThatDoesNotReadStallsOnlyItsConnection(t *testing.T) {
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
				t.Errorf("response %d: got %d bytes, want %d", i, f.bodies[2*i+1].Len(), len(s.large))
			}
		}
	})
}

func TestStreamsWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, "AtOnce|FullWindow|Reload", "")
}
