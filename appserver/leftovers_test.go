//go:build linux

package appserver

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"time"

	"alicorn/appserver/pool/pooltest"
	"alicorn/proxy/proxytest"
)

// A worker takes its lane, channel and goroutines with it.
func TestWorkersLeaveNothingBehind(t *testing.T) {
	s := newLaneSite(t, "workers 1; max_requests 1;", (*pooltest.Fake).Work)
	count := func() (files, goroutines, maps int) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		mapped, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return len(open), runtime.NumGoroutine(), bytes.Count(mapped, []byte("alicorn-status"))
	}
	started := func() int {
		return s.fakes.Started()
	}
	files, goroutines, maps := count()
	for end := time.Now().Add(60 * time.Second); started() < 20; {
		if r := s.Get("/"); r.Status != 200 || time.Now().After(end) {
			t.Fatalf("got %d %q after %d workers, want 200 in time", r.Status, r.Text(), started())
		}
	}
	proxytest.Eventually(t, func() bool {
		f, g, m := count()
		return f <= files && g <= goroutines && m <= maps
	}, "twenty workers later there are more than %d descriptors, %d goroutines, %d maps", files, goroutines, maps)
}
