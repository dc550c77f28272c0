package eventloop

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// Carrier is a Conn for use below crypto/tls. It gathers what is written, so that
// several records leave in one system call, and sends it on Flush, before a Read that
// has to wait, on Close, or when it is much. A Write therefore never fails for lack of
// room, after which crypto/tls would write nothing more. A Carrier is for one goroutine
// at a time; below a Duplex, for one that reads and one that writes: then nothing
// waits, and the gathered bytes leave when there is room.
type Carrier struct {
	*Conn
	out      []byte     // gathered bytes
	sent     int        // the number of bytes of out that were sent
	pooled   *[]byte    // where out came from; nil if nothing is gathered
	err      error      // of a send; later records would not be understood
	tries    bool       // see Try
	direct   bool       // see Direct
	flushing bool       // Flush is at work, and may be called by what waits for room meanwhile
	shared   bool       // see share
	most     int        // how much may be gathered if it is shared
	mu       sync.Mutex // guards the gathered bytes if it is shared; crypto/tls writes also while it reads
}

// gatherLimit is how many bytes are gathered before they are sent: two full records and
// some small ones.
const gatherLimit = 36 << 10

// errClogged ends the writes on a shared Carrier whose peer makes TLS answer and does not
// read the answers.
var errClogged = errors.New("the peer does not take what TLS answers")

var carried = sync.Pool{New: func() any { return new([]byte) }}

// NewCarrier returns the Carrier over c.
func NewCarrier(c *Conn) *Carrier { return &Carrier{Conn: c} }

// nothing is the error of a Read that does not wait. It is temporary, as package net
// defines it: crypto/tls then keeps its state, and the part of a record that it has read.
type nothing struct{}

func (nothing) Error() string   { return "nothing to read yet" }
func (nothing) Timeout() bool   { return false }
func (nothing) Temporary() bool { return true }

// ErrNothing is returned after Try(true) by a Read that would have to wait. It is a
// temporary net.Error.
var ErrNothing error = nothing{}

// Try sets whether Read returns ErrNothing instead of waiting.
func (k *Carrier) Try(on bool) { k.tries = on }

// Direct ends the gathering: each later Write sends at once, and a Read waits. That is so
// also after DuplexOf, until it is called again.
func (k *Carrier) Direct() error {
	k.direct, k.shared, k.tries = true, false, false
	return k.Flush()
}

// Read reads what has come. Before it waits it sends the gathered bytes.
func (k *Carrier) Read(p []byte) (int, error) {
	if k.direct || !k.tries && len(k.out) == 0 || len(p) == 0 {
		return k.Conn.Read(p)
	}
	if n, err := k.readNow(p); err != unix.EAGAIN {
		return n, err
	}
	if k.tries {
		return 0, ErrNothing
	}
	if err := k.Flush(); err != nil {
		return 0, err
	}
	return k.Conn.Read(p)
}

// Write gathers p, and may send it with all that was gathered before.
func (k *Carrier) Write(p []byte) (int, error) {
	if k.shared {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.out)-k.sent+len(p) > k.most && k.err == nil {
			k.err = errClogged
		}
		return k.gather(p)
	}
	if k.direct {
		return k.Conn.Write(p)
	}
	if n, err := k.gather(p); err != nil {
		return n, err
	}
	if len(k.out) >= gatherLimit && k.roomWait == nil { // roomWait must not wait inside crypto/tls
		if err := k.Flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (k *Carrier) gather(p []byte) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	if k.pooled == nil {
		k.pooled = carried.Get().(*[]byte)
		k.out = (*k.pooled)[:0]
	}
	k.out = append(k.out, p...)
	return len(p), nil
}

// share prepares k for a Duplex: two goroutines may use it.
func (k *Carrier) share() {
	k.shared, k.tries, k.direct, k.most = true, true, false, gatherLimit
}

// push sends as many of the gathered bytes as there is room for, and returns unix.EAGAIN
// if some are left. If none is, the caller seals next bytes. It is for a shared Carrier.
func (k *Carrier) push(next int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil && k.pooled != nil {
		n, err := k.Send(k.out[k.sent:])
		k.sent += n
		if err == unix.EAGAIN {
			return err
		}
		k.err = err
		k.release()
	}
	k.most = gatherLimit + 2*next // a record is larger than what it holds
	return k.err
}

// Flush sends the gathered bytes, and waits for room as Conn's Write does. Every later
// Write returns the same error.
func (k *Carrier) Flush() error {
	if k.flushing {
		return nil // the outer call sends it
	}
	k.flushing = true
	for k.sent < len(k.out) && k.err == nil {
		var n int
		n, k.err = k.Conn.Write(k.out[k.sent:])
		k.sent += n
	}
	k.flushing = false
	k.release()
	return k.err
}

// Gathered reports whether there are gathered bytes to Flush.
func (k *Carrier) Gathered() bool { return len(k.out) > 0 }

// Close sends as many of the gathered bytes as there is room for, and closes.
func (k *Carrier) Close() error {
	if len(k.out) > k.sent {
		k.TryWrite(k.out[k.sent:])
	}
	k.release()
	return k.Conn.Close()
}

func (k *Carrier) release() {
	if k.pooled == nil {
		return
	}
	*k.pooled = k.out[:0]
	carried.Put(k.pooled)
	k.out, k.sent, k.pooled = nil, 0, nil
}
