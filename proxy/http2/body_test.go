//go:build linux

package http2_test

// TryReadBody implements proxy.RequestWire: it waits.
func (s *stream) TryReadBody(p []byte) (int, error) { return s.ReadBody(p) }

// AwaitBody is proxy.RequestWire's, and never called.
func (s *stream) AwaitBody() bool { return false }
