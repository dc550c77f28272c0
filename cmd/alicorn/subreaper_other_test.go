//go:build !linux

package main

import "errors"

// becomeSubreaper fails: there is no such thing here.
func becomeSubreaper() error { return errors.ErrUnsupported }
