//go:build linux

package pool

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// A model of a pool and its workers in steps of a millisecond: requests arrive, workers take,
// start and end them, stop and go on, die, retire and start, and clients leave. After each step
// these rules must hold:
//
//   - A request that could be taken back from a worker is older than all in the queue, and a
//     worker receives its requests oldest first.
//   - No worker has a free thread while a request waits.
//   - No request waits behind a long one.
//   - A request whose client has left is not served.
//   - Each request ends once.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	pool    *Pool
	now     time.Time
	seed    uint64
	step    int
	regime  modelRegime
	workers []*modelWorker
	live    map[*Job]*modelRequest
	ended   int
	number  int
}

// modelRegime has the events of a run, and how often each happens in 1000 steps.
type modelRegime struct {
	name                                   string
	seed                                   uint64 // of its first run
	workers, threads                       int
	arrivals                               int   // at most, in a step
	costs                                  []int // of requests, in steps
	large, leave, stop, die, retire, steps int
	balance                                Balance
}

type modelRequest struct {
	*Job
	client   *modelClient
	cost     int
	received bool
	started  bool
	left     bool // while it was in the queue
	due      int
}

// modelClient is a client that can leave.
type modelClient struct{ left bool }

// Gone implements proxy.Client.
func (c *modelClient) Gone() bool { return c.left }

// Lost implements proxy.Client.
func (c *modelClient) Lost() bool { return false }

// Silent implements proxy.Client.
func (c *modelClient) Silent() bool { return false }

// modelWorker is a worker with a model of its process.
type modelWorker struct {
	*worker
	side    *wiretest.Lane
	theirs  *os.File
	running []*modelRequest
	until   int // the step before which it is stopped
}

func newModel(t *testing.T, regime modelRegime, seed uint64) *model {
	p := newTestPool(Settings{Threads: regime.threads, Timeout: time.Hour, QueueTimeout: time.Hour, GracefulTimeout: time.Hour, Backlog: 1 << 20, Balance: regime.balance})
	p.ticker = time.NewTimer(time.Hour)
	p.phase = phaseOn
	m := &model{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), pool: p, now: time.Now(), regime: regime, live: map[*Job]*modelRequest{}}
	p.now.Store(m.now.UnixNano())
	for range regime.workers {
		m.join()
	}
	return m
}

// join adds a ready worker.
func (m *model) join() {
	m.number++
	threads := m.regime.threads
	w := &worker{pool: m.pool, name: fmt.Sprintf("web:%d", m.number), number: m.number, threads: threads, slots: make([]slot, threads),
		table: newTable(threads+ahead, 0), gait: newGait(), reader: newReader(), page: make(wire.Page, wire.PageStride*threads), process: noProcess{}}
	for i := range w.slots {
		w.slots[i].account = &thread{page: w.page, index: i, closed: true}
	}
	w.begins(m.now.UnixNano())
	mw := &modelWorker{worker: w, running: make([]*modelRequest, threads)}
	var err error
	if w.channel, mw.theirs, err = wire.NewChannel(nil); err != nil {
		m.t.Fatal(err)
	}
	var memory *os.File
	if w.lane, memory, err = wire.NewLane(threads+ahead, 0); err != nil {
		m.t.Fatal(err)
	}
	mw.side, err = wiretest.Map(memory, w.lane.Geometry())
	if memory.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.workers = append(m.workers, mw)
	m.pool.mu.Lock()
	m.pool.workers = append(m.pool.workers, w)
	m.pool.mu.Unlock()
	m.pool.onReady(w, Report{})
}

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d, step %d: %s", m.seed, m.step, fmt.Sprintf(format, args...))
}

func (m *model) chance(of1000 int) bool { return m.rnd.IntN(1000) < of1000 }

func (m *model) arrive() {
	r := newJob()
	size := 64
	if m.chance(m.regime.large) {
		size = wire.LaneEntry + 100
	}
	r.Frame = append(wire.AppendHeader(r.Frame[:0], wire.KindRequest, 0, 0), make([]byte, size)...)
	client := &modelClient{}
	r.Client, r.Began = client, m.now
	m.live[r] = &modelRequest{Job: r, client: client, cost: m.regime.costs[m.rnd.IntN(len(m.regime.costs))]}
	if f := m.pool.Submit(r); f != nil {
		m.t.Fatal(f.Reason)
	}
}

