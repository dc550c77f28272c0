package main

import (
	"errors"
	"fmt"

	"alicorn/config"
	"alicorn/proxy"
)

// reopen opens every log file again.
func (s *server) reopen() error {
	if s.link != nil {
		s.link.Reopened()
	}
	err := s.eachLog(func(v any) error {
		if r, ok := v.(interface{ Reopen(h config.Host) error }); ok {
			return r.Reopen(s.host)
		}
		return nil
	})
	if err == nil {
		s.loaded().generation.LogTo(proxy.LevelLife, "logs reopened")
	}
	return err
}

// reopenMoved opens the log files again that were moved or removed: a reload goes on in the
// files that its configuration names. The keeper does the same with its own.
func (s *server) reopenMoved() error {
	err := s.eachLog(func(v any) error {
		if r, ok := v.(interface{ ReopenMoved(h config.Host) error }); ok {
			return r.ReopenMoved(s.host)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the new configuration serves, but logs go on in their old files: %w", err)
	}
	return nil
}

// eachLog calls open for every Resource of the current generation. It logs the errors, and
// returns them.
func (s *server) eachLog(open func(v any) error) error {
	g := s.loaded().generation
	var errs []error
	g.Resources.Each(func(_ string, v any) {
		if err := open(v); err != nil {
			errs = append(errs, err)
		}
	})
	for _, err := range errs {
		g.LogTo(proxy.LevelAlert, err.Error())
	}
	return errors.Join(errs...)
}
