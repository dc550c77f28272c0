package pool

import (
	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// turnFrames is how many frames of one worker a turn receives before others have their turn. With
// 128 a worker that streams single bytes held the loop for two milliseconds at a time.
const turnFrames = 32

// Poll implements eventloop.Source: it receives frames of the worker, and wakes Exchanges. It
// holds the reader's lock while it receives and handles a frame, but not while an Exchange goes
// on, which may wait for a client.
func (w *worker) Poll(t *eventloop.Turn) (worked bool) {
	for n := 0; n < turnFrames && !t.Left(); n++ {
		if !w.reading.TryLock() {
			return worked // held by a goroutine that has lost the lead while it wrote to a disk
		}
		if n == 0 { // wakes the worker for requests of the last turn
			w.wakeLate()
			if w.lane != nil && w.isRead() { // or its memory may be gone
				w.lane.SetBusy(t.Busy())
			}
		}
		o, more := w.receive(t)
		w.reading.Unlock()
		if t.Left() {
			w.loop.Wake() // the new leader may have found the lock taken
		}
		if !more {
			return worked
		}
		worked = true
		o.deliver(t)
	}
	return worked
}

// Sleep implements eventloop.Source. If another goroutine reads, it returns false, as that
// goroutine wakes the loop afterwards.
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

// Expects implements eventloop.Source: a worker that has requests will answer.
func (w *worker) Expects() bool { return w.owes.Load() }

// drain receives the last frames of a worker that has exited, and ends receiving.
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

// receive receives and handles the next frame. more is false if there is none. The caller holds
// the reader's lock.
func (w *worker) receive(t *eventloop.Turn) (o outcome, more bool) {
	if !w.isRead() {
		return o, false
	}
	if w.streams == nil {
		return w.receiveFrame()
	}
	if w.batch.first = !w.batch.first; w.batch.first { // the two channels take turns
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
		w.breach(err)
		return o, false
	case n == 0:
		w.end(readEnd)
		return o, false
	}
	return o, true
}

// next receives a frame into b. err is unix.EAGAIN if there is none. Frames of the lane come
// before those of the channel, which may only wake the front.
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
		n, err = w.lane.Receive(b) // a last frame; the end is read again later
	}
	return n, files, err
}
