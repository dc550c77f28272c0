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

// outcome is the result of handling a frame.
type outcome struct {
	kept bool        // a response owns the buffer now
	tell proxy.Waker // of the Exchange that gets an event
	done *Job        // the job to which the pool drops its reference; nil: none
}

// deliver wakes the Exchange; see proxy.Waker.WakeIn. Another goroutine may have received the
// end of the response meanwhile, and the job may be in use again. So deliver uses only the
// Waker, which then has no effect.
func (o outcome) deliver(t *eventloop.Turn) {
	o.tell.WakeIn(t)
	if o.done != nil {
		o.done.Drop()
	}
}

// read reads and handles frames of a worker without a loop, on its own goroutine, until the
// channel ends or the worker breaks the protocol.
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

// reader has the state of reading a worker's frames. Its lock, reading, guards it.
type reader struct {
	reading   sync.Mutex
	receiving *[]byte // the receive buffer; nil: a response has kept it
	heads     heads
	batch     batch // of the stream channel
	said      said
	stage     atomic.Uint32 // a readStage; it may be loaded without the lock
	mapped    sync.RWMutex  // held by code that uses the lane without holding reading
}

// readStage says whether frames are read.
type readStage = uint32

const (
	readOn     readStage = iota // they are
	readEnd                     // they are not
	readBreach                  // they are not, as the worker has broken the protocol
)

func newReader() reader { return reader{heads: heads{}} }

// isRead reports whether frames are read.
func (r *reader) isRead() bool { return r.stage.Load() == readOn }

// end ends reading. The first stage counts. The caller holds reading.
func (r *reader) end(stage readStage) { r.stage.CompareAndSwap(readOn, stage) }

// endReading ends reading and returns the stage.
func (r *reader) endReading() readStage {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.end(readEnd)
	return r.stage.Load()
}

// buffer returns the receive buffer.
func (r *reader) buffer() *[]byte {
	if r.receiving == nil {
		r.receiving = wire.NewBuffer()
	}
	return r.receiving
}

// handle handles the frame b, which was received in buf. err is a breach of the protocol.
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

// said is the set of those frames, of which a worker sends one, that it has sent.
type said uint8

const (
	saidBoot    said = 1 << iota // KindReady or KindFailed
	saidLeaving                  // KindLeaving
)

// first notes that the worker has sent what, and reports whether that is the first time.
func (s *said) first(what said) bool {
	before := *s
	*s |= what
	return before&what == 0
}

var errTwice = errors.New("it reports the end of its start twice")

// onReport handles a frame about the worker itself.
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

// onNoted handles a frame about files.
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

// onLog logs a line of the worker. A line with FlagOnce is logged once for all workers of the
// pool.
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

// onHead handles the first frame of a response.
func (w *worker) onHead(f wire.Frame, buf *[]byte, files []int) (o outcome, err error) {
	p, end, sent := w.pool, f.Flags&wire.FlagEnd != 0, f.Flags&wire.FlagFile != 0
	h, err := w.heads.parse(f.Sized, p.o.ParseHead)
	if err == nil && (sent != (h.File >= 0) || sent && (len(files) != 1 || !end)) {
		err = wire.ErrFrame
	}
	offset := int64(0)
	if err == nil && sent {
		if offset, err = f.TakePosition(); err == nil && p.closing.Load() >= mostClosing {
			err = fmt.Errorf("closing the files that it sends takes too long: %d are not closed yet", mostClosing)
		}
	}
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
	if end {
		p.complete(w, j)
	}
	given := j.wanted == wanted
	o.tell = j.Waker
	p.mu.Unlock()

	j.Head, j.by = h, w
	switch {
	case h.File >= 0:
		j.Whole, j.Offset, j.File = true, offset, os.NewFile(uintptr(files[0]), "application's file")
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

// hold makes body the Text of j, of which the frame is the whole response. It reports whether j
// has kept buf. given says that somebody waits for the response.
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

// onData handles a part of a response's body.
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

// onAborted handles the failure of a request in the worker.
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
		return nil // a WebSocket whose client has gone
	}
	talks, level := j != nil && j.at == placeTalking, proxy.LevelError
	if w.state == workerLeaving && w.streams != nil {
		level = proxy.LevelInfo // the request was told to end
	}
	// It may come without a head for a request that was cancelled, and from an ASGI worker
	// for a request whose body is lost.
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

// accept checks that frame f may come now: the worker has the request j, the slot is the
// request's, and the payload is within the credit. first says that f is the first frame for j. The
// caller holds the pool's lock.
func (w *worker) accept(j *Job, f wire.Frame, first bool) error {
	switch {
	case j == nil:
		w.distrust() // it has received what was taken back, or answers twice
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
		// A whole response may come by the lane before the end of the slot's last response
		// comes by the channel.
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

// put adds data to j's response, and gives credit for them unless too much waits for the client.
// It reports whether j has kept buf.
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
