//go:build !linux

package keeper

import "errors"

// renice fails: this system has no wire, so there is no front.
func renice(pid, nice int) error { return errors.ErrUnsupported }

// reniceAs fails, too.
func reniceAs(uid, pid, nice int) error { return errors.ErrUnsupported }

// niceOf fails, too.
func niceOf(id int) (int, error) { return 0, errors.ErrUnsupported }
