package pool

import (
	"testing"
	"time"
)

// A worker that was starved of processor time looks stuck, and what it had not
// started goes to others. It must not stay last in line for ever: it may be
// sent one.
func TestAWorkerThatHasNothingIsNotStuck(t *testing.T) {
	p := newTestPool(Settings{Threads: 1, Timeout: 30 * time.Second, QueueTimeout: 30 * time.Second})
	p.ticker = time.NewTimer(time.Hour)
	defer p.ticker.Stop()
	starved := &worker{pool: p, threads: 1, standing: standing{state: workerReady}, gait: newGait()}
	starved.look(time.Now().UnixNano()-int64(time.Second), 1, 1)
	other := &worker{pool: p, threads: 1, standing: standing{state: workerReady}, gait: newGait(), table: table{outstanding: 1}}
	p.workers = []*worker{starved}
	p.ready = []*worker{other, starved}
	if w := p.pick(); w != other {
		t.Fatalf("picked %p, want %p, which has room, before %p, which is stuck", w, other, starved)
	}
	p.tick(time.Now())
	if w := p.pick(); w != starved || w.room() != 1 {
		t.Errorf("got %+v, want the worker on trial", starved.gait)
	}
}
