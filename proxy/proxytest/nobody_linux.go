package proxytest

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// AsNobody runs f on a thread that has given up root's rights for good.
func AsNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534)
		}
		f()
	}()
	<-done
}
