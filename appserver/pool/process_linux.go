package pool

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// DumpSignal asks a worker for its Python stacks. It is a real-time signal that neither libc nor
// known applications use.
const DumpSignal = syscall.Signal(54)

func pipe(fds []int) error { return unix.Pipe2(fds, unix.O_CLOEXEC) }
