package pooltest

import (
	"fmt"
	"os"
	"sync/atomic"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// Lane is a worker's side of the lane, and how often it was used.
type Lane struct {
	*wiretest.Lane
	Requests, Channels atomic.Int64 // that came by the lane, and by the channel
	Wakes              atomic.Int64
	Answers            atomic.Int64 // that went by the lane
}

func newLane(memory *os.File, g wire.Geometry) (*Lane, error) {
	l, err := wiretest.Map(memory, g)
	return &Lane{Lane: l}, err
}

func (l *Lane) close() {
	if l != nil {
		l.Lane.Close()
	}
}

// Next waits for a request as PROTOCOL.md says.
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

// Reply answers as PROTOCOL.md says: by the lane where the front is awake.
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

// Wake sends a wake-up.
func (f *Fake) Wake() { f.Send(wire.KindWake, 0, 0, nil) }

// Work serves every request with the worker's number.
func (f *Fake) Work() {
	for id, ok := f.Next(); ok; id, ok = f.Next() {
		f.Start(id)
		f.Reply(id, fmt.Sprint(f.Number))
	}
}
