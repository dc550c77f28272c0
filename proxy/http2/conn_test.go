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

// conn is an HTTP/2 connection (RFC 9113). It trusts the client, and has only what these
// tests need.
//
// A loop calls it, and it has no goroutine. The goroutine that owns the reading side begins
// exchanges, and runs them. If an exchange is about to wait on this goroutine, the loop gets
// the reading side, and goes on with the next exchanges. A suspended exchange has no
// goroutine. A goroutine that has queued frames sends them, unless another one sends, or the
// loop waits for room.
type conn struct {
	e    *proxy.Engine
	nc   eventloop.Duplex
	info *proxy.Conn

	// For the owner of the reading side:
	in       bytes.Buffer  // bytes after the preface that were not read as frames yet
	received *http2.Framer // reads from in; nil until the preface has come
	begun    []*stream     // the streams whose exchanges are to be run

	mu      sync.Mutex // guards the fields to the next comment
	changed *sync.Cond // is signalled when one of them changes
	out     bytes.Buffer
	frames  *http2.Framer // writes to out
	fields  bytes.Buffer
	encoder *hpack.Encoder // writes to fields
	streams map[uint32]*stream
	window  int64  // how many bytes may be sent on all streams together
	initial int64  // the window of a new stream
	last    uint32 // the last stream
	away    bool   // GOAWAY was queued
	sending bool   // the writing side has an owner: a goroutine, or the loop, which waits for room
	shut    bool   // nothing is sent any more
	ended   bool   // nothing is read any more
	over    bool   // it is closed

	// For the owner of the writing side:
	unsent []byte
	again  bool // Send must be called again
}

const (
	mostQueued = 64 << 10  // bytes of frames that wait to be sent
	mostRead   = 256 << 10 // bytes that one turn reads
	window     = 65535     // of the connection and of each stream, for bytes of the client
)

// serve serves HTTP/2 on nc; see proxy.ServeConn.
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

// locked calls f with mu held, and signals changed.
func (c *conn) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// Ready implements eventloop.Handler: there are bytes to read, or exchanges to run after one
// that waits.
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
			return // the loop has got the reading side
		}
	}
	c.send()
	if t != nil {
		t.Readied() // exchanges may await the bytes that were read
	}
	if more || !c.nc.Idle(0) {
		c.nc.Again()
	}
}

// read reads the bytes that have come. more says that there may be others; ok is false at the
// end of the connection.
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

// takeFrames handles the preface and the frames that have come whole. It returns false if
// they are malformed.
func (c *conn) takeFrames() (ok bool) {
	if c.received == nil {
		if c.in.Len() < len(http2.ClientPreface) {
			return strings.HasPrefix(http2.ClientPreface, c.in.String())
		}
		if string(c.in.Next(len(http2.ClientPreface))) != http2.ClientPreface {
			return false
		}
		c.received = http2.NewFramer(nil, &c.in)
		c.received.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		c.locked(func() { c.frames.WriteSettings() })
	}
	for whole(c.in.Bytes()) {
		f, err := c.received.ReadFrame()
		if err != nil {
			return false
		}
		c.take(f)
	}
	return true
}

// whole reports whether b begins with a whole frame. HEADERS are whole with their
// CONTINUATIONs, which the Framer reads together.
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

// take handles a frame.
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

// settings handles SETTINGS.
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

// begin makes a stream and its exchange, which Ready runs.
func (c *conn) begin(f *http2.MetaHeadersFrame) {
	c.mu.Lock()
	refused := c.away
	c.mu.Unlock()
	if refused {
		c.locked(func() { c.frames.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream) })
		return
	}
	c.info.Requests++
	s := &stream{c: c, id: f.StreamID, ended: f.StreamEnded(), length: -1}
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

// data handles DATA.
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

// leave queues GOAWAY: the connection ends after its last stream.
func (c *conn) leave() {
	c.locked(func() {
		if !c.away {
			c.away = true
			c.frames.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		}
	})
}

// end is called by the owner of the reading side when no more bytes come. It ends the streams.
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

// closeLast closes the connection if it has ended and nothing uses it.
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
