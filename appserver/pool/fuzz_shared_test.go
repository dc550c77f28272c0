//go:build linux

package pool

import (
	"encoding/binary"
	"testing"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// hostile is a worker whose shared memory an attacker writes, between any two steps of the front.
type hostile struct {
	t     *testing.T
	pool  *Pool
	w     *worker
	side  *wiretest.Lane  // where the attacker writes
	broke bool            // the attacker has broken the protocol
	live  map[uint32]bool // ids that the front has put and neither got back nor answered

	puts, reads uint32 // the front's counts
}

func newHostile(t *testing.T) *hostile {
	ours, theirs := wiretest.Pair(t, 1+ahead)
	p := newTestPool(Settings{Threads: 1})
	p.events = make(chan event, 1<<12)
	status, file, err := wire.NewPage(1)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	link, end, err := wire.NewChannel(nil)
	if err != nil {
		t.Fatal(err)
	}
	end.Close()
	link.Close() // nothing goes by it
	w := &worker{pool: p, name: "web:1", threads: 1, slots: make([]slot, 1), lane: ours, page: status,
		channel: link, standing: standing{state: workerReady}, table: newTable(1+ahead, 0), gait: newGait(), reader: newReader()}
	thread, bell, err := newThread(status, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.slots[0].account = thread
	bell.Close() // ringing it fails, and nobody minds
	t.Cleanup(func() {
		w.slots[0].close()
		status.Close()
	})
	return &hostile{t: t, pool: p, w: w, side: theirs, live: map[uint32]bool{}, puts: wiretest.FirstCount, reads: wiretest.FirstCount}
}

// put puts a request into the lane, as dispatch does.
func (h *hostile) put() {
	w := h.w
	if len(w.free) == 0 || !w.hasReceived(w.lane.Next()) {
		return
	}
	r := newJob()
	r.refs.Store(2)
	w.add(r)
	w.lane.Put(r.id, wiretest.Frame(wire.KindRequest, r.id))
	h.puts++
	h.live[r.id] = true
}

// takeBack takes back all requests that it can. They must be requests that were put.
func (h *hostile) takeBack() {
	w := h.w
	for n := 0; ; n++ {
		if n > len(w.jobs) {
			h.t.Fatal("got more requests taken back than were put, want an end")
		}
		id, ok, err := uint32(0), false, error(nil)
		if w.trust != distrusted {
			id, ok, err = w.lane.TakeBack()
		}
		if err != nil {
			h.pool.distrust(w, err.Error())
		}
		if !ok {
			break
		}
		h.puts--
		r := w.find(id)
		if r == nil || r.at == placeAnswering {
			h.pool.distrust(w, "it has answered what it has not received")
			break
		}
		if !h.live[id] {
			h.t.Fatalf("got request %#x taken back, want one that was put", id)
		}
		delete(h.live, id)
		w.remove(r)
	}
}

// receive receives the responses of the lane, as a turn does.
func (h *hostile) receive() {
	w := h.w
	for n := 0; w.lane.Answered() && !h.broke; n++ {
		if n > w.lane.Geometry().Responses {
			return
		}
		size, err := w.lane.Receive(*w.buffer())
		var o outcome
		if err == nil {
			h.reads++
			o, err = w.handle((*w.receiving)[:size], w.receiving, nil)
		}
		if o.done != nil {
			if !h.live[o.done.id] {
				h.t.Fatalf("got an answer to request %#x, want one to a request that was put", o.done.id)
			}
			delete(h.live, o.done.id)
		}
		h.broke = err != nil
	}
}

func (h *hostile) credit() {
	s := h.w.slots[0].account.(*thread)
	before := s.credit.Load()
	s.repay(0, Window/2)
	s.cancel(1, wire.ClientGone)
	s.forget(1)
	if s.credit.Load() != before+Window/2 {
		h.t.Fatalf("the front's credit is %d, want %d, whatever the worker writes", s.credit.Load(), before+Window/2)
	}
	s.credit.Store(before)
}

// step is a step of the front, or a write of the attacker. It returns the rest of data.
func (h *hostile) step(data []byte) []byte {
	move, data := data[0], data[1:]
	word := func() (offset int, value uint32) {
		var b [5]byte
		n := copy(b[:], data)
		data = data[n:]
		return int(b[0]) % 96 * 4, binary.LittleEndian.Uint32(b[1:])
	}
	lane := h.side
	switch move % 10 {
	case 0, 1:
		h.put()
	case 2:
		h.takeBack()
	case 3:
		h.receive()
	case 4:
		h.credit()
	case 5: // any word of the lane's first page
		offset, v := word()
		lane.Word(offset).Store(v)
	case 6: // a count near the front's
		offset, v := word()
		counts := []uint32{h.puts, h.reads}
		lane.Word([]int{wire.LaneTaken, wire.LaneAnswered, wire.LanePut, wire.LaneRead}[offset%4]).Store(counts[offset/4%2] + uint32(int8(v)))
	case 7: // any word of the status page
		offset, v := word()
		h.w.page.Word(0, offset%wire.PageStride).Store(v)
	case 8: // a mark of a request that there is
		for id := range h.live {
			h.w.page.Word(0, wire.PageMark).Store(id)
			break
		}
	case 9: // an entry, published
		offset, v := word()
		e := lane.Response(h.reads + uint32(offset)%3)
		binary.LittleEndian.PutUint32(e, v%(wire.MaxFrame+wire.LaneEntry))
		n := copy(e[4:], data[:min(len(data), 64)])
		if id := h.any(); offset%2 == 0 && n > wire.HeaderSize {
			binary.LittleEndian.PutUint32(e[8:], id)
		}
		lane.Word(wire.LaneAnswered).Add(1)
	}
	return data
}

func (h *hostile) any() uint32 {
	for id := range h.live {
		return id
	}
	return 0
}

// Whatever a worker writes to the shared memory, the front takes back only requests that it has
// put, each request ends once, and no call hangs.
func FuzzSharedWords(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 3})
	f.Add([]byte{0, 6, 0, 200, 0, 0, 0, 2})
	f.Add([]byte{0, 0, 0, 6, 0, 0x80, 0, 0, 0, 2, 2})
	f.Add(append([]byte{0, 8, 9, 0, 60, 0, 0, 0}, wiretest.Response(1<<fewestBits, "hello")...))
	f.Add([]byte{0, 9, 0, 8, 0, 0, 0, 'W', 0, 0, 0, 0, 0, 0, 0, 3, 5, 48, 255, 255, 255, 255, 3})
	f.Add([]byte{7, 32, 1, 2, 3, 4, 4, 7, 36, 9, 9, 9, 9, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		h := newHostile(t)
		for n := 0; len(data) > 0 && n < 500; n++ {
			data = h.step(data)
		}
		h.receive()
		h.takeBack()
		if len(h.live) > h.w.outstanding {
			t.Fatalf("got %d requests without an end, want the outstanding ones, %d", len(h.live), h.w.outstanding)
		}
		for id := range h.live {
			if h.w.find(id) == nil {
				t.Fatalf("got request %#x lost, want it in the table", id)
			}
		}
	})
}
