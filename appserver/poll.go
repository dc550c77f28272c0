package appserver

import (
	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// Poll is eventloop.Source's: it receives what the worker has sent, and has the
// Exchanges go on. A frame is received and noted under the reader's lock; what
// follows from it, which may wait for a client, is not.
func (w *worker) Poll(t *eventloop.Turn) (worked bool) {
	if w.owesWake.Load() {
		w.reading.Lock()
		w.wakeLate()
		w.reading.Unlock()
	}
	for !t.Left() {
		o, more := w.receive()
		if !more {
			return worked
		}
		worked = true
		o.deliver(t)
	}
	return worked
}

// Sleep is eventloop.Source's.
func (w *worker) Sleep(asleep bool) (pending bool) {
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.ended {
		return false
	}
	if w.lane != nil {
		if pending = w.lane.sleep(asleep); asleep {
			w.wakeLate()
		}
	}
	return pending || w.channel.event.Readable()
}

// drain receives what a worker that has exited has left, and ends receiving.
func (w *worker) drain() {
	w.loop.RemoveSource(w)
	w.channel.event.Missed()
	for o, more := w.receive(); more; o, more = w.receive() {
		o.deliver(nil)
	}
	w.reading.Lock()
	w.ended = true
	w.reading.Unlock()
}

// receive handles the next frame; more is false when there is none. What went
// by the lane comes before what woke the front.
func (w *worker) receive() (o outcome, more bool) {
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.ended {
		return o, false
	}
	var n int
	var files []int
	var err error
	switch {
	case w.lane != nil && w.lane.answered():
		n, err = w.lane.receive(*w.buffer())
	case w.channel.event.Readable():
		w.channel.event.Forget()
		if n, files, err = w.channel.tryRead(*w.buffer()); err == unix.EAGAIN {
			return o, false
		}
		w.channel.event.Missed() // there may be more
	default:
		return o, false
	}
	if err == nil && n > 0 {
		o, err = w.handle((*w.receiving)[:n], w.receiving, files)
	}
	if err != nil || n == 0 {
		w.ended = true
		if err != nil {
			w.pool.post(event{kind: eventViolation, w: w, text: err.Error()})
		}
		return o, false
	}
	return o, true
}
