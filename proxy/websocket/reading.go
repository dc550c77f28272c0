package websocket

import (
	"io"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// reading is a Conn as the handler of its reading side.
type reading Conn

// Ready implements eventloop.Handler.
func (r *reading) Ready(t *eventloop.Turn) { (*Conn)(r).read(t) }

// Left implements eventloop.Watcher: the client has left while the reading side has an owner
// or is stalled. Bytes of a client that has only ended its sending side are still read.
func (r *reading) Left(t *eventloop.Turn) {
	if c := (*Conn)(r); c.link.Lost() {
		c.resume(t)
	}
}

// resuming is a Conn as the handler that goes on with a stalled reading side. The time in
// which the client was not read from does not count as its silence.
type resuming Conn

// Ready implements eventloop.Handler.
func (r *resuming) Ready(t *eventloop.Turn) {
	c := (*Conn)(r)
	c.heard, c.pinged = c.now(), 0
	c.read(t)
}

// Bounds of one turn, after which others have theirs.
const (
	turnShare  = 64 << 10  // received bytes
	partsShare = 256 << 10 // bytes of parts, after inflation
)

// idleMost bounds the wait for bytes. A wait needs a bound so that Hurry can shorten it.
const idleMost = time.Hour

// read reads until nothing is left, the credit is used up, or the WebSocket has ended. The
// caller must own the reading side. When read returns, it does not own it any more.
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

// releaseIn gives the buffer of rest back. rest must be empty.
func (c *Conn) releaseIn() {
	if c.in != nil {
		inBuffers.Put(c.in)
		c.in, c.rest = nil, nil
	}
}

// idle gives the reading side to the loop. It returns false if there are bytes to read.
func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock() // then patience sees a close that has begun, and a later one finds the wait and shortens it
	return c.link.Idle(max(c.patience(), time.Millisecond))
}

// patience returns how much longer the client may send nothing. The caller holds mu.
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
// returns false if the reading side has ended.
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

// verdict is how the reading side goes on after parse.
type verdict uint8

const (
	receive verdict = iota // with more bytes
	stall                  // when there is credit; it has no owner any more
	later                  // when others have had their turn
	stop                   // not at all: there is nothing more to read
	gone                   // not at all: the connection is lost
)

// parse handles the bytes that were received.
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
		return // the application has closed
	}
	c.credit.Add(-int64(len(e.Data) + PartCost))
	c.peer.Message(t, e.Data, e.Text, e.Last)
}

// roomForPart returns how many bytes the next part may have; -1 if no part may come.
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

// stall makes the reading side wait for credit. It returns false if the caller still owns
// the side: there is credit by now, or the connection is lost.
func (c *Conn) stall() bool {
	c.stalled.Store(true)
	if c.roomForPart() < 0 && !c.link.Lost() {
		return true
	}
	return !c.stalled.CompareAndSwap(true, false) // if this fails, another goroutine has taken the side
}

// resume goes on with the reading side if that is stalled.
func (c *Conn) resume(t *eventloop.Turn) {
	if c.stalled.CompareAndSwap(true, false) {
		c.link.Later(t, (*resuming)(c))
	}
}

// pongsMost bounds the bytes that wait to be sent when another pong joins them.
const pongsMost = 16 << 10

// ping answers a ping. If pongsMost bytes wait to be sent, only the last ping is answered,
// which RFC 6455 section 5.5.3 allows.
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
