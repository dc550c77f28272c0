package proxypass

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// sessions has the peers of the sessions that "sticky learn" has learnt. It lives through
// reloads. The size of the zone bounds the number of sessions: if it is full, a new session
// replaces the one that was not used for the longest time.
type sessions struct {
	timeout time.Duration
	limit   int

	mu   sync.Mutex
	byID map[sessionID]*list.Element
	used list.List // of *session; the one that was used last is the first
}

type session struct {
	id   sessionID
	sid  string // of the peer
	used time.Time
}

// sessionID is a hash of a session's name, which may be long.
type sessionID [16]byte

// sessionSize is how many bytes of a zone a session counts for: nginx documents about 4000
// sessions in a megabyte.
const sessionSize = 256

func newSessions(size int64, timeout time.Duration) *sessions {
	return &sessions{timeout: timeout, limit: int(size / sessionSize), byID: map[sessionID]*list.Element{}}
}

func idOf(name []byte) sessionID {
	sum := sha256.Sum256(name)
	return sessionID(sum[:])
}

// find returns the sid of the session's peer; "": the session is not known.
func (s *sessions) find(name []byte, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[idOf(name)]
	if e == nil || now.Sub(e.Value.(*session).used) >= s.timeout {
		return ""
	}
	return e.Value.(*session).sid
}

// set sets the sid of the session's peer. It adds an unknown session only with create.
func (s *sessions) set(name []byte, sid string, now time.Time, create bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := idOf(name)
	s.expire(now)
	e := s.byID[id]
	switch {
	case e != nil:
		s.used.MoveToFront(e)
	case !create:
		return
	case s.used.Len() >= s.limit:
		e = s.used.Back()
		delete(s.byID, e.Value.(*session).id)
		s.used.MoveToFront(e)
		s.byID[id] = e
	default:
		e = s.used.PushFront(&session{})
		s.byID[id] = e
	}
	*e.Value.(*session) = session{id, sid, now}
}

// expire removes sessions that were not used for too long, a few at a time.
func (s *sessions) expire(now time.Time) {
	for range 2 {
		e := s.used.Back()
		if e == nil || now.Sub(e.Value.(*session).used) < s.timeout {
			return
		}
		delete(s.byID, e.Value.(*session).id)
		s.used.Remove(e)
	}
}
