package pool

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// DumpSignal asks a worker for its Python stacks: a real-time signal that
// neither libc nor applications are known to use.
const DumpSignal = syscall.Signal(54)

func pipe(fds []int) error { return unix.Pipe2(fds, unix.O_CLOEXEC) }
