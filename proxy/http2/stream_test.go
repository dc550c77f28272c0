package http2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
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

// serve has the exchange served, on a goroutine that ends where it is suspended.
func (s *stream) serve() {
	s.c.e.Serve(s.x)
	s.drive()
}

func (s *stream) drive() {
	for s.x.Suspended() {
		if !s.parked {
			s.parked = true
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

// WriteHead is proxy.Stream's.
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

// Interim is proxy.Stream's: there are none here.
func (s *stream) Interim(int, *proxy.Header) error { return nil }

// Write queues p as the client's windows and the queue have room.
func (s *stream) Write(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for len(p) > 0 {
		for !s.finished && (s.window <= 0 || s.c.window <= 0 || s.c.out.Len() >= mostQueued) {
			s.c.changed.Wait()
		}
		if s.finished {
			return n, proxy.ErrClientGone
		}
		part := p[:min(int64(len(p)), s.window, s.c.window, 16384)]
		s.c.frames.WriteData(s.id, false, part)
		s.c.changed.Broadcast()
		s.window, s.c.window = s.window-int64(len(part)), s.c.window-int64(len(part))
		s.sent += int64(len(part))
		p, n = p[len(part):], n+len(part)
	}
	return n, nil
}

// SendFile is proxy.Stream's.
func (s *stream) SendFile(f proxy.File, off, n int64) error {
	m, err := io.Copy(struct{ io.Writer }{s}, io.NewSectionReader(f, off, n))
	if err == nil && m < n {
		err = proxy.ErrFileShrank
	}
	return err
}

// Flush is proxy.Stream's: the writer waits for nothing.
func (s *stream) Flush() error { return nil }

// Finish is proxy.Stream's.
func (s *stream) Finish() (err error) {
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

// Abort is proxy.Stream's.
func (s *stream) Abort() { s.c.locked(s.reset) }

// ReadBody gives what has come, and the client as much of its windows back.
func (s *stream) ReadBody(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for s.body.Len() == 0 && !s.ended {
		if s.gone {
			return 0, proxy.ErrClientGone
		}
		s.c.changed.Wait()
	}
	if n, err = s.body.Read(p); n > 0 {
		s.c.frames.WriteWindowUpdate(0, uint32(n))
		if !s.ended {
			s.c.frames.WriteWindowUpdate(s.id, uint32(n))
		}
		s.c.changed.Broadcast()
	}
	return n, err
}

// Gone is proxy.Stream's and proxy.Client's.
func (s *stream) Gone() (gone bool) {
	s.c.locked(func() { gone = s.gone })
	return gone
}

// Lost is proxy.Client's.
func (s *stream) Lost() bool { return s.Gone() }

// Silent is proxy.Client's.
func (s *stream) Silent() bool { return false }

// Client is proxy.Stream's.
func (s *stream) Client() proxy.Client { return s }

// BytesSent is proxy.Stream's.
func (s *stream) BytesSent() int64 { return s.sent }

// BytesRead is proxy.Stream's.
func (s *stream) BytesRead() (n int64) {
	s.c.locked(func() { n = s.received })
	return n
}

// Upgrade is proxy.Stream's.
func (s *stream) Upgrade(*proxy.Exchange) (net.Conn, error) { return nil, proxy.ErrNoUpgrade }

// DropConnection is proxy.Stream's.
func (s *stream) DropConnection() { s.c.leave(time.Minute) }

// Suspends is proxy.Scheduler's.
func (s *stream) Suspends() bool { return true }

// Loop is proxy.Scheduler's: a goroutine reads the connection.
func (s *stream) Loop() *eventloop.Loop { return nil }

// Detach is proxy.Scheduler's: the goroutine leads nothing.
func (s *stream) Detach() {}

// Overran is proxy.Scheduler's.
func (s *stream) Overran() bool { return false }

// Resume is proxy.Scheduler's. Other streams do not wait for this one.
func (s *stream) Resume(t *eventloop.Turn) {
	if t == nil {
		s.drive()
		return
	}
	go s.drive()
}

// Watch is proxy.Scheduler's.
func (s *stream) Watch(w *proxy.Waiting) bool {
	s.c.locked(func() {
		s.waiting = w
		if w != nil && s.gone {
			w.Waker().Wake()
		}
	})
	return true
}
