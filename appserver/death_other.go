//go:build !linux

package appserver

import "syscall"

// dieWithParent does nothing: a worker notices that its channel has ended.
func dieWithParent(*syscall.SysProcAttr) {}
