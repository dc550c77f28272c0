package tls

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ticketKeyLife is how long a key encrypts new tickets.
	ticketKeyLife = 24 * time.Hour
	// ticketLife is the longest life of a ticket (RFC 8446 section 4.6.1).
	ticketLife = 7 * 24 * time.Hour
)

// Tickets has the keys that encrypt session tickets. All addresses of a process share one
// Tickets across reloads, so that sessions resume after a reload. The first handshake after
// ticketKeyLife makes a new key; that needs no goroutine. An old key is kept only as long as
// its sessions may resume, because whoever gets the key can decrypt the traffic of their
// clients. Keys from files do not rotate.
type Tickets struct {
	now   func() time.Time
	fixed bool

	mu   sync.Mutex
	keys [][32]byte    // newest first
	life time.Duration // the longest SessionLife of an Identity
	due  atomic.Int64  // when a new key is due, as Unix nanoseconds
	// seal has the keys for EncryptTicket and DecryptTicket, and nothing else.
	seal tls.Config
}

// NewTickets returns Tickets with a random key. now is the clock.
func NewTickets(now func() time.Time) *Tickets {
	t := &Tickets{now: now}
	t.rotate()
	return t
}

// NewFixedTickets returns Tickets with these keys, at least one. The first one encrypts
// tickets, and all of them decrypt.
func NewFixedTickets(now func() time.Time, keys [][32]byte) *Tickets {
	t := &Tickets{now: now, fixed: true}
	t.seal.SetSessionTicketKeys(keys)
	return t
}

// keep makes t keep old keys long enough for sessions that may resume for life.
func (t *Tickets) keep(life time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.life = max(t.life, min(life, ticketLife))
}

// rotate makes a new key if one is due.
func (t *Tickets) rotate() {
	now := t.now()
	if t.fixed || now.UnixNano() < t.due.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.UnixNano() < t.due.Load() {
		return
	}
	var key [32]byte
	rand.Read(key[:])
	keys := append([][32]byte{key}, t.keys...)
	t.keys = keys[:min(len(keys), 1+int((t.life+ticketKeyLife-1)/ticketKeyLife))]
	t.seal.SetSessionTicketKeys(t.keys)
	t.due.Store(now.Add(ticketKeyLife).UnixNano())
}

// sessions makes and reads the tickets of one Identity.
type sessions struct {
	tickets *Tickets
	store   *Sessions // keeps the sessions; nil: the ticket itself has the session
	life    time.Duration
	now     func() time.Time
	scope   []byte // sessions of another scope do not resume here
}

// stampSize is the size, in bytes, of the time at the beginning of a session's Extra.
const stampSize = 8

// wrap implements tls.Config.WrapSession.
func (s *sessions) wrap(c tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(s.madeAt(c, ss)))
	ss.Extra = append(ss.Extra, append(stamp, s.scope...))
	if s.store != nil {
		return s.store.put(ss)
	}
	s.tickets.rotate()
	return s.tickets.seal.EncryptTicket(c, ss)
}

// madeAt returns when the session began, in seconds of Unix time. With TLS 1.2 a connection
// that resumes keeps its session, whose new ticket lives no longer than the first one. With
// TLS 1.3 such a connection begins a new session.
func (s *sessions) madeAt(c tls.ConnectionState, ss *tls.SessionState) int64 {
	now := s.now().Unix()
	if !c.DidResume || c.Version != tls.VersionTLS12 {
		return now
	}
	// A SessionState's bytes begin with version, type, cipher suite, and the time of the
	// full handshake. If the format changes, these bytes will hardly be a time of the past
	// week.
	b, err := ss.Bytes()
	if err != nil || len(b) < createdEnd {
		return now
	}
	made := int64(binary.BigEndian.Uint64(b[createdEnd-8:]))
	if made > now || made < now-int64(ticketLife/time.Second) {
		return now
	}
	return made
}

// createdEnd is the offset of the end of that time.
const createdEnd = 2 + 1 + 2 + 8

// unwrap implements tls.Config.UnwrapSession. A session that is too old, or of
// another scope, does not resume.
func (s *sessions) unwrap(identity []byte, c tls.ConnectionState) (*tls.SessionState, error) {
	var ss *tls.SessionState
	var err error
	if s.store != nil {
		ss, err = s.store.take(identity)
	} else {
		ss, err = s.tickets.seal.DecryptTicket(identity, c)
	}
	if err != nil || ss == nil || len(ss.Extra) == 0 {
		return nil, err
	}
	extra := ss.Extra[0]
	if len(extra) < stampSize || !slices.Equal(extra[stampSize:], s.scope) {
		return nil, nil
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(extra)), 0)
	if age := s.now().Sub(made); age >= s.life {
		return nil, nil
	}
	return ss, nil
}
