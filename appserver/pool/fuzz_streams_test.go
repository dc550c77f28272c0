//go:build linux

package pool

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
)

// streamed is a request at a hostile ASGI worker, with its owner. Of a WebSocket it is the
// owner's end.
type streamed struct {
	Job
	h      *hostileStreams
	reused bool
	over   bool  // the owner has called Hangup or Abandon
	taken  int64 // bytes of the answer that the client has taken
	given  int64 // cost of the parts that the owner was given and has not repaid
	room   int64 // credit for Pool.Message
}

func (*streamed) Line() string  { return "GET /" }
func (*streamed) Starved() bool { return false }
func (s *streamed) Reuse()      { s.reused = true }

// Message implements Socket.
func (s *streamed) Message(_ *eventloop.Turn, part []byte, _, _ bool) {
	s.alive()
	if s.given += int64(len(part)) + PartCost; s.given > Window {
		s.h.t.Fatalf("a WebSocket is given %d bytes that nobody has taken, want at most %d", s.given, Window)
	}
}

// Grant implements Socket.
func (s *streamed) Grant(_ *eventloop.Turn, n int) {
	s.alive()
	if s.room += int64(n); s.room > Window {
		s.h.t.Fatalf("a WebSocket has credit for %d bytes, want at most %d", s.room, Window)
	}
}

// Close implements Socket.
func (s *streamed) Close(*eventloop.Turn, uint16, string) { s.alive() }

func (s *streamed) alive() {
	if s.over || s.reused {
		s.h.t.Fatal("got a call of a WebSocket that has ended, want none")
	}
}

// hostileStreams is a pool with an ASGI worker that sends what an attacker likes by its stream
// channel, and another worker that must not suffer from it.
type hostileStreams struct {
	t     *testing.T
	pool  *Pool
	w     *worker
	jobs  []*streamed
	other *streamed // the other worker's request
	broke bool
}

// manyStreams is how many requests the hostile worker runs at a time.
const manyStreams = 4

func newHostileStreams(t *testing.T) *hostileStreams {
	h := &hostileStreams{t: t, pool: newTestPool(Settings{Streams: manyStreams})}
	p := h.pool
	p.events = make(chan event, 1<<12)
	p.o.ParseHead = func(text string) (*Head, error) {
		head, err := fakeFields(text)
		if err == nil && text != "" && text[0] == 'f' {
			head.File = 1
		}
		return head, err
	}
	p.o.ParseAccept = func(text string) (*Head, string, error) {
		head, err := fakeFields(text)
		if err == nil {
			head.Status = 101
		}
		return head, text, err
	}
	p.o.ParseFields = fakeFields
	h.w = h.newWorker("web:1")
	other := h.newWorker("web:2")
	h.other = h.give(other, false)
	other.page.Word(other.place(h.other.id), wire.PageMark).Store(h.other.id)
	return h
}

// fakeFields decodes any text that does not begin with "!".
func fakeFields(text string) (*Head, error) {
	if text != "" && text[0] == '!' {
		return nil, errors.New("it begins with an exclamation mark")
	}
	return &Head{Head: upstream.Head{Status: 200, Length: -1}, File: -1}, nil
}

