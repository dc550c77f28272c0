package upstream

import (
	"fmt"
	"sync/atomic"

	"alicorn/proxy"
)

// Space bounds the bytes that all temporary files of the process take on disk. Files in
// memory do not count. A nil Space has no bound.
type Space struct {
	limit atomic.Int64 // bytes; 0: no bound
	used  atomic.Int64 // bytes
}

// SetLimit changes the bound. Files that are larger than it stay.
func (s *Space) SetLimit(n int64) { s.limit.Store(n) }

// Use returns how many bytes are taken, and the bound (0: none).
func (s *Space) Use() (used, limit int64) { return s.used.Load(), s.limit.Load() }

// take takes n bytes for a request body. If that is more than the bound allows, it returns
// an error that names the directive.
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

// fits returns an error that names the directive if n bytes are more than all temporary
// files may take.
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

// hold takes n bytes even past the bound, for data that an upstream has already sent.
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

// full reports whether the bound is reached.
func (s *Space) full() bool {
	if s == nil {
		return false
	}
	limit := s.limit.Load()
	return limit > 0 && s.used.Load() >= limit
}
