//go:build linux

package http2_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// conn is an HTTP/2 connection (RFC 9113) that is there to prove that package
// proxy carries many exchanges on one connection: it knows the client beside it
// alone, and trusts it.
//
// A loop calls it, and it has no goroutine. Who reads begins exchanges, and runs them
// in its place. One that is about to wait leaves the reading to the loop, which goes on
// with those behind it; one that is suspended has no goroutine either. Whoever has
// queued frames sends them, unless somebody does, or the loop waits for room.
type conn struct {
	e    *proxy.Engine
	nc   eventloop.Duplex
	info *proxy.Conn

	// The reader's, whoever that is.
	in    bytes.Buffer  // without the preface; what was read of frames that are not whole
	taken *http2.Framer // reads from in
	begun []*stream     // their exchanges are to be run

	mu      sync.Mutex
	changed *sync.Cond // of all that follows
	out     bytes.Buffer
	frames  *http2.Framer // writes to out
	fields  bytes.Buffer
	encoder *hpack.Encoder // writes to fields
	streams map[uint32]*stream
	window  int64 // what may be sent on all streams together
	initial int64 // window of a new stream
	last    uint32
	away    bool // GOAWAY was queued
	sending bool // somebody sends, or the loop waits for room
	shut    bool // nothing is sent any more
	ended   bool // nothing is read any more, either
	over    bool // and it is closed

	// Of who sends.
	unsent []byte
	again  bool // Send wants to be called again
}

const (
	mostQueued = 64 << 10  // bytes of frames that wait to be sent
	mostRead   = 256 << 10 // bytes at a time
	window     = 65535     // ours, of the connection and of each stream
)

// serve speaks HTTP/2 on nc, as a proxy.ServeConn does.
func serve(e *proxy.Engine, nc net.Conn, info *proxy.Conn) *conn {
	c := &conn{e: e, nc: eventloop.DuplexOf(nc), info: info, streams: map[uint32]*stream{}, window: window, initial: window}
	c.changed = sync.NewCond(&c.mu)
	c.frames = http2.NewFramer(&c.out, nil)
	c.encoder = hpack.NewEncoder(&c.fields)
	if !e.Register(info, c) {
		nc.Close()
		return c
	}
	c.nc.AdoptWriter(writer{c})
	if c.nc.Adopt(c) {
		c.Ready(nil)
	} else if nc.(*eventloop.Conn).Start(c, 0) != nil {
		c.end()
	}
	return c
}

// locked has f change the connection.
func (c *conn) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// Ready implements eventloop.Handler: there is something to read, or begun exchanges were
// left behind one that waits.
func (c *conn) Ready(t *eventloop.Turn) {
	more := false
	if len(c.begun) == 0 {
		var ok bool
		if more, ok = c.read(); !ok {
			c.end()
			return
		}
	}
	for len(c.begun) > 0 {
		s := c.begun[0]
		c.begun = c.begun[1:]
		if !s.begin(&lead{turn: t, reads: true}) {
			return // it has left the reading to the loop
		}
	}
	c.send()
	if t != nil {
		t.Readied() // exchanges that await what was read
	}
	if more || !c.nc.Idle(0) {
		c.nc.Again()
	}
}

// read takes in what has come; false when nothing more will.
func (c *conn) read() (more, ok bool) {
	buf := make([]byte, 16<<10)
	for n := 0; n < mostRead; {
		m, err := c.nc.Receive(buf)
		c.in.Write(buf[:m])
		if n += m; err == unix.EAGAIN {
			return false, c.takeFrames()
		}
		if err != nil {
			return false, false
		}
	}
	return true, c.takeFrames()
}

// takeFrames takes the preface and the frames that have come whole.
func (c *conn) takeFrames() (ok bool) {
	if c.taken == nil {
		if c.in.Len() < len(http2.ClientPreface) {
			return strings.HasPrefix(http2.ClientPreface, c.in.String())
		}
		if string(c.in.Next(len(http2.ClientPreface))) != http2.ClientPreface {
			return false
		}
		c.taken = http2.NewFramer(nil, &c.in)
		c.taken.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		c.locked(func() { c.frames.WriteSettings() })
	}
	for whole(c.in.Bytes()) {
		f, err := c.taken.ReadFrame()
		if err != nil {
			return false
		}
		c.take(f)
	}
	return true
}

// whole reports whether b begins with a whole frame, or with whole field sections: the
// Framer reads these together.
func whole(b []byte) bool {
	const head = 9
	for len(b) >= head {
		size := head + int(binary.BigEndian.Uint32(b)>>8)
		if len(b) < size {
			return false
		}
		kind, flags := http2.FrameType(b[3]), http2.Flags(b[4])
		if kind != http2.FrameHeaders && kind != http2.FrameContinuation || flags.Has(http2.FlagHeadersEndHeaders) {
			return true
		}
		b = b[size:]
	}
	return false
}

