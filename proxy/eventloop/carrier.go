package eventloop

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// Carrier is a Conn as what lies below crypto/tls. Writes are gathered, so that
// several records leave in one call: until Flush, until a Read that has to wait,
// until Close, or until there is much. A Write therefore never fails for lack of
// room, of which crypto/tls would make an end. It is for one goroutine at a time, or
// under a Duplex for one that reads and one that writes: nothing waits then, and what
// was gathered leaves as there is room.
type Carrier struct {
	*Conn
	out    []byte  // written
	sent   int     // of out
	pooled *[]byte // where out came from
	err    error   // of a send: what follows would not be understood
	tries  bool
	direct bool
	shared bool
	most   int        // how much may be gathered where it is shared
	mu     sync.Mutex // guards what is gathered where it is shared: crypto/tls writes as it reads, too
}

// gatherLimit is how much is gathered before it is sent: two full records and
// some small ones.
const gatherLimit = 36 << 10

// errClogged ends the writes on a shared Carrier whose peer has TLS answer it and does
// not take the answers.
var errClogged = errors.New("the peer does not take what TLS answers")

var carried = sync.Pool{New: func() any { return new([]byte) }}

// NewCarrier returns the Carrier over c.
func NewCarrier(c *Conn) *Carrier { return &Carrier{Conn: c} }

// nothing is what Read returns in place of waiting. It is temporary as package
// net has it: crypto/tls keeps the part of a record that it has, and its state.
type nothing struct{}

func (nothing) Error() string   { return "nothing to read yet" }
func (nothing) Timeout() bool   { return false }
func (nothing) Temporary() bool { return true }

// ErrNothing is the error of a Read that would have waited, where Try is set.
// It is a net.Error, and temporary.
var ErrNothing error = nothing{}

// Try has Read return ErrNothing in place of waiting, or wait again.
func (k *Carrier) Try(on bool) { k.tries = on }

// Direct ends the gathering: what is written goes out at once.
func (k *Carrier) Direct() error {
	k.direct = true
	return k.Flush()
}

// Read reads what is there. What was gathered is sent before it waits.
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

// Write gathers p, or sends it with what was gathered.
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
	if len(k.out) >= gatherLimit {
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

// share makes k one for two goroutines.
func (k *Carrier) share() {
	k.shared, k.tries, k.direct, k.most = true, true, false, gatherLimit
}

// push sends as much of what was gathered as there is room for: unix.EAGAIN where some
// is left. Else the caller seals next bytes. It is for a Carrier that is shared.
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

// Flush sends what was gathered, waiting for room as Conn's Write does. Its
// error is also that of every later Write.
func (k *Carrier) Flush() error {
	if len(k.out) > 0 {
		_, k.err = k.Conn.Write(k.out)
	}
	k.release()
	return k.err
}

// Gathered reports whether there is something to Flush.
func (k *Carrier) Gathered() bool { return len(k.out) > 0 }

// Close sends what there is room for and closes.
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
