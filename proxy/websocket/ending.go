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

// Bounds of the end of a connection.
const (
	// closeWait is how long the client may take to answer a close, as in uvicorn.
	closeWait = 10 * time.Second
	// faultWait is how long what the client sends is dropped after its fault: a
	// connection that is closed with unread bytes is reset, and the client may never see
	// the close.
	faultWait = 5 * time.Second
	// maxDropped bounds the bytes that are dropped.
	maxDropped = 1 << 20
)

// beginClose gathers a close, and bounds what comes after it. The caller holds mu.
func (c *Conn) beginClose(state uint32, code uint16, reason string, wait time.Duration) {
	c.closing.Store(state)
	c.code, c.reason = code, frames.Reason(reason)
	if state == asked {
		c.code, c.reason = frames.Abnormal, "" // until the client has answered
	}
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
		c.beginClose(faulted, code, reason, faultWait)
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
		c.beginClose(answered, code, "", closeWait)
	}
	c.closing.Store(answered)
	c.code, c.reason = code, reason
}

// lose ends reading because the connection is lost or has no more time. The caller owns
// reading.
func (c *Conn) lose(t *eventloop.Turn) {
	c.mu.Lock()
	c.loseSending()
	if c.writing {
		c.link.Cut() // so that writing ends
	} else {
		c.drop()
	}
	c.mu.Unlock()
	c.endReading(t)
}

// loseSending notes that nothing can be sent any more. The caller holds mu.
func (c *Conn) loseSending() {
	c.lost = true
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
		c.beginClose(faulted, code, reason, faultWait)
	}
	c.mu.Unlock()
	c.link.Last()
	c.flush(nil)
	c.resume(nil)
}
