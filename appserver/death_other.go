//go:build !linux

package appserver

import "syscall"

// dieWithParent does nothing: a worker sees that its channel has ended.
func dieWithParent(*syscall.SysProcAttr) {}