// receive makes w take the next request, as one of its threads does.
func (m *model) receive(w *modelWorker, slot int) bool {
	id, ok := w.side.Take()
	for b := make([]byte, wire.MaxFrame); !ok; {
		n, _, _, _, err := unix.Recvmsg(int(w.theirs.Fd()), b, nil, unix.MSG_DONTWAIT)
		if err != nil || n == 0 {
			return false
		}
		if ok = b[0] == wire.KindRequest; ok {
			id = binary.LittleEndian.Uint32(b[4:])
		}
	}
	r := m.live[w.find(id)]
	switch {
	case r == nil:
		m.fatalf("%s received a request that it does not have", w.name)
	case r.received:
		m.fatalf("%s received request %d, which was received before", w.name, r.arrival)
	case r.left:
		m.fatalf("%s received request %d, whose client had left the queue", w.name, r.arrival)
	}
	for _, other := range w.jobs {
		if o := m.live[other]; o != nil && !o.received && o.arrival < r.arrival {
			m.fatalf("%s received request %d before %d, which waited there", w.name, r.arrival, o.arrival)
		}
	}
	r.received = true
	w.running[slot] = r
	return true
}

// work runs w for a step.
func (m *model) work(w *modelWorker) {
	if m.step < w.until {
		return
	}
	for slot := range w.running {
		for budget := 8; budget > 0; budget-- {
			r := w.running[slot]
			if r == nil {
				if !m.receive(w, slot) {
					break
				}
				m.check()
				r = w.running[slot]
			}
			if !r.started {
				if m.chance(50) {
					break // taken, and not started yet
				}
				binary.LittleEndian.PutUint32(w.page[slot*wire.PageStride:], r.id)
				r.started, r.due = true, m.step+r.cost
			}
			if m.step < r.due {
				break
			}
			w.running[slot] = nil
			m.pool.mu.Lock()
			m.pool.complete(w.worker, r.Job)
			m.pool.mu.Unlock()
			m.end(r)
			r.Drop()
			m.check()
		}
	}
}

// end notes that r has ended for its client.
func (m *model) end(r *modelRequest) {
	if m.live[r.Job] == nil {
		m.fatalf("request %d ended twice", r.arrival)
	}
	delete(m.live, r.Job)
	m.ended++
}

// outcomes handles the stages of requests, as their Exchanges do.
func (m *model) outcomes() {
	for _, r := range m.live {
		switch r.Stage() {
		case StageGone:
			if !r.client.left {
				m.fatalf("request %d is dropped although its client is there", r.arrival)
			}
			m.end(r)
		case StageFailed:
			m.end(r)
		}
	}
}

func (m *model) leave() {
	var waiting []*modelRequest
	for _, r := range m.live {
		if !r.client.left && !r.started {
			waiting = append(waiting, r)
		}
	}
	if len(waiting) == 0 {
		return
	}
	slices.SortFunc(waiting, func(a, b *modelRequest) int { return cmp.Compare(a.arrival, b.arrival) })
	r := waiting[m.rnd.IntN(len(waiting))]
	r.client.left, r.left = true, r.at == placeQueued
}

// takeOut removes w from the workers that run.
func (m *model) takeOut(w *modelWorker) {
	m.workers = slices.DeleteFunc(m.workers, func(v *modelWorker) bool { return v == w })
}

func (m *model) die(w *modelWorker) {
	m.takeOut(w)
	for _, r := range w.running {
		if r != nil && !r.started {
			r.received = false
		}
	}
	p := m.pool
	p.mu.Lock()
	w.state = workerDead
	p.ready = slices.DeleteFunc(p.ready, func(v *worker) bool { return v == w.worker })
	p.workers = slices.DeleteFunc(p.workers, func(v *worker) bool { return v == w.worker })
	p.settle(w.worker, Exit{Code: 1})
	p.mu.Unlock()
	w.channel.Close()
	w.theirs.Close()
	w.lane.Close()
	w.side.Close()
}

// retire makes w finish its requests and end.
func (m *model) retire(w *modelWorker) {
	m.pool.retire(w.worker, workerLeaving, "the model says so")
	m.check()
	for slices.ContainsFunc(w.running, func(r *modelRequest) bool { return r != nil }) {
		w.until = 0
		m.advance()
	}
	m.die(w)
}

// advance runs the model for a millisecond.
func (m *model) advance() {
	m.step++
	m.now = m.now.Add(time.Millisecond)
	for _, w := range slices.Clone(m.workers) {
		m.work(w)
	}
	if m.step%10 == 0 {
		m.pool.tick(m.now)
		m.check()
		m.checkLong()
	}
	m.outcomes()
}

// oldestWaiting returns the oldest request in the queue whose client has not left.
func (m *model) oldestWaiting() *Job {
	for r := m.pool.queue.first; r != nil; r = r.next {
		if r.next != nil && r.next.arrival <= r.arrival {
			m.fatalf("request %d waits before %d", r.arrival, r.next.arrival)
		}
		if !m.live[r].client.left {
			return r
		}
	}
	return nil
}

