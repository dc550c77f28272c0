package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
)

// batch is what was received by the stream channel and not handled yet. The reader's lock
// guards it.
type batch struct {
	memory *[]byte // nil: a response owns it
	rest   []byte
	files  []int
	first  bool // the stream channel comes before the others
	ended  bool // nothing more comes by it
}

// receiveStream handles the next frame of the stream channel; more is false when there is none.
// The reader's lock is held.
func (w *worker) receiveStream(t *eventloop.Turn) (o outcome, more bool) {
	if len(w.batch.rest) == 0 {
		if w.batch.ended || !w.streams.Event.Readable() {
			return o, false
		}
		w.streams.Event.Forget()
		n, files, err := w.streams.TryRead(*w.batch.buffer())
		if err == unix.EAGAIN {
			return o, false
		}
		w.streams.Event.Missed() // there may be more
		if n == 0 && err == nil {
			w.batch.ended = true
			w.onLost(wire.ErrEnded)
			return o, false
		}
		if err != nil {
			w.breach(err)
			return o, false
		}
		w.batch.rest, w.batch.files = (*w.batch.memory)[:n], files
	}
	o, err := w.handleStream(t)
	if err != nil {
		w.breach(err)
		return o, false
	}
	return o, true
}

func (b *batch) buffer() *[]byte {
	if b.memory == nil {
		b.memory = wire.NewBuffer()
	}
	return b.memory
}

// onLost is told that nothing goes by the stream channel any more. A worker that has closed it
// is about to exit; or it has to.
func (w *worker) onLost(err error) {
	e := event{kind: eventLost, w: w, text: "cannot be sent frames: " + err.Error()}
	if err == wire.ErrEnded {
		e.text = err.Error()
		time.AfterFunc(killAfter, func() { w.pool.post(e) })
		return
	}
	w.pool.post(e)
}

// breach ends the reading of a worker that has broken the protocol.
func (w *worker) breach(err error) {
	w.end(readBreach)
	w.batch.rest = nil
	w.pool.post(event{kind: eventViolation, w: w, text: err.Error()})
}

// handleStream handles the first frame of what was received. A response may keep the memory of a
// frame that came alone.
func (w *worker) handleStream(t *eventloop.Turn) (o outcome, err error) {
	b := &w.batch
	var memory *[]byte
	whole := len(b.rest)
	frame, rest, err := wire.NextFrame(b.rest)
	if len(rest) == 0 && whole == len(frame)+wire.LengthSize {
		memory = b.memory
	}
	b.rest = rest
	files := b.files
	b.files = nil
	var f wire.Frame
	if err == nil {
		f, err = wire.ParseStreamFrame(frame)
	}
	if err == nil && len(files) > 0 && (f.Kind != wire.KindHead || f.Flags&wire.FlagFile == 0 || len(files) > 1 || len(rest) > 0) {
		err = fmt.Errorf("frame %q comes with descriptors", f.Kind)
	}
	if err != nil {
		wire.DiscardAll(files)
		return o, err
	}
	switch f.Kind {
	case wire.KindHead:
		o, err = w.onHead(f, memory, files)
	case wire.KindData:
		o, err = w.onData(f, memory)
	case wire.KindAborted:
		err = w.onAborted(f)
	default:
		o, err = w.onStream(t, f)
	}
	if o.kept {
		b.memory = nil
	}
	return o, err
}

// readStreams reads the stream channel on a goroutine of its own. The function that it returns
// ends that after finish, which ends the reading of the channel.
func (w *worker) readStreams(finish func()) func() {
	done := make(chan struct{})
	w.group.Go(w.streams.Send)
	w.group.Go(func() {
		defer close(done)
		for w.isRead() {
			n, files, err := w.streams.Read(*w.batch.buffer())
			if err != nil || n == 0 {
				w.onLost(wire.ErrEnded)
				return
			}
			w.batch.rest, w.batch.files = (*w.batch.memory)[:n], files
			for len(w.batch.rest) > 0 {
				o, err := w.handleStream(nil)
				if err != nil {
					w.breach(err)
					return
				}
				o.deliver(nil)
			}
		}
	})
	return func() {
		w.streams.EndReads()
		<-done
		w.streams.EndSends()
		finish()
	}
}

// drainStreams has what the worker has left be the last of the stream channel.
func (w *worker) drainStreams() {
	if w.streams != nil {
		w.streams.EndReads()
		w.streams.Event.Missed()
	}
}

// streamsPending reports whether there is something to receive. The reader's lock is held.
func (w *worker) streamsPending() bool {
	return w.streams != nil && (len(w.batch.rest) > 0 || !w.batch.ended && w.streams.Event.Readable())
}
