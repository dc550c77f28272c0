package websocket

import (
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// The states of a Conn. In all but open the Conn sends no more messages.
const (
	open     uint32 = iota
	asked           // the application has closed; the client has not answered
	answered        // the client has closed
	faulted         // the client has broken a rule or left, or the server ends the connection; bytes of the client are dropped
)

// ending is the end of a Conn.
type ending struct {
	closing      atomic.Uint32 // the state; it changes under mu
	code         uint16        // for Peer.Closed
	reason       string        // for Peer.Closed
	due          time.Duration // when the wait for the client's close, or for its end, is over
	endedSending bool          // the connection's sending side was ended
	lost         bool          // nothing can be sent any more
	readingOver  bool          // the reading side has ended
	finished     bool          // both sides have ended: Peer.Closed is called
}

// maxDropped bounds the bytes that are dropped in the state faulted.
const maxDropped = 1 << 20

// beginClose makes the transition to state, gathers a close, and bounds the wait for the
// client. The caller holds mu.
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
		c.closing.Store(faulted) // a close was gathered before
	}
	c.unlockAndFlush(t)
}

// closedByClient answers the client's close, unless that is an answer itself.
func (c *Conn) closedByClient(code uint16, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() == open {
		c.beginClose(answered, code, "")
	}
	c.closing.Store(answered)
	c.code, c.reason = code, reason
}

// lose ends the reading side because the connection is lost or has no more time. The caller
// must own that side.
func (c *Conn) lose(t *eventloop.Turn) {
	c.endOfClient()
	c.mu.Lock()
	c.lost = true
	if c.writing {
		c.link.Cut() // the writing side then fails
	} else {
		c.drop()
	}
	c.mu.Unlock()
	c.endReading(t)
}

// endOfClient notes that the client sends no more. Frames that were gathered are still sent,
// as the client may have ended only its sending side.
func (c *Conn) endOfClient() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.CompareAndSwap(open, faulted) {
		c.code = frames.Abnormal
	}
}

// endReading ends the reading side. The WebSocket ends when the frames that were gathered
// are sent.
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

// unlockAndFinish unlocks mu, and ends the WebSocket if the reading side has ended and
// nothing is to be sent.
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

// cut sends a close, if the client takes it, because the Engine is about to cut the
// connection. It waits for at most lastWait. down says that the server stops.
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

// lastWait bounds the last write before a connection is cut.
const lastWait = time.Second
