package proxypass

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/cgi"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/h1"
	"alicorn/proxy/upstream"
)

// handler is the content of a location with proxy_pass or its like.
type handler struct {
	*settings
	protocol   *protocol
	upstream   *definition // the configuration of group; nil: aims is used
	group      *Group      // nil: aims is used
	aims       *aims       // nil: proxy_pass has no variables
	encoder    encoder
	secure     *upstream.Secure // of connections with TLS; nil: there are none
	hidden     fieldSet         // fields of answers that the client does not get
	shownAccel fieldSet         // the fields of X-Accel-* that it gets
	redirects  []edit
	// editsCookies says that there are rules of proxy_cookie_*.
	editsCookies bool
	rules        h1.ResponseRules
	tempDir      string
	space        *upstream.Space
	state        *state
	told         atomic.Bool // it was logged that no location serves an X-Accel-Redirect
}

// state has the slots of the feature.
type state struct {
	pass  proxy.ExchangeSlot[*pass]
	moves proxy.ExchangeSlot[int] // URIChanges when the location was found

	fastcgi proxy.LocationSlot[*gateway] // the settings of fastcgi_*
}

// pass is one request on its way to a peer and back.
type pass struct {
	h        *handler
	location *proxy.Location  // where it has begun
	target   *target          // nil: not known yet
	probe    *probe           // of a health check; nil: it is none
	security *upstream.Secure // of its connections; nil: without TLS
	lookup   *lookup          // of the target's host; nil: there is none
	group    *Group
	upstream *definition // the configuration of group
	roster   *roster     // the lane's, or one of the servers that the request has named
	lane     *lane
	loop     *eventloop.Loop // of the lane; nil: there are no loops
	waker    proxy.Waker
	arrived  time.Time // when the request came; set only with proxy_next_upstream_timeout

	// The request:
	request []byte // the head, and the body if it is in memory
	body    upstream.Body
	feed    *upstream.Feed // passes on a body that is not read first; nil: there is none
	sent    int            // bytes of request
	partly  bool           // TLS has sent a part of the bytes behind sent
	way     way            // of its connections
	file    filePart       // sends the body's file

	// The try:
	stage    stage
	sel      selection
	waits    *waiter // in the group's queue; nil: it does not wait
	peer     *peer
	member   *member // the peer in the roster; nil: the try has ended
	landed   bool    // land was called for the try
	tries    int
	conn     *conn
	reused   bool      // conn was kept
	began    time.Time // when the try began
	received int64     // bytes of the answer
	length   int64     // bytes of its body
	interims int       // the number of interim responses
	before   int64     // bytes that were read of the client before the tunnel

	// The answer:
	text []byte // the head, whose memory raw and head use
	raw  h1.ResponseHead
	head upstream.Head

	records    cgi.Records // of FastCGI
	complaints complaints

	buf     *[]byte // begins with the bytes that were read
	data    []byte  // the bytes of the body in buf
	surplus bool    // the peer has sent more than its answer

	limit   pacing // proxy_limit_rate
	trailer []byte // the lines of the trailer, if the client may get it

	out    upstream.WriteBehind
	noFile atomic.Pointer[error] // why out has no file, until it is logged

	// What is set when the answer begins to stream, for the goroutine that reads it.
	headTook time.Duration // until the head had come
	whole    bool          // the peer has the whole request
	feeding  bool          // the pass feeds the peer meanwhile
	// ended is when that goroutine has let go of the peer, before it has ended out.
	ended time.Time
}

type stage uint8

// The stages of a pass.
const (
	receiving   stage = iota // the request's body
	resolving                // the name of the server is looked up
	choosing                 // a peer, and a connection to it
	queued                   // waits until a peer is free
	connecting               // waits for the connection
	securing                 // waits for the handshake of TLS
	sending                  // the request
	readingHead              // of the answer
	collecting               // a short answer, in buf
	streaming                // the answer goes to the client as it comes
	tunneling                // waits until the tunnel has ended
)

var (
	// errWaits is returned by a step that waits for the peer or for the client.
	errWaits = errors.New("pass waits")
	// errDone is returned by the step that has finished the response.
	errDone = errors.New("pass is done")
)

var passes = sync.Pool{New: func() any { return new(pass) }}

// blocks has the buffers into which answers are read.
var blocks = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

const blockSize = 32 << 10

// Serve passes x's request on, and the answer to its client.
func (h *handler) Serve(x *proxy.Exchange) error {
	p := h.begin(x)
	if err := p.aim(x); err != nil {
		return err
	}
	return p.start(x)
}

func (h *handler) begin(x *proxy.Exchange) *pass {
	p := passes.Get().(*pass)
	*h.state.pass.In(x) = p
	p.h, p.location = h, x.Location
	if h.next.Timeout > 0 {
		p.arrived = x.Now()
	}
	x.Upstream.Begin()
	x.Upstream.At = p
	return p
}

// start sets the lane and the roster, and runs the first steps.
func (p *pass) start(x *proxy.Exchange) error {
	if p.loop = x.Loop(); p.loop == nil && p.group.loops != nil {
		p.loop = p.group.loops.Next()
	}
	p.lane, p.waker = p.group.laneOf(p.loop), x.Waker()
	if p.roster == nil {
		p.roster = p.lane.roster
	}
	p.upstream.prepare(x, &p.sel)
	return p.run(x)
}

