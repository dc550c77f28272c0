package pool

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// DumpSignal asks a worker for its Python stacks.
const DumpSignal = syscall.SIGUSR2

func pipe(fds []int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(fds); err != nil {
		return err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return nil
}
