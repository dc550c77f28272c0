package main

import (
	"errors"
	"fmt"

	"alicorn/proxy"
)

// reopen opens every log file again.
func (s *server) reopen() error {
	if s.link != nil {
		s.link.Reopened()
	}
	err := s.reopenLogs(false)
	if err == nil {
		s.loaded().generation.LogTo(proxy.LevelLife, "logs reopened")
	}
	return err
}

// reopenMoved opens the log files again that were moved or removed: a reload goes on in the
// files that its configuration names. The keeper does the same with its own.
func (s *server) reopenMoved() error {
	if err := s.reopenLogs(true); err != nil {
		return fmt.Errorf("the new configuration serves, but logs go on in their old files: %w", err)
	}
	return nil
}

// reopenLogs reopens the logs of the current generation, with moved those that were moved. It
// logs the errors, and returns them.
func (s *server) reopenLogs(moved bool) error {
	g := s.loaded().generation
	errs := g.Resources.Reopen(s.host, moved)
	for _, err := range errs {
		g.LogTo(proxy.LevelAlert, err.Error())
	}
	return errors.Join(errs...)
}
