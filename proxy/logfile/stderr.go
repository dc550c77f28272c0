package logfile

import (
	"os"

	"alicorn/config"
)

// stderr is the process's standard error stream.
type stderr struct {
	relay *relay // nil: a write does not wait
	losses
}

func newStderr() *stderr {
	s := &stderr{losses: losses{sum: Losses{Path: "stderr"}}}
	if mayWait(os.Stderr) {
		s.relay = &relay{deliver: s.write, lost: s.failed}
	}
	return s
}

// Write writes whole lines.
func (s *stderr) Write(p []byte) (int, error) {
	if s.relay != nil {
		s.relay.add(p)
	} else {
		s.write(p)
	}
	return len(p), nil
}

func (s *stderr) write(p []byte) {
	if n, err := os.Stderr.Write(p); err != nil {
		s.failed(p[n:], err)
	} else {
		s.worked()
	}
}

// Reopen does nothing: the stream has no name.
func (s *stderr) Reopen(config.Host) error { return nil }

// ReopenMoved does nothing, either.
func (s *stderr) ReopenMoved(config.Host) error { return nil }

// Flush waits for the lines to be delivered, but not longer than lastChance.
func (s *stderr) Flush() {
	if s.relay != nil {
		s.relay.flush()
	}
}

// Close does the same as Flush: the stream stays open.
func (s *stderr) Close() error {
	s.Flush()
	return nil
}
