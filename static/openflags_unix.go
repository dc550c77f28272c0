//go:build unix

package static

import "syscall"

const openFlags = syscall.O_NONBLOCK | syscall.O_CLOEXEC
