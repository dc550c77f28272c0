package pool

import (
	"testing"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
)

// A loop may still poll a worker that is discarded: then the lane's memory is gone.
func TestALateTurnDoesNotTouchTheLaneOfADiscardedWorker(t *testing.T) {
	lane, file, err := wire.NewLane(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	lane.SetBusy(true) // the turn below is not busy, which the worker would be told
	w := &worker{pool: newTestPool(Settings{Threads: 1}), lane: lane, reader: newReader()}
	w.reading.Lock()
	w.end(readEnd)
	w.reading.Unlock()
	lane.Close()
	if w.Poll(&eventloop.Turn{}) {
		t.Error("got work of a worker that is discarded, want none")
	}
}
