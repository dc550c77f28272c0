package pool

import (
	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// turnFrames is how many frames of one worker a turn of its loop receives: other
// connections and workers wait meanwhile.
const turnFrames = 128

// Poll is eventloop.Source's: it receives what the worker has sent, and has the
// Exchanges go on. A frame is received and noted under the reader's lock; what
// follows from it, which may wait for a client, is not.
// A worker that never stops sending gets no more of a turn than turnFrames.
func (w *worker) Poll(t *eventloop.Turn) (worked bool) {
	for n := 0; n < turnFrames && !t.Left(); n++ {
		if !w.reading.TryLock() {
			return worked // by one that lost the lead while it wrote to a disk
		}
		if n == 0 { // what this turn gives the worker has it woken in the next
			w.wakeLate()
			if w.lane != nil {
				w.lane.SetBusy(t.Busy())
			}
		}
		o, more := w.receive(t)
		w.reading.Unlock()
		if t.Left() {
			w.loop.Wake() // who leads now found the reader's lock taken
		}
		if !more {
			return worked
		}
		worked = true
		o.deliver(t)
	}
	return worked
}

// Sleep is eventloop.Source's. While somebody reads nothing is pending: the
// Loop is woken afterwards.
func (w *worker) Sleep(asleep bool) (pending bool) {
	if !w.mapped.TryRLock() {
		return false // it is being discarded
	}
	defer w.mapped.RUnlock()
	if !w.isRead() {
		return false
	}
	if w.lane != nil {
		w.lane.Sleep(asleep)
	}
	if !asleep || !w.reading.TryLock() {
		return false
	}
	defer w.reading.Unlock()
	w.wakeLate()
	return w.lane != nil && w.lane.Answered() || w.channel.Event.Readable() || w.streamsPending()
}

// drain receives what a worker that has exited has left, and ends receiving.
func (w *worker) drain() {
	w.loop.RemoveSource(w)
	w.reading.Lock()
	w.channel.EndReads()
	if w.lane != nil {
		w.lane.EndReads()
	}
	w.drainStreams()
	w.reading.Unlock()
	w.channel.Event.Missed()
	for more := w.streams != nil; more; { // before the channel's end, which ends reading
		var o outcome
		w.reading.Lock()
		o, more = w.receiveStream(nil)
		w.reading.Unlock()
		o.deliver(nil)
	}
	for more := true; more; {
		var o outcome
		w.reading.Lock()
		if o, more = w.receive(nil); !more {
			w.end(readEnd)
		}
		w.reading.Unlock()
		o.deliver(nil)
	}
}

// receive handles the next frame; more is false when there is none. The
// reader's lock is held.
func (w *worker) receive(t *eventloop.Turn) (o outcome, more bool) {
	if !w.isRead() {
		return o, false
	}
	if w.streams == nil {
		return w.receiveFrame()
	}
	if w.batch.first = !w.batch.first; w.batch.first { // neither channel keeps the other waiting
		if o, more = w.receiveStream(t); more || !w.isRead() {
			return o, more
		}
		return w.receiveFrame()
	}
	if o, more = w.receiveFrame(); more || !w.isRead() {
		return o, more
	}
	return w.receiveStream(t)
}

// receiveFrame is receive for the lane and the channel.
func (w *worker) receiveFrame() (o outcome, more bool) {
	n, files, err := w.next(*w.buffer())
	if err == unix.EAGAIN {
		return o, false
	}
	if err == nil && n > 0 {
		o, err = w.handle((*w.receiving)[:n], w.receiving, files)
	}
	switch {
	case err != nil:
		w.end(readBreach)
		w.pool.post(event{kind: eventViolation, w: w, text: err.Error()})
		return o, false
	case n == 0:
		w.end(readEnd)
		return o, false
	}
	return o, true
}

// next receives a frame into b; unix.EAGAIN when there is none. What went by
// the lane comes before what woke the front.
func (w *worker) next(b []byte) (n int, files []int, err error) {
	if w.lane != nil && w.lane.Answered() {
		n, err = w.lane.Receive(b)
		return n, nil, err
	}
	if !w.channel.Event.Readable() {
		return 0, nil, unix.EAGAIN
	}
	w.channel.Event.Forget()
	if n, files, err = w.channel.TryRead(b); err == unix.EAGAIN {
		return 0, nil, err
	}
	w.channel.Event.Missed() // there may be more
	if n == 0 && err == nil && w.lane != nil && w.lane.Answered() {
		n, err = w.lane.Receive(b) // its last words; the end comes again
	}
	return n, files, err
}
