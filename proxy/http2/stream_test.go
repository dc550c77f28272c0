//go:build linux

package http2_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// stream is the proxy.Wire of one exchange. The connection's lock guards it.
type stream struct {
	c      *conn
	id     uint32
	x      *proxy.Exchange
	parked bool // the exchange is; for who has it
	lead   *lead

	body     bytes.Buffer // of the request, as it has come
	ended    bool         // the client has sent all
	received int64
	window   int64 // what may be sent
	sent     int64
	left     int64 // of a response with a length; -1: not known
	headed   bool
	finished bool // END_STREAM or RST_STREAM was queued
	gone     bool
	waiting  *proxy.Waiting
}

// lead is what the goroutine that runs an exchange does for others, until it is about
// to wait.
type lead struct {
	turn    *eventloop.Turn // it leads a loop; nil: it does not
	reads   bool            // it is the connection's reader
	overran bool            // it has lost the loop
}

// begin runs the exchange for the connection's reader, and reports whether that still
// reads.
func (s *stream) begin(l *lead) (reads bool) {
	s.lead = l
	s.c.e.Serve(s.x)
	s.drive(l)
	return l.reads
}

// drive goes on until the exchange has ended, or waits without a goroutine.
func (s *stream) drive(l *lead) {
	for s.x.Suspended() {
		if !s.parked {
			s.parked = true
			if !l.reads { // else the reader sends
				s.c.send()
			}
			if s.x.Park() {
				return
			}
		}
		s.parked = false
		s.c.e.Resume(s.x)
	}
	s.c.locked(func() {
		s.reset()
		if !s.ended { // the client need not send the rest
			s.c.frames.WriteRSTStream(s.id, http2.ErrCodeNo)
		}
		if n := s.body.Len(); n > 0 {
			s.c.frames.WriteWindowUpdate(0, uint32(n))
		}
		delete(s.c.streams, s.id)
	})
	s.x.Release()
	if !l.reads {
		s.c.send()
	}
}

// reset ends a response that has not.
func (s *stream) reset() {
	if !s.finished {
		s.finished = true
		s.c.frames.WriteRSTStream(s.id, http2.ErrCodeInternal)
	}
}

// leave notes that the client has gone.
func (s *stream) leave() {
	s.gone, s.finished = true, true
	if s.waiting != nil {
		s.waiting.Waker().Wake()
	}
}

// WriteHints implements proxy.ResponseWire.
func (s *stream) WriteHints(*proxy.Header) error { return nil }

// WriteHead implements proxy.ResponseWire.
func (s *stream) WriteHead(x *proxy.Exchange, bodyless bool) error {
	field := func(name, value string) {
		s.c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value})
	}
	var err error
	s.c.locked(func() {
		if s.finished {
			err = proxy.ErrClientGone
			return
		}
		s.c.fields.Reset()
		field(":status", strconv.Itoa(x.Res.Status))
		if t := x.Res.ContentType; t != "" {
			field("content-type", t)
		}
		if s.left = x.Res.Length; s.left >= 0 {
			field("content-length", strconv.FormatInt(s.left, 10))
		}
		for f := range x.Res.Header.All() {
			switch f.ID() {
			case proxy.FieldConnection, proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldKeepAlive:
			default:
				field(f.Name, f.Value)
			}
		}
		s.headed, s.finished = true, bodyless
		s.c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: s.c.fields.Bytes(), EndHeaders: true, EndStream: bodyless})
	})
	return err
}

// await waits, with the connection's lock held, until ready is true. What was queued
// is sent before, and what the goroutine leads is given away.
func (s *stream) await(ready func() bool) {
	for _, first := range []func(){s.c.send, s.Detach} {
		if ready() {
			return
		}
		s.c.mu.Unlock()
		first()
		s.c.mu.Lock()
	}
	for !ready() {
		s.c.changed.Wait()
	}
}

// Write queues p as the client's windows and the queue have room.
func (s *stream) Write(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for len(p) > 0 {
		s.await(func() bool {
			return s.finished || s.window > 0 && s.c.window > 0 && s.c.out.Len() < mostQueued
		})
		if s.finished {
			return n, proxy.ErrClientGone
		}
		part := p[:min(int64(len(p)), s.window, s.c.window, 16384)]
		s.c.frames.WriteData(s.id, false, part)
		s.window, s.c.window = s.window-int64(len(part)), s.c.window-int64(len(part))
		s.sent += int64(len(part))
		p, n = p[len(part):], n+len(part)
	}
	return n, nil
}

