package appserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// frames are receive buffers, of which response blocks may take one along.
var frames = sync.Pool{New: func() any { b := make([]byte, wire.MaxFrame); return &b }}

// outcome is what a frame leads to.
type outcome struct {
	kept bool        // a response owns the buffer now
	tell proxy.Waker // of the request whose Exchange goes on
	done *request    // that the pool drops its reference to; nil: none
}

// deliver lets the Exchange go on, inline where t leads. Another goroutine may
// have received the end of the response meanwhile, and the request be used again:
// only the Waker, which then has no effect, is still its own.
func (o outcome) deliver(t *eventloop.Turn) {
	o.tell.WakeIn(t)
	if o.done != nil {
		o.done.drop()
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

// buffer returns what to receive into.
func (w *worker) buffer() *[]byte {
	if w.receiving == nil {
		w.receiving = frames.Get().(*[]byte)
	}
	return w.receiving
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

var errTwice = errors.New("it says twice how its start ended")

func (w *worker) onReport(f wire.Frame) error {
	v, err := wire.Decode(f.Payload)
	if err != nil {
		return err
	}
	e := event{w: w}
	switch f.Kind {
	case wire.KindReady:
		if w.booted {
			return errTwice
		}
		w.booted = true
		e.kind = eventReady
		e.report, err = newReport(v)
	case wire.KindFailed:
		if w.booted {
			return errTwice
		}
		w.booted = true
		e.kind = eventBootFailed
		m, _ := v.(map[string]any)
		e.boot = &BootError{App: w.pool.app.Name, Worker: w.name, Message: textIn(m, "message"), Traceback: textIn(m, "traceback")}
	case wire.KindLeaving:
		if w.leaves {
			return nil
		}
		w.leaves = true
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

// remarks are what workers have said of their application, each once.
type remarks struct {
	mu  sync.Mutex
	all map[string]bool
}

// maxRemarks bounds how many different remarks a pool logs.
const maxRemarks = 64

// first reports that text was not said before, and may be logged.
func (m *remarks) first(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[text] || len(m.all) >= maxRemarks {
		return false
	}
	if m.all == nil {
		m.all = map[string]bool{}
	}
	m.all[text] = true
	return true
}

func textIn(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return printable(s)
}

// printable keeps a worker's text from ruling the terminal that shows it.
func printable(s string) string {
	clean := []byte(nil)
	for i, r := range s {
		if r != '\n' && r != '\t' && !proxy.IsPrintable(r) {
			if clean == nil {
				clean = append(clean, s[:i]...)
			}
			clean = append(clean, '?')
		} else if clean != nil {
			clean = utf8.AppendRune(clean, r)
		}
	}
	if clean == nil {
		return s
	}
	return string(clean)
}

// onHead takes a response's first frame. A whole response is handed over
// before the pool's lock is taken again for the next request of the worker.
func (w *worker) onHead(f wire.Frame, buf *[]byte, files []int) (o outcome, err error) {
	h, err := w.heads.parse(f.Sized)
	if sent := f.Flags&wire.FlagFile != 0; err == nil && (sent != (h.file >= 0) || sent && (len(files) != 1 || f.Flags&wire.FlagEnd == 0 || len(f.Payload) > 0)) {
		err = wire.ErrFrame
	}
	p := w.pool
	p.mu.Lock()
	r := w.find(f.ID)
	if err == nil {
		err = w.accept(r, f, true)
	}
	if err != nil {
		p.mu.Unlock()
		wire.DiscardAll(files)
		return o, err
	}
	end := f.Flags&wire.FlagEnd != 0
	if end {
		p.complete(w, r)
	}
	withdrawn := r.withdrawn
	o.tell = r.waiter.waker
	p.mu.Unlock()

	r.head, r.by = h, w
	switch {
	case h.file >= 0:
		r.whole, r.file = true, os.NewFile(uintptr(files[0]), "application's file")
	case end:
		o.kept = w.hold(r, f.Payload, buf, withdrawn)
	default:
		o.kept = w.put(r, f.Payload, buf)
	}
	r.stage.CompareAndSwap(stageWaiting, stageHead)
	if end {
		o.done = r
	}
	return o, nil
}

// hold keeps the body of a response that one frame carries whole.
func (w *worker) hold(r *request, body []byte, buf *[]byte, withdrawn bool) (kept bool) {
	r.whole = true
	w.slots[r.slot].repay(int64(len(body)))
	switch {
	case withdrawn:
	case len(body) > smallBody:
		r.text, r.block = body, buf
		return true
	default:
		r.text = append(r.small[:0], body...)
	}
	return false
}

func (w *worker) onData(f wire.Frame, buf *[]byte) (o outcome, err error) {
	p := w.pool
	end := f.Flags&wire.FlagEnd != 0
	p.mu.Lock()
	r := w.find(f.ID)
	if err = w.accept(r, f, false); err != nil {
		p.mu.Unlock()
		return o, err
	}
	o.tell = r.waiter.waker
	if end {
		p.complete(w, r)
	}
	p.mu.Unlock()
	o.kept = w.put(r, f.Payload, buf)
	if end {
		r.out.End(nil)
		o.done = r
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
	r := w.find(f.ID)
	if err = w.accept(r, f, r != nil && r.cancelled && !r.answering); err == nil {
		p.complete(w, r)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	r.fail(&proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: w.name + ": " + printable(reason)})
	r.drop()
	return nil
}

// accept checks that a frame may come now: the request is the worker's, the
// slot is its own, and the bytes are within the credit.
func (w *worker) accept(r *request, f wire.Frame, first bool) error {
	switch {
	case r == nil:
		return fmt.Errorf("frame %q for request %#x, which it does not have", f.Kind, f.ID)
	case int(f.Slot) >= len(w.slots):
		return fmt.Errorf("frame %q from slot %d of %d", f.Kind, f.Slot, len(w.slots))
	case first == r.answering || !first && r.slot != int32(f.Slot):
		return fmt.Errorf("frame %q out of order", f.Kind)
	}
	s := &w.slots[f.Slot]
	if first {
		// A whole response may come by the lane while the end of the slot's one
		// before is in the channel still.
		if f.Flags&wire.FlagEnd == 0 && f.Kind == wire.KindHead {
			if s.current != nil {
				return fmt.Errorf("slot %d answers two requests", f.Slot)
			}
			s.current = r
		}
		r.slot, r.answering = int32(f.Slot), true
	}
	if n := int64(len(f.Payload)); n > 0 && f.Kind != wire.KindAborted && s.credit.Add(-n) < 0 {
		return fmt.Errorf("slot %d sends more than it has credit for", f.Slot)
	}
	return nil
}

// put queues a block of r's response and returns credit for it unless the
// bounds of what may wait are exceeded.
func (w *worker) put(r *request, data []byte, buf *[]byte) (kept bool) {
	if len(data) <= smallBody {
		buf = nil
	}
	kept, over, err := r.out.Put(data, buf)
	if err != nil {
		w.log(proxy.LevelCrit, "%s; the application waits for the client", err)
	}
	if !over {
		w.slots[r.slot].repay(int64(len(data)))
	}
	return kept
}

// openFile finds out where in the worker's file the response's body is, and
// whether it has the bytes that were announced. It asks the file's system, which may
// keep it waiting: it runs for r's Exchange.
func (r *request) openFile(size int64) error {
	st, err := r.file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return fmt.Errorf("not a regular file")
	}
	r.offset, err = r.file.Seek(0, io.SeekCurrent)
	if err == nil && r.offset > st.Size()-size {
		err = fmt.Errorf("shorter than the %d bytes announced", size)
	}
	return err
}

// closeFile closes the worker's file, if there is one.
func (r *request) closeFile() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
