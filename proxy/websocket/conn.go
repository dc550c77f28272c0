package websocket

import (
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// PartCost is what each part of a message costs of the credit, beside its bytes, in both
// directions. So credit also bounds how many tiny and empty messages are on their way.
const PartCost = 64

// MaxPart bounds the bytes of a part that the Peer gets.
const MaxPart = frames.MaxPart

// Peer is the application's end of a Conn. Its methods must not wait or keep part, and may
// call the Conn's methods. t is the turn that the caller leads; nil on an ordinary
// goroutine. Taken may run beside Message. No other calls overlap.
type Peer interface {
	// Message takes a part of a message of the client, within the credit. A message has
	// one or more parts, all with the same text. last is set for the last one, which may
	// be empty. A text is valid UTF-8 as a whole.
	Message(t *eventloop.Turn, part []byte, text, last bool)
	// Taken returns credit: the client's socket has taken parts that were given to Send. n
	// is the sum of their bytes and PartCost for each.
	Taken(t *eventloop.Turn, n int)
	// Closed is called once, as the last call, unless the upgrade in Open has failed. code
	// is the client's, 1005 if its close had none; 1002, 1007, 1008 or 1009 if the client
	// broke a rule; 1006 if the connection was lost, or a ping or a close was not
	// answered; 1001 or 1012 if the server has ended it.
	Closed(t *eventloop.Turn, code uint16, reason string)
}

// Conn is a WebSocket. Any goroutine may call Send, Close and Grant at any time, also before
// it is open and after it has ended; they do not wait. t is the turn that the caller leads;
// nil if it does not lead.
type Conn struct {
	shake *Handshake
	peer  Peer

	link    link          // nil until Open
	room    time.Duration // how long the client may take nothing: send_timeout
	began   time.Time     // where the clock of now begins
	over    atomic.Bool   // Peer.Closed was called
	credit  atomic.Int64  // for messages of the client
	low     int64         // the least credit with which the reading side goes on
	stalled atomic.Bool   // the reading side waits for credit, and has no owner

	// For the owner of the reading side:
	reader   *frames.Reader
	in       *[]byte       // the buffer of rest; nil if rest is empty
	rest     []byte        // received bytes that were not parsed yet
	heard    time.Duration // when the client has sent bytes last
	pinged   time.Duration // when the last ping was sent, if no bytes have come since; otherwise 0
	meter    meter         // counts messages and pings
	dropped  int           // how many bytes were dropped after a fault
	inflated int           // bytes of the parts of this turn

	// For the owner of the writing side:
	sending []byte      // the rest of buffer
	buffer  *[]byte     // frames that are being sent
	cost    int         // of the parts in buffer
	unsent  bool        // link.Send must be called again
	blocked atomic.Bool // the loop waits for room

	mu sync.Mutex // guards the rest
	outgoing
	ending
}

// outgoing are the frames that wait to be sent.
type outgoing struct {
	writer  *frames.Writer
	out     *[]byte       // frames; nil if there are none
	owed    int           // cost of the parts in out
	pong    []byte        // the payload of a pong that follows out; nil: there is none
	writing bool          // the writing side has an owner: a goroutine, or the loop, which waits for room
	flushes bool          // flush will be called
	wrote   chan struct{} // closed when the owner gives the writing side up; nil: nobody waits for that
}

// link is the connection below a Conn: a looped or a standing. eventloop.Duplex describes
// the methods without a comment.
type link interface {
	// Later makes h be called at the end of turn t. If t is nil, h is called soon.
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
	// Last bounds the time of each Send, a running one included, by lastWait: the
	// connection is about to be cut.
	Last()
	// Over goes on with the exchange, as the WebSocket has ended.
	Over(t *eventloop.Turn)
}

// NewConn returns a Conn for peer. credit is the credit of the client's first messages.
func (h *Handshake) NewConn(peer Peer, credit int) *Conn {
	c := &Conn{shake: h, peer: peer, began: time.Now(), reader: frames.NewReader(h.rules.maxMessage, h.deflate),
		outgoing: outgoing{writer: frames.NewWriter(h.deflate)}, low: int64(min(credit/4, 1024)) + PartCost}
	c.credit.Store(int64(credit))
	return c
}

// now returns the time since c was made.
func (c *Conn) now() time.Duration { return time.Since(c.began) }

// Send sends a part of a message. All parts of a message have the same text; last is set
// for the last one. Send copies part. The bytes are sent at the end of the caller's turn. If
// a close was sent, Send does nothing.
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

// Close closes the WebSocket behind the parts that were given to Send. For a code that must
// not be sent, such as 1005, the close has none. If the client does not answer within 10 s,
// the connection is cut.
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

// Grant adds n to the credit for messages of the client. Each part costs its bytes and
// PartCost.
func (c *Conn) Grant(t *eventloop.Turn, n int) {
	if c.credit.Add(int64(n)) >= c.low {
		c.resume(t)
	}
}
