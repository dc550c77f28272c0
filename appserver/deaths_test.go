package appserver

import (
	"strings"
	"sync/atomic"
	"testing"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/proxy/proxytest"
)

// A worker that ends right after it became ready may be an accident. Three in a
// row are told, also while the next one is ready for a moment.
func TestAnApplicationWhoseWorkersEndAtOnceIsToldAsFailed(t *testing.T) {
	t.Parallel()
	var sound atomic.Bool
	s := newFakeSite(t, "workers 1;", func(f *pooltest.Fake) {
		if sound.Load() {
			f.Serve()
		}
	})
	p := s.pool(t)
	proxytest.Eventually(t, func() bool { return p.Status().State == pool.Failed }, "the state is failed")
	if st := p.Status(); !strings.Contains(st.Error, "end as soon as they are ready, the last one with exit code 0") {
		t.Errorf(`the status is %+v, want "end as soon as they are ready, the last one with exit code 0" in it`, st)
	}
	s.Log.Wait(t, `app "web": its workers end as soon as they are ready`)
	sound.Store(true)
	expect(t, s.Get("/"), 200, "") // it has waited for the next worker
	proxytest.Eventually(t, func() bool { st := p.Status(); return st.State == pool.Running && st.Error == "" }, "a worker that stays ends it")
}

// Who repeats a request that ends its worker has no other one refused.
func TestARequestThatEndsItsWorkersRefusesNoOther(t *testing.T) {
	t.Parallel()
	const deaths = 4 // more than have the status say that the application fails
	var left atomic.Int64
	left.Store(deaths)
	s := newFakeSite(t, "workers 1;", func(f *pooltest.Fake) {
		if left.Add(-1) < 0 {
			f.Serve()
			return
		}
		if id, ok := f.Receive(); ok {
			f.Start(id)
		}
	})
	for range deaths {
		if r := s.Get("/"); r.Status != 502 {
			t.Errorf("a request whose worker ends is answered %d %s; want 502", r.Status, r.Text())
		}
	}
	expect(t, s.Get("/"), 200, "")
	if d := s.pool(t).Status().Deaths; d.Times != deaths || d.Exit != "exit code 0" {
		t.Errorf("the status has %+v, want %d deaths with exit code 0", d, deaths)
	}
}