// Continue implements proxy.Continuation: the pass goes on after an event of the peer, of the
// request's body, or of the client, which may have left.
func (p *pass) Continue(x *proxy.Exchange) error {
	if p.stage != streaming && p.awaits() {
		if err := p.left(x); err != nil {
			p.end(x)
			return err
		}
		if !p.feeds() {
			return x.Suspend(p)
		}
	}
	return p.run(x)
}

// awaits reports whether the pass still waits for the peer.
func (p *pass) awaits() bool { return p.conn != nil && p.conn.looped != nil && p.conn.awaits() }

// left returns the error that ends the request if its client has left; nil otherwise.
func (p *pass) left(x *proxy.Exchange) error {
	if p.h.ignoreAbort || !x.Gone() {
		return nil
	}
	return p.clientLeft()
}

// clientLeft returns the error of a request whose client has left.
func (p *pass) clientLeft() error {
	return &proxy.Fail{Status: proxy.StatusClientClosed, Level: proxy.LevelInfo, Reason: "client prematurely closed connection, so upstream connection is closed too " + p.where()}
}

// run runs steps until one waits or the pass has ended.
func (p *pass) run(x *proxy.Exchange) error {
	for {
		err := p.step(x)
		switch {
		case err == nil:
			continue
		case err == errWaits:
			// The client may have left at the same time as the event that has run these steps.
			if p.stage > receiving && p.stage < streaming {
				if err := p.left(x); err != nil {
					p.end(x)
					return err
				}
			}
			return x.Suspend(p)
		case err == errDone:
			err = nil
		case p.stage == tunneling:
			return err
		default:
			if f := failureOf(err); f != nil {
				if p.repeats(x, f) {
					continue
				}
				err = f.answer()
			}
		}
		if x.LeadsOn(err) {
			p.giveBody(x)
		}
		p.end(x)
		return err
	}
}

// giveBody gives the request's body to the handler that responds in place of the peer.
func (p *pass) giveBody(x *proxy.Exchange) {
	switch {
	case p.feed != nil:
		p.feed.GiveBack(x)
	case p.body.Length > 0 && p.stage > receiving:
		p.keepBody(x)
	}
}

// keepBody gives back the body that was read.
func (p *pass) keepBody(x *proxy.Exchange) {
	body := p.body
	x.KeepBody(body.Again(body.Close))
	p.body = upstream.Body{}
}

func (p *pass) step(x *proxy.Exchange) error {
	switch p.stage {
	case receiving:
		return p.prepare(x)
	case resolving:
		return p.resolve(x)
	case choosing:
		return p.choose(x)
	case queued:
		return p.queue(x)
	case connecting:
		return p.connect(x)
	case securing:
		return p.secure(x)
	case sending:
		return p.send()
	case readingHead, collecting:
		if p.feeds() && p.awaits() {
			return p.wait(x) // the event was the body's
		}
		if p.stage == readingHead {
			return p.readHead(x)
		}
		return p.collect(x)
	}
	return p.stream(x)
}

// end releases everything that the pass holds, except the answer's head, which variables of
// the log may use.
func (p *pass) end(x *proxy.Exchange) {
	if p.waits != nil {
		p.roster.giveUp(p.waits, x.Now())
		p.waits = nil
	}
	if p.stage == streaming {
		p.finishAnswer(x)
	}
	p.logDropped(x)
	if p.conn == nil || p.dropConn() {
		p.leave(x, undecided, "")
	}
	p.out.Drop(p)
	p.body.Close()
	p.file.release()
	p.feed.Close()
	p.release()
	switch t := x.Upstream.Last(); {
	case p.peer == nil || t.Response >= 0:
	case p.stage == streaming: // a loop may still be reading, so note's fields must not be used
		t.Status, t.Response = p.raw.Status, x.Now().Sub(p.began)
		t.Sent, t.Length = p.sentBytes(), p.out.Received()
		t.Received = int64(len(p.text)) + t.Length
	case x.Res.Sent():
		p.note(x, p.raw.Status, x.Now())
	default:
		p.note(x, 0, x.Now())
	}
}

// note sets the values of $upstream_* for the try. status is that of the answer or of the
// failure; now is the time at which the try has ended.
func (p *pass) note(x *proxy.Exchange, status int, now time.Time) {
	if p.peer == nil {
		return
	}
	t := x.Upstream.Last()
	t.Status, t.Response = status, now.Sub(p.began)
	t.Sent, t.Received, t.Length = p.sentBytes(), p.received, p.length
}

// sentBytes returns how many bytes of the request were sent.
func (p *pass) sentBytes() int64 {
	n := int64(p.sent) + p.file.sent
	if p.feed != nil {
		n += p.feed.Sent()
	}
	return n
}

// release gives the buffer back.
func (p *pass) release() {
	if p.buf != nil {
		blocks.Put(p.buf)
	}
	p.buf, p.data = nil, nil
}

// dropConn closes the connection, whoever has it. It is false where the goroutine that has
// read the answer has let go of the peer, or is about to.
func (p *pass) dropConn() bool {
	if p.stage == streaming {
		return p.conn.drop(p)
	}
	return p.conn.drop(nil)
}

// recycle gives the pass back, once nobody looks at its answer any more. One whose
// connection was dropped may still be read for by a loop.
func (p *pass) recycle() {
	if p.conn != nil {
		return
	}
	p.sel.reset()
	request, text, sel, raw, head := p.request, p.text, p.sel, p.raw, p.head
	*p = pass{request: request[:0], text: text[:0], sel: sel, raw: raw, head: head}
	if cap(request) <= blockSize {
		passes.Put(p)
	}
}
