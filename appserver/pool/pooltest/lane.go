package pooltest

import (
	"fmt"
	"os"
	"sync/atomic"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// Lane is a worker's side of the lane, with counts.
type Lane struct {
	*wiretest.Lane
	Requests atomic.Int64 // requests that came by the lane
	Channels atomic.Int64 // requests that came by the channel
	Wakes    atomic.Int64 // frames that woke the worker
	Answers  atomic.Int64 // answers that were sent by the lane
}

// newLane maps the memory of a lane.
func newLane(memory *os.File, g wire.Geometry) (*Lane, error) {
	l, err := wiretest.Map(memory, g)
	return &Lane{Lane: l}, err
}

func (l *Lane) close() {
	if l != nil {
		l.Lane.Close()
	}
}

// Next waits for a request of the lane or the channel (PROTOCOL.md, "The lane").
func (f *Fake) Next() (id uint32, ok bool) {
	l := f.Lane
	for {
		if id, ok := l.Take(); ok {
			l.Requests.Add(1)
			return id, true
		}
		l.Word(wire.LaneWaiting).Swap(1)
		if id, ok := l.Take(); ok {
			l.Word(wire.LaneWaiting).Store(0)
			l.Requests.Add(1)
			return id, true
		}
		b, ok := f.Frame()
		l.Word(wire.LaneWaiting).Store(0)
		switch {
		case !ok:
			return 0, false
		case b[0] == wire.KindRequest:
			l.Channels.Add(1)
			return wiretest.ID(b), true
		}
		l.Wakes.Add(1)
	}
}

// Reply sends a whole response: by the lane if that has room and the front is awake, otherwise
// by the channel.
func (f *Fake) Reply(id uint32, body string) {
	l := f.Lane
	b := wiretest.Response(id, body)
	if l.Asleep() || l.Full() {
		f.Raw(b)
		return
	}
	l.Publish(b, uint32(len(b)))
	l.Answers.Add(1)
	if l.Asleep() {
		f.Wake()
	}
}

// Wake wakes the front.
func (f *Fake) Wake() { f.Send(wire.KindWake, 0, 0, nil) }

// Work answers each request of the lane and the channel with the worker's number.
func (f *Fake) Work() {
	for id, ok := f.Next(); ok; id, ok = f.Next() {
		f.Start(id)
		f.Reply(id, fmt.Sprint(f.Number))
	}
}
