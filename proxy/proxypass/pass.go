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

// handler is the content of a location with proxy_pass, or its like.
type handler struct {
	*settings
	protocol   *protocol
	upstream   *definition // what the configuration says of the group
	group      *Group      // nil: aims has several
	aims       *aims       // nil: proxy_pass has no variables
	encoder    encoder
	secure     *upstream.Secure // nil: without TLS
	hidden     fieldSet         // fields of answers that the client does not see
	shownAccel fieldSet         // those of X-Accel-* that it sees
	redirects  []edit
	// editsCookies says that proxy_cookie_* change cookies.
	editsCookies bool
	rules        h1.ResponseRules
	tempDir      string
	space        *upstream.Space
	state        *state
	told         atomic.Bool // that there is no location for an X-Accel-Redirect
}

// state is what the feature keeps beside exchanges.
type state struct {
	pass  proxy.ExchangeSlot[*pass]
	moves proxy.ExchangeSlot[int] // URIChanges when the location was found

	fastcgi proxy.LocationSlot[*gateway] // what fastcgi_* say
}

// pass is one request on its way to a peer and back.
type pass struct {
	h        *handler
	target   *target // nil: it is not known yet
	probe    *probe  // of health; nil: it is none
	lookup   *lookup // of the target's host; nil: it is none
	group    *Group
	upstream *definition // what the configuration says of the group
	roster   *roster     // the lane's, or one of the servers that the request has named
	lane     *lane
	loop     *eventloop.Loop // of the lane; nil without loops
	waker    proxy.Waker
	arrived  time.Time // set where proxy_next_upstream_timeout is

	request []byte // the head, and the body where it is in memory
	body    upstream.Body
	feed    *upstream.Feed // passes on a body that is not read first; nil: there is none
	sent    int            // of request
	partly  bool           // TLS has sent a part of what sent does not count yet
	way     way            // of its connections
	file    filePart       // of the body's file

	stage    stage
	sel      selection
	waits    *waiter // in the group's queue
	peer     *peer
	member   *member // the peer in the roster; nil: the try has ended
	landed   bool    // the roster knows that the head has come
	tries    int
	conn     *conn
	reused   bool      // conn was kept
	began    time.Time // of the try
	received int64     // bytes of the answer
	length   int64     // bytes of its body
	interims int
	before   int64 // what was read of the client before the tunnel

	text []byte // of the answer's head, which its strings alias
	raw  h1.ResponseHead
	head upstream.Head

	records    cgi.Records // of FastCGI
	complaints complaints

	buf  *[]byte // what was read is at its start
	data []byte  // of the body, in buf
	// surplus says that the peer has sent more than its answer.
	surplus bool

	limit   pacing // proxy_limit_rate
	trailer []byte // the lines of the answer's trailer, where the client gets them

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
	receiving  stage = iota // the request's body
	resolving               // the name of a server
	choosing                // a peer, and a connection to it
	queued                  // until a peer has room
	connecting              // the connection is not there yet
	securing                // TLS's handshake is done
	sending
	readingHead // of the answer
	collecting  // the whole answer, in buf
	streaming   // the answer, to the client as it comes
	tunneling   // until the tunnel has ended
)

var (
	// errWaits is returned by a step that waits for the peer, or for its client.
	errWaits = errors.New("pass waits")
	// errDone is returned by the step that has given the answer.
	errDone = errors.New("pass is done")
)

var passes = sync.Pool{New: func() any { return new(pass) }}

// blocks are what answers are read into.
var blocks = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

const blockSize = 32 << 10

// Serve passes x's request on, and gives the answer to its client.
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
	p.h = h
	if h.next.Timeout > 0 {
		p.arrived = x.Now()
	}
	x.Upstream.Begin()
	x.Upstream.At = p
	return p
}

// start begins the way to the group.
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

// Continue is proxy.Continuation's: the peer has done something, or the client has left.
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

// awaits reports that the pass waits for the peer still.
func (p *pass) awaits() bool { return p.conn != nil && p.conn.looped != nil && p.conn.awaits() }

// left returns why the request is given up, where its client has left.
func (p *pass) left(x *proxy.Exchange) error {
	if p.h.ignoreAbort || !x.Gone() {
		return nil
	}
	return p.clientLeft()
}

// clientLeft returns the error of a request that nobody waits for.
func (p *pass) clientLeft() error {
	return &proxy.Fail{Status: proxy.StatusClientClosed, Level: proxy.LevelInfo, Reason: "client prematurely closed connection, so upstream connection is closed too " + p.where()}
}

// run takes the steps that can be taken now.
func (p *pass) run(x *proxy.Exchange) error {
	for {
		err := p.step(x)
		switch {
		case err == nil:
			continue
		case err == errWaits:
			// What has let run go on may have come together with the client's leaving.
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

// giveBody leaves the body to the handler that answers in place of the peer.
func (p *pass) giveBody(x *proxy.Exchange) {
	switch {
	case p.feed != nil:
		p.feed.GiveBack(x)
	case p.body.Length > 0 && p.stage > receiving:
		body := p.body
		x.KeepBody(body.Again(body.Close))
		p.body = upstream.Body{}
	}
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

// end lets go of what the pass holds but its answer's head, which the log may show.
func (p *pass) end(x *proxy.Exchange) {
	if p.waits != nil {
		p.roster.giveUp(p.waits, x.Now())
		p.waits = nil
	}
	if p.stage == streaming {
		p.finishAnswer(x)
	}
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
	case p.stage == streaming: // a loop may be reading still
		t.Status, t.Response = p.raw.Status, x.Now().Sub(p.began)
		t.Sent, t.Length = p.sentBytes(), p.out.Received()
		t.Received = int64(len(p.text)) + t.Length
	case x.Res.Sent():
		p.note(x, p.raw.Status, x.Now())
	default:
		p.note(x, 0, x.Now())
	}
}

// note completes what $upstream_* show of the try. status is the answer's, or what the
// failure stands for, and now is when it ended.
func (p *pass) note(x *proxy.Exchange, status int, now time.Time) {
	if p.peer == nil {
		return
	}
	t := x.Upstream.Last()
	t.Status, t.Response = status, now.Sub(p.began)
	t.Sent, t.Received, t.Length = p.sentBytes(), p.received, p.length
}

// sentBytes is what the peer has of the request.
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
