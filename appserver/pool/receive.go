package pool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// outcome is what a frame leads to.
type outcome struct {
	kept bool        // a response owns the buffer now
	tell proxy.Waker // of the request whose Exchange goes on
	done *Job        // that the pool drops its reference to; nil: none
}

// deliver lets the Exchange go on, inline where t leads. Another goroutine may
// have received the end of the response meanwhile, and the request be used again:
// only the Waker, which then has no effect, is still its own.
func (o outcome) deliver(t *eventloop.Turn) {
	o.tell.WakeIn(t)
	if o.done != nil {
		o.done.Drop()
	}
}

// read handles what the worker sends, until its channel ends or it breaks the
// protocol, on a goroutine of its own.
func (w *worker) read() {
	for {
		buf := w.buffer()
		n, files, err := w.channel.Read(*buf)
		if err == nil && n == 0 {
			return
		}
		var o outcome
		if err == nil {
			o, err = w.handle((*buf)[:n], buf, files)
		}
		if err != nil {
			w.pool.post(event{kind: eventViolation, w: w, text: err.Error()})
			return
		}
		o.deliver(nil)
	}
}

// reader is how far a worker's frames were read. Whoever reads holds the lock.
type reader struct {
	reading   sync.Mutex
	receiving *[]byte // what to receive into; nil: the last one was kept
	heads     heads
	batch     batch // of the stream channel
	said      said
	stage     atomic.Uint32 // a readStage; others may look
	mapped    sync.RWMutex  // held while the lane must stay mapped, beside reading
}

// readStage is whether frames are read.
type readStage = uint32

const (
	readOn     readStage = iota
	readEnd              // nothing more is received
	readBreach           // nor is it after a breach of the protocol
)

func newReader() reader { return reader{heads: heads{}} }

// isRead reports whether frames are received.
func (r *reader) isRead() bool { return r.stage.Load() == readOn }

// end ends reading. The first reason counts. The reader's lock is held.
func (r *reader) end(stage readStage) { r.stage.CompareAndSwap(readOn, stage) }

// endReading ends reading and returns how it has ended.
func (r *reader) endReading() readStage {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.end(readEnd)
	return r.stage.Load()
}

// buffer returns what to receive into.
func (r *reader) buffer() *[]byte {
	if r.receiving == nil {
		r.receiving = wire.NewBuffer()
	}
	return r.receiving
}

// handle takes one frame, received in buf. An error is a breach of the protocol.
func (w *worker) handle(b []byte, buf *[]byte, files []int) (o outcome, err error) {
	f, err := wire.ParseFrame(b)
	if err == nil && len(files) > 0 && (f.Kind != wire.KindHead || f.Flags&wire.FlagFile == 0 || len(files) > 1) {
		err = fmt.Errorf("frame %q comes with descriptors", f.Kind)
	}
	if err != nil {
		wire.DiscardAll(files)
		return o, err
	}
	switch f.Kind {
	case wire.KindWake:
	case wire.KindHead:
		o, err = w.onHead(f, buf, files)
	case wire.KindData:
		o, err = w.onData(f, buf)
	case wire.KindAborted:
		err = w.onAborted(f)
	default:
		err = w.onReport(f)
	}
	if o.kept {
		w.receiving = nil
	}
	return o, err
}

// said is what a worker has said of that which it says once.
type said uint8

const (
	saidBoot    said = 1 << iota // how its start has ended
	saidLeaving                  // that it wants to leave
)

// first notes that the worker says what, and reports whether it does so for the first time.
func (s *said) first(what said) bool {
	before := *s
	*s |= what
	return before&what == 0
}

var errTwice = errors.New("it says twice how its start ended")

