package tls

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
)

// sessionOverhead is roughly the memory of a session besides its state, in bytes. With it
// about 4000 sessions fit into 1 MiB, as in nginx.
const sessionOverhead = 128

// Sessions are the sessions that the server keeps, for nginx's ssl_session_cache. If it is
// full, a new session replaces the oldest ones. Several Identities may share it.
type Sessions struct {
	mu    sync.Mutex
	byID  map[sessionID][]byte
	order []sessionID // oldest first
	size  int64       // bytes
	limit int64
}

type sessionID [16]byte

// NewSessions returns Sessions that take at most about size bytes.
func NewSessions(size int64) *Sessions {
	return &Sessions{byID: map[sessionID][]byte{}, limit: size}
}

// put keeps a session, and returns the name by which the client will ask for it.
func (s *Sessions) put(ss *tls.SessionState) ([]byte, error) {
	state, err := ss.Bytes()
	if err != nil {
		return nil, err
	}
	var id sessionID
	rand.Read(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = state
	s.order = append(s.order, id)
	s.size += footprint(state)
	// A session has the client's certificates, so that the client chooses its size.
	for s.size > s.limit {
		oldest := s.order[0]
		s.order = s.order[1:]
		s.size -= footprint(s.byID[oldest])
		delete(s.byID, oldest)
	}
	return id[:], nil
}

func footprint(state []byte) int64 { return int64(len(state) + sessionOverhead) }

// take returns the session that a client names, nil if there is none.
func (s *Sessions) take(identity []byte) (*tls.SessionState, error) {
	if len(identity) != len(sessionID{}) {
		return nil, nil
	}
	s.mu.Lock()
	state := s.byID[sessionID(identity)]
	s.mu.Unlock()
	if state == nil {
		return nil, nil
	}
	return tls.ParseSessionState(state)
}
