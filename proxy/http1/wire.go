package http1

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// wire is what a connection speaks on. A loop calls it or a goroutine serves it
// throughout, and each of the two is in the clear or over TLS:
//
//	looped    an eventloop.Conn
//	sealed    TLS above an eventloop.Carrier
//	standing  a socket of a goroutine, or TLS above one
//
// All else of the connection is the same, and nothing else asks which it is.
type wire interface {
	net.Conn // Read detaches before it waits
	traffic
	waiter
	lead
}

// traffic is how bytes pass, and how they end.
type traffic interface {
	// send writes queued and then p, in as few calls as it can, each wait no longer
	// than timeout. last: nothing will follow.
	send(queued, p []byte, timeout time.Duration, last bool) (int64, error)
	// endWriting ends the sending side.
	endWriting(timeout time.Duration) error
	// boundReads bounds each read to come; boundReadsBy all of them together.
	boundReads(timeout time.Duration)
	boundReadsBy(at time.Time)
	// readNow reads what is there: eventloop.ErrNothing in place of waiting. What the
	// protocol itself has to send is sent, within timeout.
	readNow(p []byte, timeout time.Duration) (int, error)
	// takesFiles reports that the kernel can write to the client.
	takesFiles() bool
	// kernelWrite has call write to the descriptor, again when there is room while it
	// returns false.
	kernelWrite(call func(fd uintptr) bool, timeout time.Duration) error
	// tunnel makes it a net.Conn without bounds, for what follows an upgrade.
	tunnel() error
	// duplex returns the connection as its loop calls it; nil without a loop.
	duplex() eventloop.Duplex
	// client is proxy.Scheduler's Client.
	client() proxy.Client
	// unread reports that the client has sent what nobody has read; false where it
	// cannot be told.
	unread(one *[1]byte) bool
	// resetOnClose makes the close a reset; false where it cannot.
	resetOnClose() bool
	// cut makes reads and writes fail. Anyone may call it.
	cut()
}

// waiter is how a connection waits for a request.
type waiter interface {
	// start has c driven: when its first request is there, or at once.
	start(c *conn)
	// await reads the first bytes of a request into c's buffer (more), or leaves c
	// to its loop until they come or timeout has passed (waits).
	await(c *conn, timeout time.Duration) (waits, more bool)
	// expired reports, where the loop calls c, that it does so for the timeout alone.
	expired(c *conn) bool
	// begin ends the wait; false when the connection was closed. hurry shortens the
	// wait of one that is idle. Anyone may call hurry.
	begin(state *atomic.Int32, draining bool) bool
	hurry(state *atomic.Int32, last time.Duration)
	// Idled is when the wait began; zero where that is not known. Pending reports that
	// bytes have come meanwhile; false where that is not known. Anyone may call them.
	Idled() time.Time
	Pending() bool
}

// lead is the lead of the loop that calls the connection. Without a loop these methods
// do nothing.
type lead interface {
	// suspends reports that an exchange can wait without its goroutine.
	suspends() bool
	Loop() *eventloop.Loop
	Detach()
	Enter(t *eventloop.Turn)
	// Watch has Left called when the client leaves.
	Watch()
	// awaitBody leaves the reading to the loop, which calls Ready once there is something
	// to read or timeout has passed; false where there is already. Take takes it back:
	// false where the loop has called Ready or is about to.
	awaitBody(timeout time.Duration) bool
	Take() bool
	// Overran reports, once, that the watch has taken the lead.
	Overran() bool
	// Turn is the turn that the caller leads; nil when it does not.
	Turn() *eventloop.Turn
	// yield gives others a turn before more of a file is sent; Rest ends the labor
	// that this begins.
	yield()
	Rest()
}

// wireOf returns the wire that nc is; see proxy.ServeConn.
func wireOf(nc net.Conn) wire {
	switch t := nc.(type) {
	case *eventloop.Conn:
		return looped{t}
	case *tls.Conn:
		if k, ok := t.NetConn().(*eventloop.Carrier); ok {
			return &sealed{looped: looped{k.Conn}, tls: t, carrier: k}
		}
	}
	return newStanding(nc)
}
