package websocket

import (
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// PartCost is what a part of a message costs of the credit beside its bytes, in both
// directions: credit bounds also how many tiny and empty messages are on their way.
const PartCost = 64

// MaxPart bounds the bytes of a part that goes to the Peer.
const MaxPart = frames.MaxPart

// Peer is the application's end of a Conn. Its methods do not wait and do not keep part.
// They are called in the turn t, or on an ordinary goroutine, with t nil. They may call
// the Conn's methods. Taken may run beside Message; Closed comes after both.
type Peer interface {
	// Message takes a part of a message of the client, within the credit. A message has
	// one or more parts, all with the same text; last is set on its last, which may be
	// empty. Text is valid UTF-8 as a whole.
	Message(t *eventloop.Turn, part []byte, text, last bool)
	// Taken reports that the client's socket has taken parts that Send was given: n is
	// their bytes and PartCost for each.
	Taken(t *eventloop.Turn, n int)
	// Closed is called once, as the last call, if Open has returned no error. code is the
	// client's, 1005 if its close had none; 1002, 1007, 1008 or 1009 if the client broke
	// a rule; 1006 if the connection was lost or a ping not answered; 1001 or 1012 if the
	// server has cut it.
	Closed(t *eventloop.Turn, code uint16, reason string)
}

// Conn is a WebSocket. Anyone may call Send, Close and Grant at any time, also before it
// is open and after it has ended; they do not wait. t is the turn that the caller leads;
// nil if it does not lead.
type Conn struct {
	shake *Handshake
	peer  Peer

	link    link          // nil until Open
	room    time.Duration // how long the client may take nothing
	began   time.Time     // the clock of the times below
	over    atomic.Bool   // Peer.Closed was called
	credit  atomic.Int64
	low     int64       // the least credit with which reading goes on
	stalled atomic.Bool // reading waits for credit, and belongs to nobody

	// Of reading:
	reader  *frames.Reader
	in      *[]byte // holds rest; nil if that is empty
	rest    []byte  // received and not used yet
	heard   time.Duration
	pinged  time.Duration // when a ping was sent that nothing has followed; 0: there is none
	meter   meter
	dropped int // bytes that came after a fault
	// inflated counts the bytes of the parts that this turn has brought.
	inflated int

	// Of writing:
	sending []byte
	buffer  *[]byte     // holds sending
	cost    int         // of the parts in sending
	unsent  bool        // link.Send is to be called again
	blocked atomic.Bool // it waits for room in the loop

	mu sync.Mutex // guards what follows
	outgoing
	ending
}

// outgoing is what waits to be sent.
type outgoing struct {
	writer  *frames.Writer
	out     *[]byte       // frames; nil if there are none
	owed    int           // cost of the parts in out
	pong    []byte        // the payload of a pong that follows out; nil: there is none
	writing bool          // a goroutine owns writing, or the loop, for want of room
	flushes bool          // flush will be called
	wrote   chan struct{} // closed when writing is given up; nil: nobody waits for that
}

// link is a connection below a Conn: a looped or a standing. What it shares with
// eventloop.Duplex is as there.
type link interface {
	// Later has h called at the end of t, which may be nil, or soon.
	Later(t *eventloop.Turn, h eventloop.Handler)
	Receive(p []byte) (int, error)
	Send(p []byte) (int, error)
	CloseWrite() error
	Idle(timeout time.Duration) bool
	Expired() bool
	Again()
	Hurry(timeout time.Duration)
	AwaitRoom(timeout time.Duration) bool
	RoomExpired() bool
	Lost() bool
	Cut()
	// Last bounds what is sent from now on: the connection is about to be cut.
	Last()
	// Over goes on with the exchange: the WebSocket has ended.
	Over(t *eventloop.Turn)
}

// NewConn returns a WebSocket for peer, with credit for its first messages.
func (h *Handshake) NewConn(peer Peer, credit int) *Conn {
	c := &Conn{shake: h, peer: peer, began: time.Now(), reader: frames.NewReader(h.rules.maxMessage, h.deflate),
		outgoing: outgoing{writer: frames.NewWriter(h.deflate)}, low: int64(min(credit/4, 1024)) + PartCost}
	c.credit.Store(int64(credit))
	return c
}

// now returns the time by the clock of c.
func (c *Conn) now() time.Duration { return time.Since(c.began) }

// Send sends a part of a message: text on each of its parts, last on its last. It copies
// part. The bytes leave at the end of the caller's turn.
func (c *Conn) Send(t *eventloop.Turn, part []byte, text, last bool) {
	c.mu.Lock()
	if c.closing.Load() != open {
		c.mu.Unlock()
		return
	}
	b := c.gather()
	*b = c.writer.AppendPart(*b, part, text, last)
	c.owed += len(part) + PartCost
	c.unlockAndFlush(t)
}

// Close closes the WebSocket after what was sent. A code that may not be sent, such as
// 1005, sends none. If the client does not answer within 10 s, the connection is cut.
func (c *Conn) Close(t *eventloop.Turn, code uint16, reason string) {
	c.mu.Lock()
	if c.closing.Load() != open {
		c.mu.Unlock()
		return
	}
	c.beginClose(asked, code, reason)
	c.unlockAndFlush(t)
	c.resume(t)
}

// Grant gives credit for n more: bytes of messages, and PartCost for each part.
func (c *Conn) Grant(t *eventloop.Turn, n int) {
	if c.credit.Add(int64(n)) >= c.low {
		c.resume(t)
	}
}
