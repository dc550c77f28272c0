package pool

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
)

// batch is a message of the stream channel. The reader's lock guards it.
type batch struct {
	memory *[]byte // the receive buffer; nil: a response has kept it
	rest   []byte  // the frames that were not handled yet
	files  []int   // the descriptors that came with the message
	first  bool    // the stream channel is read before the others
	ended  bool    // the stream channel has ended
}

// receiveStream receives and handles the next frame of the stream channel. more is false if
// there is none. The caller holds the reader's lock.
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

// buffer returns the receive buffer.
func (b *batch) buffer() *[]byte {
	if b.memory == nil {
		b.memory = wire.NewBuffer()
	}
	return b.memory
}

// onLost is called when no frame can be sent by the stream channel any more. A worker that has
// closed its end gets killAfter to exit.
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
	if errors.Is(err, wire.ErrLane) {
		w.pool.mu.Lock()
		w.distrust()
		w.pool.mu.Unlock()
	}
	w.pool.post(event{kind: eventViolation, w: w, text: err.Error()})
}

// handleStream handles the next frame of the batch. If that is its only frame, a response may
// keep the memory.
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

// readStreams starts goroutines that read and write a stream channel without a loop. It returns
// a function that ends them and calls finish, which ends the reading of the channel.
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

// drainStreams makes the messages that have come by the stream channel the last ones.
func (w *worker) drainStreams() {
	if w.streams != nil {
		w.streams.EndReads()
		w.streams.Event.Missed()
	}
}

// streamsPending reports whether the stream channel has frames to handle. The caller holds the
// reader's lock.
func (w *worker) streamsPending() bool {
	return w.streams != nil && (len(w.batch.rest) > 0 || !w.batch.ended && w.streams.Event.Readable())
}
