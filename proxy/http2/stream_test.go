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

// stream is the proxy.Wire of one exchange. The connection's mu guards it.
type stream struct {
	c      *conn
	id     uint32
	x      *proxy.Exchange
	parked bool // the exchange is parked; for the goroutine that runs it
	lead   *lead

	body     bytes.Buffer // bytes of the request's body that were not read yet
	ended    bool         // the client has sent the whole request
	received int64        // bytes of the request's body
	window   int64        // how many bytes may be sent
	sent     int64        // bytes of the response's body
	length   int64        // the Content-Length of the response; -1: none
	finished bool         // END_STREAM or RST_STREAM was queued, or the client has gone
	gone     bool         // the client has gone
	waiting  *proxy.Waiting
}

// lead is what the goroutine that runs an exchange gives away before it waits.
type lead struct {
	turn    *eventloop.Turn // the turn that it leads; nil: it does not lead
	reads   bool            // it owns the connection's reading side
	overran bool            // the loop's watch has taken the lead
}

// begin runs the exchange. It reports whether the caller still owns the reading side.
func (s *stream) begin(l *lead) (reads bool) {
	s.lead = l
	s.c.e.Serve(s.x)
	s.drive(l)
	return l.reads
}

// drive goes on with the exchange until it has ended or is parked.
func (s *stream) drive(l *lead) {
	for s.x.Suspended() {
		if !s.parked {
			s.parked = true
			if !l.reads { // otherwise Ready sends
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
		if !s.ended { // stops the client from sending the rest
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

// reset resets the stream, unless its response has ended.
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

// WriteHints implements proxy.ResponseWire. It sends none.
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
		if s.length = x.Res.Length; s.length >= 0 {
			field("content-length", strconv.FormatInt(s.length, 10))
		}
		for f := range x.Res.Header.All() {
			switch f.ID() {
			case proxy.FieldConnection, proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldKeepAlive:
			default:
				field(f.Name, f.Value)
			}
		}
		s.finished = bodyless
		s.c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: s.c.fields.Bytes(), EndHeaders: true, EndStream: bodyless})
	})
	return err
}

// await waits until ready returns true. The caller holds mu. Before it waits, await sends the
// queued frames and gives the lead away.
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

// Write implements proxy.ResponseWire. It waits for room in the client's windows and in the
// queue.
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
		case s.length >= 0 && s.sent < s.length:
			err = errors.New("response body is shorter than its Content-Length")
		default:
			s.finished = true
			s.c.frames.WriteData(s.id, true, nil)
		}
	})
	return err
}

// Abort implements proxy.ResponseWire.
func (s *stream) Abort() { s.c.locked(s.reset) }

// ReadBody implements proxy.RequestWire. It gives the client room for as many bytes as it has
// read.
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

// Gone implements proxy.Scheduler and proxy.Client.
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

// Meanwhile implements proxy.ResponseWire. It does nothing.
func (s *stream) Meanwhile(func()) {}

// DropConnection implements proxy.ResponseWire.
func (s *stream) DropConnection() { s.c.leave() }

// Suspends implements proxy.Scheduler.
func (s *stream) Suspends() bool { return true }

// Loop implements proxy.Scheduler.
func (s *stream) Loop() *eventloop.Loop {
	return s.c.nc.(interface{ Loop() *eventloop.Loop }).Loop()
}

// Detach implements proxy.Scheduler. It also gives the reading side away: the loop calls Ready
// again, for the other streams.
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