func (w *worker) onReport(f wire.Frame) error {
	v, err := wire.Decode(f.Payload)
	if err != nil {
		return err
	}
	e := event{w: w}
	switch f.Kind {
	case wire.KindReady:
		if !w.said.first(saidBoot) {
			return errTwice
		}
		e.kind = eventReady
		e.report, err = newReport(v)
	case wire.KindFailed:
		if !w.said.first(saidBoot) {
			return errTwice
		}
		e.kind = eventBootFailed
		m, _ := v.(map[string]any)
		e.boot = &BootError{App: w.pool.o.Name, Worker: w.name, Message: textIn(m, "message"), Traceback: textIn(m, "traceback")}
	case wire.KindLeaving:
		if !w.said.first(saidLeaving) {
			return nil
		}
		e.kind = eventLeaving
		e.text, _ = v.(string)
	case wire.KindNoted:
		return w.onNoted(v)
	case wire.KindLog:
		l, _ := v.([]any)
		if len(l) != 2 {
			return wire.ErrMarshal
		}
		w.onLog(f, l)
		return nil
	}
	if err == nil {
		w.pool.post(e)
	}
	return err
}

// onNoted handles a worker's report about files.
func (w *worker) onNoted(v any) error {
	entries, ok := v.([]any)
	if !ok {
		return wire.ErrMarshal
	}
	for _, e := range entries {
		fields, _ := e.([]any)
		if len(fields) != 3 {
			return wire.ErrMarshal
		}
		var text [3]string
		for i, f := range fields {
			if text[i], ok = f.(string); !ok {
				return wire.ErrMarshal
			}
		}
		w.pool.o.Observer.Noted(text[0], text[1], text[2])
	}
	return nil
}

// onLog logs what the worker says of a request or, once for all workers of the
// pool, of the application.
func (w *worker) onLog(f wire.Frame, l []any) {
	text, _ := l[1].(string)
	level := proxy.LevelError
	if l[0] == "warn" {
		level = proxy.LevelWarn
	}
	if f.Flags&wire.FlagOnce == 0 || w.pool.remarks.first(text) {
		w.log(level, "%s", printable(text))
	}
}

// onHead takes a response's first frame. A whole response is handed over
// before the pool's lock is taken again for the next request of the worker.
func (w *worker) onHead(f wire.Frame, buf *[]byte, files []int) (o outcome, err error) {
	h, err := w.heads.parse(f.Sized, w.pool.o.ParseHead)
	if sent := f.Flags&wire.FlagFile != 0; err == nil && (sent != (h.File >= 0) || sent && (len(files) != 1 || f.Flags&wire.FlagEnd == 0 || len(f.Payload) > 0)) {
		err = wire.ErrFrame
	}
	p := w.pool
	p.mu.Lock()
	j := w.find(f.ID)
	if err == nil {
		err = w.accept(j, f, true)
	}
	if err != nil {
		p.mu.Unlock()
		wire.DiscardAll(files)
		return o, err
	}
	end := f.Flags&wire.FlagEnd != 0
	if end {
		p.complete(w, j)
	}
	given := j.wanted == wanted
	o.tell = j.Waker
	p.mu.Unlock()

	j.Head, j.by = h, w
	switch {
	case h.File >= 0:
		j.Whole, j.File = true, os.NewFile(uintptr(files[0]), "application's file")
	case end:
		o.kept = w.hold(j, f.Payload, buf, given)
	default:
		o.kept = w.put(j, f.Payload, buf)
	}
	j.advance(StageHead)
	if end {
		o.done = j
	}
	return o, nil
}

// hold keeps the body of a response that one frame carries whole.
func (w *worker) hold(j *Job, body []byte, buf *[]byte, given bool) (kept bool) {
	j.Whole = true
	w.slots[j.slot].repay(j.id, int64(len(body)))
	switch {
	case !given:
	case len(body) > smallBody:
		j.Text, j.block = body, buf
		return true
	default:
		j.Text = append(j.small[:0], body...)
	}
	return false
}