func (c *conn) take(f http2.Frame) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		c.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.locked(func() { c.frames.WritePing(true, f.Data) })
		}
	case *http2.WindowUpdateFrame:
		c.locked(func() {
			if s := c.streams[f.StreamID]; s != nil {
				s.window += int64(f.Increment)
			} else if f.StreamID == 0 {
				c.window += int64(f.Increment)
			}
		})
	case *http2.MetaHeadersFrame:
		c.begin(f)
	case *http2.DataFrame:
		c.data(f)
	case *http2.RSTStreamFrame:
		c.locked(func() {
			if s := c.streams[f.StreamID]; s != nil {
				s.leave()
			}
		})
	}
}

func (c *conn) settings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	c.locked(func() {
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range c.streams {
				s.window += int64(v) - c.initial
			}
			c.initial = int64(v)
		}
		c.frames.WriteSettingsAck()
	})
}

// begin makes a stream's exchange, which Ready runs.
func (c *conn) begin(f *http2.MetaHeadersFrame) {
	c.mu.Lock()
	refused := c.away
	c.mu.Unlock()
	if refused {
		c.locked(func() { c.frames.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream) })
		return
	}
	c.info.Requests++
	s := &stream{c: c, id: f.StreamID, ended: f.StreamEnded(), left: -1}
	x := proxy.NewExchange(c.info, s)
	s.x = x
	x.Start, x.Number = time.Now(), c.info.Requests
	q := &x.Req
	q.Proto, q.Major, q.Minor = "HTTP/2.0", 2, 0
	q.Method, q.Target, q.Authority, q.Scheme = f.PseudoValue("method"), f.PseudoValue("path"), f.PseudoValue("authority"), f.PseudoValue("scheme")
	q.Line = q.Method + " " + q.Target + " " + q.Proto
	q.Header.Add("Host", q.Authority)
	if !s.ended {
		q.Chunked, q.ContentLength = true, -1
	}
	for _, field := range f.RegularFields() {
		if field.Name == "content-length" {
			q.ContentLength, _ = strconv.ParseInt(field.Value, 10, 64)
			q.Chunked = false
		}
		q.Header.Add(strings.Clone(field.Name), strings.Clone(field.Value))
	}
	c.locked(func() {
		s.window = c.initial
		c.streams[s.id], c.last = s, s.id
	})
	c.begun = append(c.begun, s)
	if c.info.Listener.Closed() {
		c.leave()
	}
}

func (c *conn) data(f *http2.DataFrame) {
	c.locked(func() {
		s := c.streams[f.StreamID]
		if s == nil {
			c.frames.WriteWindowUpdate(0, max(uint32(len(f.Data())), 1))
			return
		}
		s.body.Write(f.Data())
		s.ended = s.ended || f.StreamEnded()
		s.received += int64(len(f.Data()))
	})
}

// leave queues GOAWAY: the connection ends behind its last stream.
func (c *conn) leave() {
	c.locked(func() {
		if !c.away {
			c.away = true
			c.frames.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		}
	})
}

// end is the reader's: nothing more comes. It lets the streams know.
func (c *conn) end() {
	c.nc.Cut()
	c.locked(func() {
		c.ended, c.shut = true, true
		for _, s := range c.streams {
			s.leave()
		}
	})
	for _, s := range c.begun {
		go s.begin(&lead{})
	}
	c.closeLast()
}

// closeLast closes the connection, once it has ended and nobody uses it.
func (c *conn) closeLast() {
	c.mu.Lock()
	last := c.ended && !c.sending && !c.over && len(c.streams) == 0
	c.over = c.over || last
	c.mu.Unlock()
	if last {
		c.nc.Close()
		c.e.Unregister(c.info)
	}
}

// Drain implements proxy.LiveConn.
func (c *conn) Drain(time.Duration) {
	c.leave()
	c.send()
}

// Waits implements proxy.LiveConn.
func (c *conn) Waits() (since time.Time, idle bool) { return since, false }

// Asked implements proxy.LiveConn.
func (c *conn) Asked() bool { return false }

// Tunnels implements proxy.LiveConn.
func (c *conn) Tunnels() bool { return false }

// Cut resets the streams whose exchanges use g.
func (c *conn) Cut(g *proxy.Generation) {
	c.locked(func() {
		for _, s := range c.streams {
			if s.x.Uses(g) {
				s.reset()
				s.leave()
			}
		}
	})
	c.send()
}

// Close implements proxy.LiveConn.
func (c *conn) Close() error {
	c.nc.Cut()
	return nil
}