func (m *model) check() {
	oldest := m.oldestWaiting()
	for _, w := range m.workers {
		if w.state != workerReady {
			continue
		}
		if oldest != nil && w.outstanding < w.threads && w.trust != stuck {
			m.fatalf("%s is free while request %d waits", w.name, oldest.arrival)
		}
		for _, r := range w.jobs {
			if o := m.live[r]; o != nil && !o.received && oldest != nil && r.arrival > oldest.arrival {
				m.fatalf("request %d is ahead at %s while %d waits", r.arrival, w.name, oldest.arrival)
			}
		}
	}
}

// checkLong fails if a request waits behind a long one, or at one worker while another one is
// free.
func (m *model) checkLong() {
	free := slices.ContainsFunc(m.workers, func(w *modelWorker) bool {
		return w.state == workerReady && w.trust != stuck && w.outstanding < w.threads
	})
	for _, w := range m.workers {
		waiting := 0
		for _, r := range w.jobs {
			if o := m.live[r]; o != nil && !o.received {
				waiting++
			}
		}
		if w.state != workerReady || waiting == 0 {
			continue
		}
		if still := m.now.Sub(time.Unix(0, w.progress)); still > longAfter+tickEvery && w.outstanding > 1 {
			m.fatalf("%d requests wait at %s, which ended none for %s", waiting, w.name, still)
		}
		if free && w.outstanding > w.threads {
			m.fatalf("%d requests wait at %s although another worker is free", waiting, w.name)
		}
	}
}

func (m *model) run() {
	c := m.regime
	for range c.steps {
		if m.step/500%2 == 0 || len(m.live) < c.workers { // bursts, and calm
			for range m.rnd.IntN(c.arrivals + 1) {
				m.arrive()
				m.check()
			}
		}
		if m.chance(c.leave) {
			m.leave()
		}
		if w := m.workers[m.rnd.IntN(len(m.workers))]; m.chance(c.stop) {
			w.until = m.step + m.rnd.IntN(200)
		}
		if m.chance(c.die) {
			m.die(m.workers[m.rnd.IntN(len(m.workers))])
			m.check()
			m.join()
		}
		if m.chance(c.retire) {
			m.join()
			m.retire(m.workers[m.rnd.IntN(len(m.workers))])
			m.check()
		}
		m.advance()
	}
	for limit := m.step + 100000; len(m.live) > 0; m.advance() {
		if m.step > limit {
			m.t.Fatalf("got %d requests that do not end, want none", len(m.live))
		}
	}
	if q := m.pool.queue; q.length != 0 || q.first != nil {
		m.t.Fatalf("got %d requests left in the queue, want none", q.length)
	}
	for len(m.workers) > 0 {
		m.die(m.workers[0])
	}
}

func TestRequestsAreServedInTheOrderOfArrival(t *testing.T) {
	for _, regime := range []modelRegime{
		{name: "one worker, slow requests", workers: 1, threads: 1, arrivals: 1, costs: []int{30}, leave: 5, steps: 800},
		{name: "short requests", workers: 2, threads: 1, arrivals: 12, costs: []int{0}, large: 50, leave: 20, steps: 800},
		{name: "short and long ones", workers: 3, threads: 1, arrivals: 4, costs: []int{0, 0, 0, 0, 1, 2, 5, 60}, large: 100, leave: 20, steps: 800},
		{name: "threads", workers: 2, threads: 4, arrivals: 6, costs: []int{0, 1, 5, 40}, large: 30, leave: 20, steps: 800},
		{name: "workers that stop", workers: 3, threads: 1, arrivals: 3, costs: []int{0, 1, 3}, stop: 20, leave: 5, steps: 1000},
		{name: "workers that die", workers: 4, threads: 2, arrivals: 6, costs: []int{0, 1, 10}, large: 50, die: 20, leave: 10, steps: 800},
		{name: "a recall that brings back an older one", seed: 242, workers: 4, threads: 2, arrivals: 6, costs: []int{0, 1, 10}, large: 50, die: 20, leave: 10, steps: 800},
		{name: "all at once", workers: 4, threads: 1, arrivals: 5, costs: []int{0, 1, 4, 25, 300}, large: 50, stop: 5, die: 10, retire: 5, leave: 10, steps: 1000},
		{name: "in turn", workers: 3, threads: 1, arrivals: 4, costs: []int{0, 1, 4, 25}, large: 50, stop: 5, die: 10, retire: 5, leave: 10, steps: 1000, balance: RoundRobin},
	} {
		t.Run(regime.name, func(t *testing.T) {
			for seed := range *modelSeeds {
				m := newModel(t, regime, regime.seed+uint64(seed))
				if m.run(); m.ended == 0 {
					t.Errorf("seed %d: got no request served, want some", m.seed)
				}
			}
		})
	}
}

var modelSeeds = flag.Int("model.seeds", 1, "runs of each regime of the model")
