package tls

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
)

// sessionCost is about what a session takes in memory, as nginx counts: 4000
// in a megabyte.
const sessionCost = 256

// Sessions are sessions kept by the server, for nginx's ssl_session_cache. When
// they are full the oldest goes. They may be shared by several Identities.
type Sessions struct {
	mu    sync.Mutex
	byID  map[[16]byte][]byte
	order [][16]byte // a ring, from oldest at next
	next  int
	limit int
}

// NewSessions returns Sessions that take about size bytes.
func NewSessions(size int64) *Sessions {
	return &Sessions{byID: map[[16]byte][]byte{}, limit: max(1, int(size/sessionCost))}
}

// put keeps a session and returns what the client names it by.
func (s *Sessions) put(ss *tls.SessionState) ([]byte, error) {
	state, err := ss.Bytes()
	if err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) < s.limit {
		s.order = append(s.order, id)
	} else {
		delete(s.byID, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % s.limit
	}
	s.byID[id] = state
	return id[:], nil
}

// take returns the session that a client names, nil when there is none.
func (s *Sessions) take(identity []byte) (*tls.SessionState, error) {
	if len(identity) != 16 {
		return nil, nil
	}
	s.mu.Lock()
	state := s.byID[[16]byte(identity)]
	s.mu.Unlock()
	if state == nil {
		return nil, nil
	}
	return tls.ParseSessionState(state)
}
