//go:build linux

package pool

import (
	"strings"
	"testing"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// newLies returns a model without workers, of which each has one thread, and a request that waits.
func newLies(t *testing.T) (*model, *modelRequest) {
	m := newModel(t, modelRegime{threads: 1, costs: []int{0}}, 1)
	m.arrive()
	for _, r := range m.live {
		return m, r
	}
	return nil, nil
}

// receives adds a worker, which receives r if the pool gives it r.
func (m *model) receives(r *modelRequest) (w *modelWorker, ok bool) {
	m.join()
	w = m.workers[len(m.workers)-1]
	id, ok := w.side.Take()
	if ok && id != r.id {
		m.t.Fatalf("got request %#x from the lane, want %#x", id, r.id)
	}
	return w, ok
}

// lower has w deny that it has received the last n requests.
func (w *modelWorker) lower(n uint32) { w.side.Word(wire.LaneTaken).Add(-n) }

// failure checks that r has failed with status, and with reason in its reason.
func (m *model) failure(r *modelRequest, status proxy.Status, reason string) {
	m.t.Helper()
	if f := r.Failure(); f == nil || f.Status != status || !strings.Contains(f.Reason, reason) {
		m.t.Errorf("got the failure %+v, want %d with %q in its reason", f, status, reason)
	}
}

// A worker can begin a request, set its counts back, and end. Nobody can tell that from a worker
// that has not received the request. So the request goes to other workers, but not for ever.
func TestADeniedRequestDoesNotRunForEver(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(m *model, w *modelWorker)
	}{
		{"the worker dies", func(*model, *modelWorker) {}},
		{"the worker breaks the protocol", func(m *model, w *modelWorker) { m.pool.onViolation(w.worker, "the test says so") }},
		{"the worker asks to leave", func(m *model, w *modelWorker) { m.pool.onLeaving(w.worker, "the test says so") }},
		{"the worker stands still, and is replaced", func(m *model, w *modelWorker) {
			m.pool.mu.Lock()
			w.look(m.now.Add(time.Second).UnixNano(), w.outstanding, w.outstanding)
			m.pool.mu.Unlock()
			m.pool.retire(w.worker, workerLeaving, "the test says so")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, r := newLies(t)
			runs := 0
			for ; runs < 100; runs++ {
				w, ok := m.receives(r)
				if !ok {
					break
				}
				w.lower(1)
				c.end(m, w)
				m.die(w)
			}
			if runs != mostLosses+1 {
				t.Errorf("got %d runs of a request, want %d", runs, mostLosses+1)
			}
			m.failure(r, 502, "17 workers ended and had not received the request, or have hidden that; the last was web:17")
		})
	}
}

// All workers of a pool may be killed at once, and a request may have waited at each of them.
func TestARequestOutlivesAllWorkers(t *testing.T) {
	m, r := newLies(t)
	m.pool.want = 50
	for range 50 + mostLosses {
		m.join()
		m.die(m.workers[0])
	}
	if _, ok := m.receives(r); !ok {
		t.Errorf("got the failure %+v, want a request that the next worker receives", r.Failure())
	}
}

// A request goes back from any number of workers that live, or leave in good order.
func TestARequestComesBackFromManyWorkersThatLive(t *testing.T) {
	m, r := newLies(t)
	for n := range 10 * mostLosses {
		m.join()
		w := m.workers[0]
		if n%2 == 0 {
			m.pool.mu.Lock()
			m.pool.takeAll(w.worker)
			m.pool.dispatch()
			m.pool.mu.Unlock()
		}
		m.retire(w)
	}
	if _, ok := m.receives(r); !ok {
		t.Errorf("got the failure %+v, want a request that the next worker receives", r.Failure())
	}
}

// What a worker has that has broken the protocol in its memory may have begun, whatever it says.
func TestARequestOfAWorkerThatIsDistrustedHasBegun(t *testing.T) {
	const broke = "broke the worker protocol and may have run the request"
	for _, c := range []struct {
		name   string
		lie    func(m *model, w *modelWorker, r *modelRequest)
		reason string
	}{
		{"a count that went back", func(m *model, w *modelWorker, _ *modelRequest) {
			m.pool.tick(m.now)
			w.lower(1)
		}, broke},
		{"a count out of bounds", func(_ *model, w *modelWorker, _ *modelRequest) { w.lower(500) }, broke},
		{"an answer to a request that it does not have", func(m *model, w *modelWorker, r *modelRequest) {
			m.pool.mu.Lock()
			defer m.pool.mu.Unlock()
			if w.accept(nil, wire.Frame{Kind: wire.KindHead, ID: r.id + 1}, true) == nil {
				m.t.Error("got an answer accepted, want an error")
			}
		}, broke},
		{"a count of answers out of bounds", func(m *model, w *modelWorker, _ *modelRequest) {
			w.side.Word(wire.LaneAnswered).Add(500)
			_, err := w.lane.Receive(*w.buffer())
			w.breach(err)
		}, broke},
		{"a mark on a request that it denies", func(_ *model, w *modelWorker, r *modelRequest) {
			w.page.Word(0, wire.PageMark).Store(r.id)
			w.lower(1)
		}, "web:1 (pid 1073741824) has started the request, and says that it has not received it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, r := newLies(t)
			w, _ := m.receives(r)
			c.lie(m, w, r)
			m.die(w)
			m.failure(r, 502, c.reason)
		})
	}
}

// A request that comes back to a pool that stops is answered.
func TestARequestThatComesBackToAPoolThatStops(t *testing.T) {
	m, r := newLies(t)
	w, _ := m.receives(r)
	m.pool.phase = phaseEnds
	w.lower(1)
	m.die(w)
	m.pool.reconcile(m.now)
	m.failure(r, 503, "stopped before a worker was free")
}