func (w *worker) onData(f wire.Frame, buf *[]byte) (o outcome, err error) {
	p := w.pool
	end := f.Flags&wire.FlagEnd != 0
	var trailers *Head
	if w.streams != nil && f.Flags&wire.FlagTrailers != 0 {
		if trailers, err = p.o.ParseFields(string(f.Payload)); err != nil || !end {
			return o, cmp.Or(err, wire.ErrFrame)
		}
		f.Payload = nil
	}
	p.mu.Lock()
	j := w.find(f.ID)
	if err = w.accept(j, f, false); err != nil {
		p.mu.Unlock()
		return o, err
	}
	if trailers != nil {
		j.Trailers = trailers
	}
	o.tell = j.Waker
	if end {
		p.complete(w, j)
	}
	p.mu.Unlock()
	o.kept = w.put(j, f.Payload, buf)
	if end {
		j.Out.End(nil)
		o.done = j
	}
	return o, nil
}

func (w *worker) onAborted(f wire.Frame) error {
	v, err := wire.Decode(f.Payload)
	if err != nil {
		return err
	}
	reason, _ := v.(string)
	p := w.pool
	p.mu.Lock()
	j := w.find(f.ID)
	if j == nil && w.streams != nil {
		p.mu.Unlock()
		return nil // a WebSocket whose client had gone
	}
	talks, level := j != nil && j.at == placeTalking, proxy.LevelError
	if w.state == workerLeaving && w.streams != nil {
		level = proxy.LevelInfo // it was told to end
	}
	// Without a head it is the end of a request that was cancelled, or of one that an ASGI
	// worker knows to have lost its body.
	first := j != nil && j.at == placeSent && (j.wanted == cancelled || w.streams != nil)
	if err = w.accept(j, f, first); err == nil {
		p.complete(w, j)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if talks {
		w.log(proxy.LevelError, "%s", printable(reason))
		j.Socket.Close(nil, closeError, "")
		j.Drop()
		return nil
	}
	j.fail(&proxy.Fail{Status: 502, Level: level, Reason: w.name + ": " + printable(reason)})
	j.Drop()
	return nil
}

// accept checks that a frame may come now: the request is the worker's, the
// slot is its own, and the bytes are within the credit.
func (w *worker) accept(j *Job, f wire.Frame, first bool) error {
	switch {
	case j == nil:
		return fmt.Errorf("frame %q for request %#x, which it does not have", f.Kind, f.ID)
	case int(f.Slot) >= len(w.slots) || w.streams != nil && int(f.Slot) != w.place(f.ID):
		return fmt.Errorf("frame %q from slot %d of %d", f.Kind, f.Slot, len(w.slots))
	case first == (j.at >= placeAnswering) || !first && j.slot != int32(f.Slot):
		return fmt.Errorf("frame %q out of order", f.Kind)
	case j.at == placeTalking && f.Kind != wire.KindAborted:
		return fmt.Errorf("frame %q out of order", f.Kind)
	}
	s := &w.slots[f.Slot]
	if first {
		// A whole response may come by the lane while the end of the slot's one
		// before is in the channel still.
		if f.Flags&wire.FlagEnd == 0 && f.Kind == wire.KindHead {
			if !s.answer(j) {
				return fmt.Errorf("slot %d answers two requests", f.Slot)
			}
		}
		j.answers(int32(f.Slot))
	}
	if n := int64(len(f.Payload)); n > 0 && f.Kind != wire.KindAborted && !s.spend(n) {
		return fmt.Errorf("slot %d sends more than it has credit for", f.Slot)
	}
	return nil
}

// put queues a block of j's response and returns credit for it unless the
// bounds of what may wait are exceeded.
func (w *worker) put(j *Job, data []byte, buf *[]byte) (kept bool) {
	if len(data) <= smallBody {
		buf = nil
	}
	kept, over, err := j.Out.Put(data, buf)
	if err != nil {
		w.log(proxy.LevelCrit, "%s; the application waits for the client", err)
	}
	if !over {
		w.slots[j.slot].repay(j.id, int64(len(data)))
	}
	return kept
}
