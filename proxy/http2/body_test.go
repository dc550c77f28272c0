//go:build linux

package http2_test

// TryReadBody implements proxy.RequestWire. It waits.
func (s *stream) TryReadBody(p []byte) (int, error) { return s.ReadBody(p) }

// AwaitBody implements proxy.RequestWire. It is never called, as TryReadBody waits.
func (s *stream) AwaitBody() bool { return false }
