package http1

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// wire is what a connection reads from and writes to. A loop calls it, or one goroutine
// serves it, and each of the two in clear text or over TLS:
//
//	looped    an eventloop.Conn
//	sealed    TLS above an eventloop.Carrier
//	standing  a socket of a goroutine, or TLS above one
//
// The rest of the connection does not know which one it is.
type wire interface {
	net.Conn // Read detaches before it waits
	traffic
	waiter
	lead
}

// traffic reads, writes and ends.
type traffic interface {
	// send writes queued and then p, in as few system calls as it can. Each wait may take
	// as long as timeout. last says that nothing follows.
	send(queued, p []byte, timeout time.Duration, last bool) (int64, error)
	// endWriting ends the sending side.
	endWriting(timeout time.Duration) error
	// boundReads sets how long each later read may take; boundReadsBy sets the time
	// until which all of them may.
	boundReads(timeout time.Duration)
	boundReadsBy(at time.Time)
	// readNow reads what has come. It returns eventloop.ErrNothing instead of waiting,
	// but sends the records of TLS itself, within timeout. What comes after p may be read
	// into more, and counts; either may be empty, p not.
	readNow(p, more []byte, timeout time.Duration) (int, error)
	// takesFiles reports whether the kernel can write to the client.
	takesFiles() bool
	// kernelWrite calls call with the descriptor, again each time that there is room,
	// until call returns true.
	kernelWrite(call func(fd uintptr) bool, timeout time.Duration) error
	// meanwhile makes send and kernelWrite call f for each event of c's exchange while
	// they wait. A nil f ends that. Without a loop meanwhile does nothing.
	meanwhile(c *conn, f func())
	// tunnel removes all timeouts, for use as a net.Conn after an upgrade.
	tunnel() error
	// duplex returns the connection as a Duplex of its loop; nil without a loop.
	duplex() eventloop.Duplex
	// client implements proxy.Scheduler's Client.
	client() proxy.Client
	// unread reports whether the client has sent bytes that nobody has read; false if
	// that is unknown.
	unread(one *[1]byte) bool
	// resetOnClose makes the close a reset. It returns false if that is impossible.
	resetOnClose() bool
	// cut makes reads and writes fail. Anyone may call it.
	cut()
}

// waiter is how a connection waits for a request.
type waiter interface {
	// start drives c when its first request has come, or at once.
	start(c *conn)
	// await reads the first bytes of a request into c's buffer, or gives c to its loop
	// until they come or timeout has passed.
	await(c *conn, timeout time.Duration) progress
	// expired reports, when the loop calls c, that timeout has passed and nothing has
	// come.
	expired(c *conn) bool
	// begin ends the wait. It returns false if the connection was closed. hurry
	// shortens the wait of an idle connection. Anyone may call hurry.
	begin(state *atomic.Int32, draining bool) bool
	hurry(state *atomic.Int32, last time.Duration)
	// Idled returns when the wait began; zero if nobody knows. Pending reports whether
	// bytes have come meanwhile; false if nobody knows. Anyone may call them.
	Idled() time.Time
	Pending() bool
}

// progress is the result of a step that may have to wait.
type progress uint8

const (
	arrived progress = iota // the step is done: await has the first bytes of a request
	waiting                 // the loop, or an event, drives the connection on
	over                    // the connection is to be closed
)

// lead is the lead of the loop that calls the connection. Without a loop these methods
// do nothing.
type lead interface {
	// suspends reports whether an exchange can wait without a goroutine.
	suspends() bool
	Loop() *eventloop.Loop
	Detach()
	Enter(t *eventloop.Turn)
	// Watch makes the loop call Left when the client leaves.
	Watch()
	// awaitBody gives the reading side to the loop, which calls Ready when there are bytes
	// to read or timeout has passed. It returns false if there are bytes already. Take
	// takes the reading side back. It returns false if the loop has called Ready or is
	// about to.
	awaitBody(timeout time.Duration) bool
	Take() bool
	// rest gives the reading side to the loop as awaitBody does, and also ends the
	// caller's turn: after true the caller must not use the connection. again does so even
	// if there are bytes: the loop calls Ready in a later turn.
	rest(timeout time.Duration) bool
	again()
	// Overran reports whether the loop's watch has taken the lead since the last call.
	Overran() bool
	// Turn returns the turn that the caller leads; nil if it does not lead.
	Turn() *eventloop.Turn
	// yield lets others have a turn before more of a file is sent. Then the caller goes on
	// in one of the Group's places for labor, which Rest gives back.
	yield()
	Rest()
}

// wireOf returns the wire of nc; see proxy.ServeConn.
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
