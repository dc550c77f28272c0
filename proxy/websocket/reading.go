package websocket

import (
	"io"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// reading is a Conn as the handler of its link's reading.
type reading Conn

// Ready implements eventloop.Handler.
func (r *reading) Ready(t *eventloop.Turn) { (*Conn)(r).read(t) }

// Left implements eventloop.Watcher: the client has left while reading has an owner, or is
// stalled. A client that has only ended its sending side is still read.
func (r *reading) Left(t *eventloop.Turn) {
	if c := (*Conn)(r); c.link.Lost() {
		c.resume(t)
	}
}

// resuming is a Conn as the handler that goes on with reading after it was stalled. The
// time in which the client was not read from does not count as its silence.
type resuming Conn

// Ready implements eventloop.Handler.
func (r *resuming) Ready(t *eventloop.Turn) {
	c := (*Conn)(r)
	c.heard, c.pinged = c.now(), 0
	c.read(t)
}

// turnShare is how many bytes one client brings before others have their turn, and
// partsShare how many they may be after inflation.
const (
	turnShare  = 64 << 10
	partsShare = 256 << 10
)

// idleMost bounds the wait for bytes, so that the wait has a timer, which Hurry can move.
const idleMost = time.Hour

// read reads until nothing is left, the credit is used up, or the WebSocket has ended. The
// caller owns reading, and does not own it any more when read returns.
func (c *Conn) read(t *eventloop.Turn) {
	if c.link.Expired() && !c.late(t) {
		return
	}
	c.inflated = 0
	for got := 0; ; {
		switch c.parse(t) {
		case stall:
			return
		case later:
			c.link.Again()
			return
		case gone:
			c.lose(t)
			return
		case stop:
			c.endReading(t)
			return
		}
		if got >= turnShare {
			c.releaseIn()
			c.link.Again()
			return
		}
		n, err := c.receive()
		switch {
		case n > 0:
			got += n
			c.heard, c.pinged = c.now(), 0
		case err == unix.EAGAIN:
			c.releaseIn()
			if c.idle() {
				return
			}
			if c.link.Expired() && !c.late(t) {
				return
			}
		case err == io.EOF:
			c.endOfClient()
			c.endReading(t)
			return
		default:
			c.lose(t)
			return
		}
	}
}

// receive reads what has come.
func (c *Conn) receive() (int, error) {
	if c.in == nil {
		c.in = inBuffers.Get().(*[]byte)
	}
	n, err := c.link.Receive(*c.in)
	c.rest = (*c.in)[:n]
	return n, err
}

// releaseIn gives the buffer back. rest is empty.
func (c *Conn) releaseIn() {
	if c.in != nil {
		inBuffers.Put(c.in)
		c.in, c.rest = nil, nil
	}
}

// idle gives reading to the loop. It returns false if there is something to read.
func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock() // so that a Close either is seen here, or hurries the wait
	return c.link.Idle(max(c.patience(), time.Millisecond))
}

// patience returns how long the client may send nothing. The caller holds mu.
func (c *Conn) patience() time.Duration {
	r := c.shake.rules
	switch {
	case c.closing.Load() != open:
		return c.due - c.now()
	case c.pinged != 0 && r.pingTimeout > 0:
		return c.pinged + r.pingTimeout - c.now()
	case c.pinged == 0 && r.pingInterval > 0:
		return c.heard + r.pingInterval - c.now()
	}
	return idleMost
}

// late sends a ping, or ends the WebSocket, if the client was silent for too long. It
// returns false if reading has ended.
func (c *Conn) late(t *eventloop.Turn) bool {
	c.mu.Lock()
	switch {
	case c.patience() > 0:
		c.mu.Unlock()
	case c.closing.Load() != open:
		c.mu.Unlock()
		c.lose(t)
		return false
	case c.pinged != 0:
		c.beginClose(faulted, frames.InternalError, "ping timeout")
		c.code = frames.Abnormal
		c.unlockAndFlush(t)
	default:
		c.pinged = c.now()
		b := c.gather()
		*b = frames.AppendControl(*b, frames.PingFrame, nil)
		c.unlockAndFlush(t)
	}
	return true
}

// verdict is how reading goes on after parse.
type verdict uint8

const (
	receive verdict = iota // with more bytes
	stall                  // when there is credit; reading has no owner any more
	later                  // when others have had their turn
	stop                   // not at all
	gone                   // not at all: the client is lost
)

// parse handles what has come.
func (c *Conn) parse(t *eventloop.Turn) verdict {
	for {
		if c.closing.Load() == faulted {
			c.dropped += len(c.rest)
			if c.rest = nil; c.dropped > maxDropped {
				return stop
			}
			return receive
		}
		n, e, err := c.reader.Next(c.rest, c.roomForPart())
		c.rest = c.rest[n:]
		if err != nil {
			c.fail(t, err.Code, err.Reason)
			continue
		}
		switch e.Kind {
		case frames.NeedInput:
			return receive
		case frames.NeedRoom:
			if c.stall() {
				return stall
			}
			if c.link.Lost() {
				return gone
			}
		case frames.Part:
			c.part(t, e)
			if c.inflated += len(e.Data); c.inflated > partsShare {
				return later
			}
		case frames.Ping:
			c.ping(t, e.Data)
		case frames.Close:
			c.closedByClient(e.Code, string(e.Data))
			return stop
		}
	}
}

// part gives a part of a message to the peer.
func (c *Conn) part(t *eventloop.Turn, e frames.Event) {
	if e.Last && !c.meter.count(c.shake.rules.rate, c.now()) {
		c.fail(t, frames.PolicyBroken, "too many messages")
		return
	}
	if c.closing.Load() != open {
		return // the application has closed, and takes nothing more
	}
	c.credit.Add(-int64(len(e.Data) + PartCost))
	c.peer.Message(t, e.Data, e.Text, e.Last)
}

// roomForPart returns how large the next part may be; -1: there may be none.
func (c *Conn) roomForPart() int {
	if c.closing.Load() != open {
		return MaxPart
	}
	credit := c.credit.Load()
	if credit < c.low {
		return -1
	}
	return int(min(credit-PartCost, MaxPart))
}

// stall makes reading wait for credit. It returns false if there is some by now, or the
// WebSocket ends.
func (c *Conn) stall() bool {
	c.stalled.Store(true)
	if c.roomForPart() < 0 && !c.link.Lost() {
		return true
	}
	return !c.stalled.CompareAndSwap(true, false) // false: another goroutine reads by now
}

// resume goes on with reading if it is stalled.
func (c *Conn) resume(t *eventloop.Turn) {
	if c.stalled.CompareAndSwap(true, false) {
		c.link.Later(t, (*resuming)(c))
	}
}

// pongsMost is how many bytes may wait to be sent when another pong joins them.
const pongsMost = 16 << 10

// ping answers a ping. If much waits to be sent, only the last ping is answered (RFC 6455
// section 5.5.3).
func (c *Conn) ping(t *eventloop.Turn, payload []byte) {
	if !c.meter.count(c.shake.rules.rate, c.now()) {
		c.fail(t, frames.PolicyBroken, "too many pings")
		return
	}
	c.mu.Lock()
	switch {
	case c.closing.Load() != open:
	case c.out != nil && len(*c.out) >= pongsMost:
		c.pong = append(make([]byte, 0, len(payload)), payload...)
	default:
		b := c.gather()
		*b = frames.AppendControl(*b, frames.PongFrame, payload)
	}
	c.unlockAndFlush(t)
}