func (h *hostileStreams) newWorker(name string) *worker {
	lines := pageLines(1, manyStreams)
	page, file, err := wire.NewPage(lines)
	if err != nil {
		h.t.Fatal(err)
	}
	file.Close()
	link, end, err := wire.NewChannel(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	end.Close()
	link.Close() // nothing goes by it
	streams, end, err := wire.NewStreams(nil, 1<<30, func(error) {})
	if err != nil {
		h.t.Fatal(err)
	}
	end.Close() // nobody sends what is put
	w := &worker{pool: h.pool, name: name, threads: manyStreams, slots: make([]slot, lines), page: page, channel: link, streams: streams, process: noProcess{},
		standing: standing{state: workerReady}, table: newTable(manyStreams+ahead, 0), gait: newGait(), reader: newReader()}
	for i := range w.slots {
		w.slots[i].account = &stream{channel: streams, place: i}
	}
	h.t.Cleanup(func() {
		streams.Close()
		page.Close()
	})
	h.pool.workers, h.pool.ready = append(h.pool.workers, w), append(h.pool.ready, w)
	return w
}

// give sends a request to w, as dispatch does.
func (h *hostileStreams) give(w *worker, socket bool) *streamed {
	s := &streamed{h: h, room: Window}
	s.Init(s)
	s.refs.Store(2)
	s.Out.Memory = 64 << 10
	if socket {
		s.Job.Socket = s
	}
	s.submitted(h.pool.arrive())
	w.add(&s.Job)
	return s
}

// chosen returns one of the hostile worker's requests, also one that has ended; nil: there
// is none.
func (h *hostileStreams) chosen(b byte) *streamed {
	if len(h.jobs) == 0 {
		return nil
	}
	return h.jobs[int(b)%len(h.jobs)]
}

// step is one move, of the front or of the worker. It returns what is left of data.
func (h *hostileStreams) step(data []byte) []byte {
	var b [4]byte
	data = data[copy(b[:], data):]
	s := h.chosen(b[1])
	switch move := b[0] % 8; {
	case move == 0:
		if h.w.outstanding < manyStreams {
			h.jobs = append(h.jobs, h.give(h.w, b[1]%2 == 0))
		}
	case s == nil:
	case move == 1: // the worker starts the request
		h.w.page.Word(h.w.place(s.id), wire.PageMark).Store(s.id)
	case move == 2:
		h.goOn(s, b[2])
	case move == 3:
		h.ends(s)
	default:
		return h.batch(data, b[2], b[3])
	}
	return data
}

// goOn has the owner of s do what it may.
func (h *hostileStreams) goOn(s *streamed, what byte) {
	p := h.pool
	switch {
	case s.over:
	case what%4 == 0:
		p.TakeHints(&s.Job)
	case s.Stage() == StageWaiting && what%4 == 1: // its timeout is over
		p.mu.Lock()
		if s.at == placeSent && h.w.hasStarted(&s.Job) && !s.failed() {
			p.timeOut(h.w, &s.Job)
		}
		p.mu.Unlock()
	case s.Stage() != StageHead:
	case s.Accepted() && what%4 == 1:
		if n := int64(what) * 100; s.room >= n+PartCost {
			s.room -= n + PartCost
			p.Message(nil, &s.Job, make([]byte, n), true, true)
		}
	case s.Accepted():
		p.Taken(&s.Job, int(s.given))
		s.given = 0
	case !s.Whole:
		block, ok, _, back := s.Out.Next()
		s.Repay(back)
		if ok {
			s.taken += block.Size
			s.Repay(block.Size)
		}
	}
}

// ends has the owner of s need it no more.
func (h *hostileStreams) ends(s *streamed) {
	if s.over {
		return
	}
	if s.Stage() == StageHead && s.Accepted() {
		h.pool.Hangup(nil, &s.Job, closeLost, "")
	} else {
		h.pool.Abandon(&s.Job)
	}
	s.over = true
	if s.refs.Load() < 1 {
		h.t.Fatalf("a request has %d references before it is dropped, want at least 1", s.refs.Load())
	}
	s.Drop()
}

// kinds are the types of frames that a worker may send by the stream channel.
const kinds = "HDIXAMQG"

// batch is a message of the worker, made of data. With descriptors where that is a few.
func (h *hostileStreams) batch(data []byte, frames, descriptors byte) []byte {
	if h.broke {
		return data
	}
	var message []byte
	for range frames%4 + 1 {
		var b [5]byte // request, type, flags, what is wrong, length
		data = data[copy(b[:], data):]
		payload := data[:min(int(b[4]), len(data))]
		data = data[len(payload):]
		s := h.chosen(b[0])
		f := wire.AppendHeader(nil, kinds[int(b[1])%len(kinds)], b[2], s.id)
		binary.LittleEndian.PutUint16(f[2:], uint16(h.w.place(s.id)))
		switch b[3] {
		case 1:
			f[0] = b[4]
		case 2:
			f[2]++
		case 3:
			f[6]++
		case 4:
			f = f[:len(f)-1]
		case 5: // a long one
			payload = make([]byte, 60000)
		}
		if kind := f[0]; kind == wire.KindHead || kind == wire.KindAccept {
			sized := min(len(payload), int(b[4]%4))
			f = binary.LittleEndian.AppendUint32(f, uint32(sized))
		}
		f = append(f, payload...)
		if b[3] != 6 {
			message = binary.LittleEndian.AppendUint32(message, uint32(len(f)))
		}
		message = append(message, f...)
	}
	h.receive(message[:min(len(message), wire.MaxFrame)], int(descriptors%8))
	return data
}

// receive handles a message as the reader does.
func (h *hostileStreams) receive(message []byte, descriptors int) {
	b := &h.w.batch
	b.rest = append((*b.buffer())[:0], message...)
	for range descriptors % 5 % 3 {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		b.files = append(b.files, fd)
	}
	for n := 0; len(b.rest) > 0; n++ {
		if n > wire.MaxFrame {
			h.t.Fatal("got a batch that does not end, want an end")
		}
		o, err := h.w.handleStream(nil)
		if err != nil {
			h.w.breach(err)
			h.broke = true
			return
		}
		o.deliver(nil)
	}
}

// check fails the test if the other worker's request has changed, or too many bytes wait for a
// client.
func (h *hostileStreams) check() {
	if s := h.other; s.at != placeSent || s.Stage() != StageWaiting || s.refs.Load() != 2 || s.wanted != wanted {
		h.t.Fatalf("got the other worker's request at %d, stage %d, with %d references, want it unchanged", s.at, s.Stage(), s.refs.Load())
	}
	for _, s := range h.jobs {
		if waits := s.Out.Received() - s.taken; !s.over && waits > s.Out.Memory+Window {
			h.t.Fatalf("got %d bytes that wait for a client, want at most %d", waits, s.Out.Memory+Window)
		}
	}
}

// die is the end of the worker: its requests end, each once.
func (h *hostileStreams) die() {
	p := h.pool
	p.mu.Lock()
	p.ready = p.ready[1:]
	p.workers = p.workers[1:]
	p.phase = phaseEnds // nothing goes to the other worker
	p.settle(h.w, Exit{})
	p.mu.Unlock()
	for len(p.events) > 0 {
		if e := <-p.events; e.kind == eventCutOff && !e.socket.(*streamed).over {
			e.socket.Close(nil, e.code, "")
		}
	}
	if h.w.outstanding != 0 {
		h.t.Fatalf("got %d requests without an end, want 0", h.w.outstanding)
	}
	for _, s := range h.jobs {
		h.ends(s)
		if n := s.refs.Load(); n != 0 || !s.reused {
			h.t.Fatalf("got %d references to a request that has ended, want none", n)
		}
	}
}

// Whatever a worker sends by its stream channel, in whatever order, each of its requests ends
// once, other workers' do not suffer, what waits is bounded, and no call hangs.
func FuzzStreamChannel(f *testing.F) {
	const socket, request = "\x00\x00\x00\x00", "\x00\x01\x00\x00"
	const start, batch = "\x01\x00\x00\x00", "\x04\x00\x00\x00"
	f.Add([]byte(request + start + batch + "\x00\x00\x01\x00\x04head")) // a whole answer
	f.Add([]byte(request + start + "\x04\x00\x02\x00" + "\x00\x02\x00\x00\x04link" + "\x00\x00\x00\x00\x04head" + "\x00\x01\x05\x00\x04sums"))
	f.Add([]byte(request + start + "\x04\x00\x00\x01" + "\x00\x00\x03\x00\x03fil")) // a file
	f.Add([]byte(request + start + batch + "\x00\x00\x00\x00\x04head" + "\x04\x00\x03\x00" + "\x00\x01\x00\x05\x00\x00\x01\x00\x05\x00\x00\x01\x00\x05\x00\x00\x01\x00\x05\x00" + "\x02\x00\x02\x00" + batch + "\x00\x01\x01\x05\x00"))
	f.Add([]byte(socket + start + batch + "\x00\x04\x00\x00\x02ac" + "\x02\x00\x05\x00" + "\x04\x00\x03\x00" + "\x00\x05\x03\x00\x02hi" + "\x00\x07\x00\x00\x04\x64\x00\x00\x00" + "\x00\x06\x00\x00\x04\xe8\x03ok" + "\x00\x05\x00\x00\x01x" + "\x03\x00\x00\x00"))
	f.Add([]byte(socket + start + batch + "\x00\x04\x00\x00\x02ac" + batch + "\x00\x07\x00\x00\x04\xff\xff\xff\xff" + batch + "\x00\x03\x00\x00\x05u\x00\x00\x00\x00")) // too much credit
	f.Add([]byte(socket + start + "\x03\x00\x00\x00" + batch + "\x00\x04\x00\x00\x02ac"))                                                                               // its client has left
	f.Add([]byte(request + socket + start + "\x02\x00\x01\x00" + batch + "\x00\x03\x00\x00\x05u\x00\x00\x00\x00" + batch + "\x01\x05\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := newHostileStreams(t)
		for n := 0; len(data) > 0 && n < 500; n++ {
			data = h.step(data)
			h.check()
		}
		h.die()
		h.check()
	})
}