// SendFile implements proxy.ResponseWire.
func (s *stream) SendFile(f proxy.File, off, n int64) error {
	m, err := io.Copy(struct{ io.Writer }{s}, io.NewSectionReader(f, off, n))
	if err == nil && m < n {
		err = proxy.ErrFileShrank
	}
	return err
}

// Flush implements proxy.ResponseWire.
func (s *stream) Flush() error {
	s.c.send()
	return nil
}

// Finish implements proxy.ResponseWire.
func (s *stream) Finish(*proxy.Header) (err error) {
	s.c.locked(func() {
		switch {
		case s.finished:
		case s.left >= 0 && s.sent < s.left:
			err = errors.New("the response is short")
		default:
			s.finished = true
			s.c.frames.WriteData(s.id, true, nil)
		}
	})
	return err
}

// Abort implements proxy.ResponseWire.
func (s *stream) Abort() { s.c.locked(s.reset) }

// ReadBody gives what has come, and the client as much of its windows back.
func (s *stream) ReadBody(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.await(func() bool { return s.body.Len() > 0 || s.ended || s.gone })
	if s.body.Len() == 0 && !s.ended {
		return 0, proxy.ErrClientGone
	}
	if n, err = s.body.Read(p); n > 0 {
		s.c.frames.WriteWindowUpdate(0, uint32(n))
		if !s.ended {
			s.c.frames.WriteWindowUpdate(s.id, uint32(n))
		}
	}
	return n, err
}

// Gone is proxy.Scheduler's and proxy.Client's.
func (s *stream) Gone() (gone bool) {
	s.c.locked(func() { gone = s.gone })
	return gone
}

// Lost implements proxy.Client.
func (s *stream) Lost() bool { return s.Gone() }

// Silent implements proxy.Client.
func (s *stream) Silent() bool { return false }

// Client implements proxy.Scheduler.
func (s *stream) Client() proxy.Client { return s }

// BytesSent implements proxy.ResponseWire.
func (s *stream) BytesSent() int64 { return s.sent }

// BytesRead implements proxy.RequestWire.
func (s *stream) BytesRead() (n int64) {
	s.c.locked(func() { n = s.received })
	return n
}

// Upgrade implements proxy.ResponseWire.
func (s *stream) Upgrade(*proxy.Exchange) (proxy.Upgraded, error) { return nil, proxy.ErrNoUpgrade }

func (s *stream) Meanwhile(func()) {}

// DropConnection implements proxy.ResponseWire.
func (s *stream) DropConnection() { s.c.leave() }

// Suspends implements proxy.Scheduler.
func (s *stream) Suspends() bool { return true }

// Loop implements proxy.Scheduler.
func (s *stream) Loop() *eventloop.Loop {
	return s.c.nc.(interface{ Loop() *eventloop.Loop }).Loop()
}

// Detach implements proxy.Scheduler. Other streams do not wait for this one: the loop calls
// the connection again.
func (s *stream) Detach() {
	l := s.lead
	if l.reads {
		l.reads = false
		s.c.nc.Again()
	}
	if t := l.turn; t != nil {
		l.turn, l.overran = nil, t.Left()
		t.Detach()
	}
}

// Now implements proxy.Scheduler.
func (s *stream) Now() time.Time { return time.Now() }

// Overran implements proxy.Scheduler.
func (s *stream) Overran() bool {
	l := s.lead
	if l.turn != nil && l.turn.Left() {
		s.Detach()
	}
	ran := l.overran
	l.overran = false
	return ran
}

// Resume implements proxy.Scheduler.
func (s *stream) Resume(t *eventloop.Turn) {
	s.lead = &lead{turn: t}
	s.drive(s.lead)
}

// Watch implements proxy.Scheduler.
func (s *stream) Watch(w *proxy.Waiting) bool {
	s.c.locked(func() {
		s.waiting = w
		if w != nil && s.gone {
			w.Waker().Wake()
		}
	})
	return true
}
