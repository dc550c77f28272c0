package proxypass

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// sessions are what "sticky learn" has learnt: which peer has which session. They live
// through reloads, and are no more than their zone has room for: the one that was not used
// for longest makes room for another.
type sessions struct {
	timeout time.Duration
	limit   int

	mu   sync.Mutex
	byID map[sessionID]*list.Element
	used list.List // *session, the last used first
}

type session struct {
	id   sessionID
	sid  string // of the peer
	used time.Time
}

// sessionID stands for a session's name, however long that is.
type sessionID [16]byte

// sessionSize is how many bytes of a zone a session takes: nginx documents 4000 in a megabyte.
const sessionSize = 256

func newSessions(size int64, timeout time.Duration) *sessions {
	return &sessions{timeout: timeout, limit: int(size / sessionSize), byID: map[sessionID]*list.Element{}}
}

func idOf(name []byte) sessionID {
	sum := sha256.Sum256(name)
	return sessionID(sum[:])
}

// find returns the sid of the peer that has the session; "": none has.
func (s *sessions) find(name []byte, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[idOf(name)]
	if e == nil || now.Sub(e.Value.(*session).used) >= s.timeout {
		return ""
	}
	return e.Value.(*session).sid
}

// set says that the peer of that sid has the session. One that is not known is only made
// with create.
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
