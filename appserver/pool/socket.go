package pool

import (
	"encoding/binary"
	"fmt"

	"alicorn/appserver/wire"
	"alicorn/proxy/eventloop"
)

// Socket is the owner's end of a WebSocket that a job requests. Its methods must not wait. One
// is called at a time, in turn t, or on an ordinary goroutine with t nil.
type Socket interface {
	// Message takes a part of a message of the application, which it must not keep. The
	// parts that Taken has not returned yet cost at most Window: their bytes, and PartCost
	// for each.
	Message(t *eventloop.Turn, part []byte, text, last bool)
	// Grant adds n to the credit for Pool.Message, which is Window at first.
	Grant(t *eventloop.Turn, n int)
	// Close is called if the application closes the WebSocket. Code 1011 means that it has
	// failed, or that its worker has ended.
	Close(t *eventloop.Turn, code uint16, reason string)
}

// PartCost is what each part of a message costs of the credit, beside its bytes. It bounds how
// many small parts wait.
const PartCost = 64

// Codes of a close: RFC 6455 section 7.4.1 and its registry.
const (
	closeLeaves  = 1001 // the server stops
	closeLost    = 1006 // the connection is lost; this code is never sent to a client
	closeError   = 1011 // the application has failed
	closeRestart = 1012 // the worker leaves
)

// mostHints bounds the early hints of a request that its owner has not taken.
const mostHints = 16

// onStream handles a frame of a WebSocket, or an early hint. It drops frames of a request that
// has ended.
func (w *worker) onStream(t *eventloop.Turn, f wire.Frame) (o outcome, err error) {
	switch f.Kind {
	case wire.KindAccept:
		return w.onAccept(f)
	case wire.KindHint:
		return w.onHint(f)
	}
	p := w.pool
	p.mu.Lock()
	j := w.find(f.ID)
	if j == nil || j.at != placeTalking {
		p.mu.Unlock()
		if j != nil && f.Kind != wire.KindCredit {
			err = fmt.Errorf("frame %q out of order", f.Kind)
		}
		return o, err
	}
	s, granted := j.Socket, int64(0)
	switch f.Kind {
	case wire.KindMessage:
		if !w.slots[w.place(f.ID)].spend(int64(len(f.Payload)) + PartCost) {
			err = fmt.Errorf("request %#x sends more than it has credit for", f.ID)
		}
	case wire.KindCredit:
		granted = int64(binary.LittleEndian.Uint32(f.Payload))
		if j.credit += granted; j.credit > Window {
			err = fmt.Errorf("request %#x gives more credit than was spent", f.ID)
		}
	}
	p.mu.Unlock()
	if err != nil {
		return o, err
	}
	switch f.Kind {
	case wire.KindMessage:
		s.Message(t, f.Payload, f.Flags&wire.FlagText != 0, f.Flags&wire.FlagEnd != 0)
	case wire.KindCredit:
		s.Grant(t, int(granted))
	case wire.KindClose:
		s.Close(t, binary.LittleEndian.Uint16(f.Payload), string(f.Payload[2:]))
	}
	return o, nil
}

// onAccept handles the acceptance of a WebSocket.
func (w *worker) onAccept(f wire.Frame) (o outcome, err error) {
	h, subprotocol, err := w.pool.o.ParseAccept(string(f.Sized))
	if err == nil && (len(f.Payload) > 0 || f.Flags != 0) {
		err = wire.ErrFrame
	}
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	j := w.find(f.ID)
	switch {
	case err != nil:
	case j != nil && j.Socket == nil:
		err = fmt.Errorf("it accepts request %#x as a WebSocket, which it is not", f.ID)
	default:
		err = w.accept(j, f, true)
	}
	if err != nil {
		return o, err
	}
	if j.wanted != wanted {
		p.complete(w, j)
		w.streams.Put(nil, wire.KindClose, 0, w.place(j.id), j.id, binary.LittleEndian.AppendUint16(nil, closeLost), nil)
		o.done = j
		return o, nil
	}
	j.at, j.credit = placeTalking, Window
	j.Head, j.by, j.Subprotocol = h, w, subprotocol
	o.tell = j.Waker
	j.advance(StageHead)
	return o, nil
}

// onHint handles an early hint, which must come before the head.
func (w *worker) onHint(f wire.Frame) (o outcome, err error) {
	h, err := w.pool.o.ParseFields(string(f.Payload))
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	j := w.find(f.ID)
	switch {
	case err != nil || j == nil:
		return o, err
	case j.at != placeSent || !w.hasStarted(j) || j.Socket != nil:
		return o, fmt.Errorf("frame %q out of order", f.Kind)
	case len(j.hints) < mostHints:
		j.hints = append(j.hints, h)
		o.tell = j.Waker
	}
	return o, nil
}

// TakeHints returns the early hints that have come since the last call. They come before
// StageHead.
func (p *Pool) TakeHints(j *Job) []*Head {
	p.mu.Lock()
	defer p.mu.Unlock()
	hints := j.hints
	j.hints = nil
	return hints
}

// Accepted reports whether the application has accepted the WebSocket. It may be called from
// StageHead on.
func (j *Job) Accepted() bool { return j.Socket != nil && j.Head.Status == 101 }

// Message sends a part of a message of the client to j's application.
func (p *Pool) Message(t *eventloop.Turn, j *Job, part []byte, text, last bool) {
	var flags byte
	if text {
		flags |= wire.FlagText
	}
	if last {
		flags |= wire.FlagEnd
	}
	p.say(t, j, wire.KindMessage, flags, nil, part)
}

// Taken returns credit: the client has taken parts that j's Socket has got. n is the sum of
// their bytes and PartCost for each.
func (p *Pool) Taken(j *Job, n int) { j.Repay(int64(n)) }

// Hangup ends j's WebSocket. code is the client's, or 1006. The owner calls it once for a job
// that was accepted. The pool then drops its reference to the job.
func (p *Pool) Hangup(t *eventloop.Turn, j *Job, code uint16, reason string) {
	if p.say(t, j, wire.KindClose, 0, binary.LittleEndian.AppendUint16(nil, code), []byte(reason)) {
		p.mu.Lock()
		talking := j.at == placeTalking
		if talking {
			p.complete(j.worker, j)
		}
		p.mu.Unlock()
		if talking {
			j.Drop()
		}
	}
}

// say sends a frame of j's WebSocket. It returns false if the worker does not have j any more.
func (p *Pool) say(t *eventloop.Turn, j *Job, kind, flags byte, head, body []byte) bool {
	p.mu.Lock()
	w, id := j.worker, j.id
	talks := j.at == placeTalking
	if kind == wire.KindMessage {
		j.credit -= int64(len(body)) + PartCost
	}
	p.mu.Unlock()
	if talks {
		w.streams.Put(t, kind, flags, w.place(id), id, head, body)
	}
	return talks
}
