package pool

import (
	"testing"
	"time"
)

// A worker that was starved of processor time looks stuck, and what it had not
// started goes to others. It must not stay last in line for ever.
func TestAWorkerThatHasNothingIsNotStuck(t *testing.T) {
	p := newTestPool(Settings{Threads: 1, Timeout: 30 * time.Second, QueueTimeout: 30 * time.Second})
	p.ticker = time.NewTimer(time.Hour)
	defer p.ticker.Stop()
	starved := &worker{pool: p, state: workerReady, threads: 1, depth: 1, slow: true, stuck: true}
	other := &worker{pool: p, state: workerReady, threads: 1, depth: 1, outstanding: 1}
	p.workers = []*worker{starved}
	p.ready = []*worker{other, starved}
	if w := p.pick(); w != other {
		t.Fatal("a stuck worker came before one that has room")
	}
	p.tick(time.Now())
	if w := p.pick(); w != starved || w.room() != 2 {
		t.Errorf("the worker is still passed over: stuck %v, slow %v", starved.stuck, starved.slow)
	}
}
