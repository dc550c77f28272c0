package upstream

import (
	"fmt"
	"sync/atomic"

	"alicorn/proxy"
)

// Space bounds what the temporary files of a process take on disk together.
// Files in memory do not count. A nil Space has no bound.
type Space struct {
	limit atomic.Int64 // 0: no bound
	used  atomic.Int64
}

// SetLimit changes the bound; what is taken stays taken.
func (s *Space) SetLimit(n int64) { s.limit.Store(n) }

// Use returns how many bytes are taken, and the bound.
func (s *Space) Use() (used, limit int64) { return s.used.Load(), s.limit.Load() }

// take takes n bytes for a request body; an error, which names the directive,
// where they are not there.
func (s *Space) take(n int64) error {
	if s == nil {
		return nil
	}
	used, limit := s.used.Add(n), s.limit.Load()
	if limit == 0 || used <= limit {
		return nil
	}
	s.used.Add(-n)
	return &proxy.Fail{Status: 413, Level: proxy.LevelError,
		Reason: fmt.Sprintf("cannot keep a request body: temporary files take %d bytes, and temp_space allows %d", used-n, limit)}
}

// fits returns an error, which names the directive, where n bytes are more than
// all temporary files may take together.
func (s *Space) fits(n int64) error {
	if s == nil {
		return nil
	}
	if limit := s.limit.Load(); limit > 0 && n > limit {
		return &proxy.Fail{Status: 413, Level: proxy.LevelError,
			Reason: fmt.Sprintf("cannot keep a request body of %d bytes: temp_space allows %d for all temporary files", n, limit)}
	}
	return nil
}

// hold takes n bytes in any case: a worker has sent them already.
func (s *Space) hold(n int64) {
	if s != nil {
		s.used.Add(n)
	}
}

// give gives n bytes back.
func (s *Space) give(n int64) {
	if s != nil {
		s.used.Add(-n)
	}
}

// full reports that more is taken than the bound allows.
func (s *Space) full() bool {
	if s == nil {
		return false
	}
	limit := s.limit.Load()
	return limit > 0 && s.used.Load() >= limit
}
