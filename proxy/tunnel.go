package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// Upgraded is a client's connection on which HTTP has ended.
type Upgraded interface {
	net.Conn
	// CloseWrite ends the sending side.
	CloseWrite() error
	// OnCut makes f be called when the Engine is about to cut the connection: because the
	// time of its Generation is over, or, if down is true, because the Engine shuts down.
	// f may be called while the connection is in use, after its exchange has ended, and
	// more than once.
	OnCut(f func(down bool))
	// Duplex returns the connection as a Duplex of its loop; nil if no loop calls it.
	Duplex() eventloop.Duplex
}

// Tunnel passes bytes between an upgraded connection and another one, both ways, until
// both have ended their sending sides, or one of them fails or is silent for too long. If
// loops call both connections, the loops pass the bytes on; otherwise each way has a
// goroutine.
type Tunnel struct {
	Client Upgraded // returned by Response.Upgrade
	Other  net.Conn // the Tunnel owns and closes it
	Early  []byte   // bytes that Other has sent before; they go to the client first
	// Silence is how long no byte may pass, either way; 0: no limit. As in nginx
	// (proxy_read_timeout), the time begins anew with bytes of the client, too.
	Silence time.Duration
	// Room is how long Other may take no bytes that are sent to it; 0: no limit. The
	// client's limit is send_timeout.
	Room time.Duration
	// Then goes on with the exchange when the Tunnel has ended. err is a *TunnelError or
	// nil. The handler returns what Then returns.
	Then func(x *Exchange, err error) error

	end  error       // what Then gets
	over atomic.Bool // the loops have ended the Tunnel
	head int64       // how many bytes were sent to the client before
}

// TunnelError is the failure that has ended a Tunnel.
type TunnelError struct {
	Client bool // the client's connection has failed; false: Other has
	Err    error
}

// Error says which connection has failed, and how.
func (e *TunnelError) Error() string {
	who := "upstream"
	if e.Client {
		who = "client"
	}
	if errors.Is(e.Err, os.ErrDeadlineExceeded) {
		return who + " timed out (110: Connection timed out) while proxying upgraded connection"
	}
	return who + " failed (" + SystemText(e.Err) + ") while proxying upgraded connection"
}

// Unwrap returns the failure itself.
func (e *TunnelError) Unwrap() error { return e.Err }

// Tunnel runs t. The handler returns the error that Tunnel returns.
func (x *Exchange) Tunnel(t *Tunnel) error {
	t.head = x.BytesSent()
	if x.wire.Suspends() {
		if other := eventloop.DuplexOf(t.Other); other != nil {
			return t.relay(x, t.Client.Duplex(), other)
		}
	}
	x.wire.Detach()
	t.carry(x.Core().SendTimeout)
	return t.finish(x)
}

// finish goes on with x. The bytes that were sent to the client count as the response's
// body.
func (t *Tunnel) finish(x *Exchange) error {
	x.Res.Written = x.BytesSent() - t.head
	return t.Then(x, t.end)
}

// relay makes the loops pass the bytes on, and suspends x until the tunnel ends.
func (t *Tunnel) relay(x *Exchange, client, other eventloop.Duplex) error {
	waker := x.Waker()
	err := x.SuspendUpgraded(t)
	relay := eventloop.StartRelay(eventloop.End{Duplex: client, Room: x.Core().SendTimeout},
		eventloop.End{Duplex: other, Early: t.Early, Silence: t.Silence, Room: t.Room},
		func(turn *eventloop.Turn, end int, err error) {
			if err != nil {
				t.end = &TunnelError{Client: end == 0, Err: err}
			}
			other.Close()
			t.over.Store(true)
			waker.WakeIn(turn)
		})
	t.Client.OnCut(func(bool) { relay.Stop() })
	return err
}

// Continue implements Continuation.
func (t *Tunnel) Continue(x *Exchange) error {
	if !t.over.Load() {
		return x.SuspendUpgraded(t)
	}
	return t.finish(x)
}

// carry passes the bytes on with the caller's goroutine and another one.
func (t *Tunnel) carry(clientRoom time.Duration) {
	t.Client.OnCut(func(bool) { t.Other.Close() })
	client, other := bounded{Conn: t.Client, room: clientRoom}, bounded{Conn: t.Other, early: t.Early, silence: t.Silence, room: t.Room}
	s := &sign{began: time.Now()}
	var failed sync.Once
	pass := func(from, to *bounded) {
		if err, ofSource := from.passTo(to, s); err != nil {
			failed.Do(func() { t.end = &TunnelError{Client: (from == &client) == ofSource, Err: err} })
			client.Close()
			other.Close()
		}
	}
	var back sync.WaitGroup
	back.Go(func() { pass(&other, &client) })
	pass(&client, &other)
	back.Wait()
	other.Close()
}

// sign records when bytes have last passed, either way.
type sign struct {
	began time.Time
	last  atomic.Int64 // nanoseconds since began
}

// bounded is a connection with its limits; see Tunnel.
type bounded struct {
	net.Conn
	early         []byte
	silence, room time.Duration
}

// passTo passes b's bytes on to to. At their end it ends to's sending side. After a
// failure, ofSource reports whether b has failed, not to.
func (b *bounded) passTo(to *bounded, s *sign) (err error, ofSource bool) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for rest := b.early; ; {
		if len(rest) > 0 {
			if to.room > 0 {
				to.SetWriteDeadline(time.Now().Add(to.room))
			}
			if _, err := to.Write(rest); err != nil {
				return err, false
			}
			s.last.Store(int64(time.Since(s.began)))
		}
		n, err := b.read(*buf, s)
		if n == 0 && err == io.EOF {
			return to.endWriting(), false
		}
		if n == 0 && err != nil {
			return err, true
		}
		rest = (*buf)[:n]
	}
}

// read reads bytes. It fails if the tunnel is silent for too long.
func (b *bounded) read(p []byte, s *sign) (int, error) {
	for {
		if b.silence > 0 {
			b.SetReadDeadline(s.began.Add(time.Duration(s.last.Load()) + b.silence))
		}
		n, err := b.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || b.silence == 0 {
			return n, err
		}
		if time.Since(s.began) >= time.Duration(s.last.Load())+b.silence {
			return 0, err
		}
	}
}

// endWriting ends the sending side, if the connection can.
func (b *bounded) endWriting() error {
	if c, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
