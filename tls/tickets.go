package tls

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ticketKeyLife = 24 * time.Hour
	// ticketKeys is how many keys are kept: tickets live seven days at most
	// (RFC 8446 section 4.6.1).
	ticketKeys = 7
)

// Tickets are the keys that session tickets are sealed with. One Tickets
// serves every address and every reload of a process, so that sessions resume
// after a reload. A new key is made every day and the old ones still open
// tickets for a week; it is made by the first handshake that is due, so
// no goroutine is needed. It must not be shared by servers of which one trusts
// clients for what another one verified.
type Tickets struct {
	now func() time.Time

	mu    sync.Mutex
	keys  [][32]byte // newest first
	due   atomic.Int64
	edits atomic.Uint64 // how often keys has changed
}

// NewTickets returns Tickets with a random key. now is the clock.
func NewTickets(now func() time.Time) *Tickets {
	t := &Tickets{now: now}
	t.rotate()
	return t
}

// rotate makes a new key when one is due.
func (t *Tickets) rotate() {
	now := t.now()
	if now.UnixNano() < t.due.Load() {
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
	t.keys = keys[:min(len(keys), ticketKeys)]
	t.due.Store(now.Add(ticketKeyLife).UnixNano())
	t.edits.Add(1)
}

// ticketUser keeps one Config's keys as its Tickets have them.
type ticketUser struct {
	tickets *Tickets
	seen    atomic.Uint64
}

func (u *ticketUser) refresh(c *tls.Config) {
	t := u.tickets
	t.rotate()
	if u.seen.Load() == t.edits.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c.SetSessionTicketKeys(t.keys)
	u.seen.Store(t.edits.Load())
}
