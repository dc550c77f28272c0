package http2_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"alicorn/proxy"
)

// conn is an HTTP/2 connection (RFC 9113) that is there to prove that package
// proxy carries many exchanges on one connection: it knows the client beside it
// alone, and trusts it. One goroutine reads frames, one writes what streams have
// queued. An exchange that is suspended has no goroutine.
type conn struct {
	e    *proxy.Engine
	nc   net.Conn
	info *proxy.Conn

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
	away    bool // GOAWAY was sent
	closed  bool
}

const (
	mostQueued = 64 << 10 // bytes of DATA that wait to be written
	window     = 65535    // ours, of the connection and of each stream
)

// serve speaks HTTP/2 with prior knowledge on nc; it is a proxy.ServeConn.
func serve(e *proxy.Engine, nc net.Conn, info *proxy.Conn) {
	c := &conn{e: e, nc: nc, info: info, streams: map[uint32]*stream{}, window: window, initial: window}
	c.changed = sync.NewCond(&c.mu)
	c.frames = http2.NewFramer(&c.out, nil)
	c.encoder = hpack.NewEncoder(&c.fields)
	if !e.Register(info, c) {
		nc.Close()
		return
	}
	written := make(chan struct{})
	go func() { defer close(written); c.write() }()
	c.read()
	c.end()
	<-written
	nc.Close()
	e.Unregister(info)
}

// locked has f change the connection.
func (c *conn) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// write sends what is queued until the connection has ended.
func (c *conn) write() {
	var sent bytes.Buffer
	for {
		c.mu.Lock()
		for c.out.Len() == 0 && !c.closed {
			if c.away && len(c.streams) == 0 {
				c.nc.(interface{ CloseWrite() error }).CloseWrite()
			}
			c.changed.Wait()
		}
		sent.Reset()
		sent.Write(c.out.Bytes())
		c.out.Reset()
		c.changed.Broadcast()
		c.mu.Unlock()
		if sent.Len() == 0 {
			return
		}
		if _, err := c.nc.Write(sent.Bytes()); err != nil {
			c.nc.Close() // the reader ends the rest
			return
		}
	}
}

// read takes frames in until the client or somebody else ends the connection.
func (c *conn) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.nc, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	c.locked(func() { c.frames.WriteSettings() })
	in := http2.NewFramer(nil, c.nc)
	in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := in.ReadFrame()
		if err != nil {
			return
		}
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

// begin starts a stream's exchange.
func (c *conn) begin(f *http2.MetaHeadersFrame) {
	if c.info.Listener.Closed() {
		c.leave(0)
	}
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
	go s.serve()
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

// leave sends GOAWAY; the connection ends behind its last stream, or after last.
func (c *conn) leave(last time.Duration) {
	c.locked(func() {
		if !c.away {
			c.away = true
			c.frames.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		}
		if last > 0 {
			c.nc.SetReadDeadline(time.Now().Add(last))
		}
	})
}

// end lets the streams know that their client has gone, and waits for them.
func (c *conn) end() {
	c.locked(func() {
		for _, s := range c.streams {
			s.leave()
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.streams) > 0 {
		c.changed.Wait()
	}
	c.closed = true
	c.changed.Broadcast()
}

// Drain is proxy.LiveConn's.
func (c *conn) Drain(time.Duration) { c.leave(0) }

// Waits is proxy.LiveConn's.
func (c *conn) Waits() (since time.Time, idle bool) { return since, false }

// Asked is proxy.LiveConn's.
func (c *conn) Asked() bool { return false }

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
}

// Close is proxy.LiveConn's.
func (c *conn) Close() error { return c.nc.Close() }
