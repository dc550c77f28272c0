//go:build !linux

package main

import (
	"context"
	"errors"
)

// runWatch fails: this system has none of the calls that it needs.
func runWatch(context.Context, []string) error { return errors.ErrUnsupported }
