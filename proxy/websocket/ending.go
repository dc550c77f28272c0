package websocket

import (
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// The states of a Conn's end. All but open have sent a close, or gathered it.
const (
	open     uint32 = iota
	asked           // the application has closed; the client has not answered
	answered        // the client has closed
	faulted         // the client has broken a rule, or the server ends; what it sends is dropped
)

// ending is how a Conn ends.
type ending struct {
	closing     atomic.Uint32 // changes under mu
	code        uint16        // of Peer.Closed
	reason      string
	due         time.Duration // when the wait for the client's close, or its end, is over
	silent      bool          // the sending side was ended
	lost        bool          // nothing can be sent any more
	readingOver bool
	finished    bool
}

// maxDropped bounds the bytes that are dropped after a fault of the client.
const maxDropped = 1 << 20

// beginClose gathers a close, and bounds what comes after it. The caller holds mu.
func (c *Conn) beginClose(state uint32, code uint16, reason string) {
	wait := c.shake.rules.close
	if state == faulted {
		wait = c.shake.rules.fault
	}
	c.closing.Store(state)
	c.code, c.reason = code, frames.Reason(reason)
	if state == asked {
		c.code, c.reason = frames.Abnormal, "" // until the client has answered
	}
	c.gatherPong()
	b := c.gather()
	*b = frames.AppendClose(*b, code, reason)
	c.due = c.now() + wait
	if c.link != nil {
		c.link.Hurry(wait)
	}
}

// fail ends the WebSocket because the client has broken a rule.
func (c *Conn) fail(t *eventloop.Turn, code uint16, reason string) {
	c.mu.Lock()
	if c.closing.Load() == open {
		c.beginClose(faulted, code, reason)
	} else {
		c.closing.Store(faulted) // it was sent a close already
	}
	c.unlockAndFlush(t)
}

// closedByClient answers the client's close.
func (c *Conn) closedByClient(code uint16, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() == open {
		c.beginClose(answered, code, "")
	}
	c.closing.Store(answered)
	c.code, c.reason = code, reason
}

// lose ends reading because the connection is lost or has no more time. The caller owns
// reading.
func (c *Conn) lose(t *eventloop.Turn) {
	c.endOfClient()
	c.mu.Lock()
	c.lost = true
	if c.writing {
		c.link.Cut() // so that writing ends
	} else {
		c.drop()
	}
	c.mu.Unlock()
	c.endReading(t)
}

// endOfClient notes that the client sends no more. What was gathered until now is still
// sent: the client may have ended its sending side only.
func (c *Conn) endOfClient() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.CompareAndSwap(open, faulted) {
		c.code = frames.Abnormal
	}
}

// endReading ends reading. The WebSocket ends when what was gathered is sent.
func (c *Conn) endReading(t *eventloop.Turn) {
	c.releaseIn()
	c.reader.Release()
	c.mu.Lock()
	c.readingOver = true
	if c.pending() {
		c.unlockAndFlush(t)
		return
	}
	c.unlockAndFinish(t)
}

// unlockAndFinish unlocks mu, and ends the WebSocket if neither side works any more.
func (c *Conn) unlockAndFinish(t *eventloop.Turn) {
	if c.finished || !c.readingOver || c.writing || c.pending() {
		c.unlockAndFlush(t)
		return
	}
	c.finished = true
	code, reason := c.code, c.reason
	c.mu.Unlock()
	c.over.Store(true)
	c.peer.Closed(t, code, reason)
	c.link.Over(t)
}

// cut tells the client that the server ends the connection: the Engine is about to cut it.
// down: the server stops.
func (c *Conn) cut(down bool) {
	c.mu.Lock()
	if c.finished || c.closing.Load() == faulted {
		c.mu.Unlock()
		return
	}
	code, reason := frames.ServiceRestart, "service restart"
	if down {
		code, reason = frames.GoingAway, "server stops"
	}
	if c.closing.Load() == open {
		c.beginClose(faulted, code, reason)
	}
	c.link.Last()
	var wrote chan struct{}
	if c.writing && !c.blocked.Load() {
		wrote = make(chan struct{})
		c.wrote = wrote
	}
	c.mu.Unlock()
	if wrote == nil {
		c.flush(nil)
	} else {
		select {
		case <-wrote:
		case <-time.After(lastWait):
		}
	}
	c.resume(nil)
}

// lastWait is how long the last write may take when the connection is about to be cut. It does
// not wait for the client, but for a goroutine that is writing.
const lastWait = time.Second
