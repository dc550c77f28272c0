package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// mostPasses bounds how often renice looks at the threads of a process.
const mostPasses = 100

// highestNice is what Linux makes of nice values above it.
const highestNice = 19

// renice gives every thread of the process pid a nice value from -20 to 20. The process
// may end meanwhile, but must not be reaped.
//
// For Linux a nice value is one thread's, and a new thread gets that of the thread that
// makes it. So a pass that finds each thread with the value is the last one: whatever
// came after its list was made by one of these.
func renice(pid, nice int) error {
	nice = min(nice, highestNice)
	for range mostPasses {
		changed, err := reniceThreads(pid, nice)
		if err != nil || changed == 0 {
			return err
		}
	}
	return fmt.Errorf("setpriority(%d): threads with another priority appear all the time", nice)
}

// reniceAs is renice by a thread with the process's user, uid, as its effective one. Linux lets a user
// give higher nice values to processes of his own; for root these take CAP_SYS_NICE if another user
// has the process. The real user of the thread stays root, so that the other cannot send it signals.
func reniceAs(uid, pid, nice int) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const unchanged = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 {
			err = fmt.Errorf("cannot use the rights of user %d, which needs CAP_SETUID: %w", uid, errno)
			return
		}
		err = renice(pid, nice)
	}()
	<-done
	return err
}

// reniceThreads is one pass. It returns the number of threads that had another value.
func reniceThreads(pid, nice int) (changed int, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // it has ended
		return 0, fmt.Errorf("cannot list the threads of process %d: %w", pid, err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		switch other, err := reniceThread(id, nice); {
		case errors.Is(err, unix.ESRCH): // it has ended
		case err != nil:
			return changed, err
		case other:
			changed++
		}
	}
	return changed, nil
}

// reniceThread reports whether the thread had another value.
func reniceThread(id, nice int) (other bool, err error) {
	if now, err := niceOf(id); err != nil || now == nice {
		return false, err
	}
	err = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return false, fmt.Errorf("setpriority(%d) failed: %w: it takes root with the capability CAP_SYS_NICE", nice, err)
	case err != nil:
		return false, fmt.Errorf("setpriority(%d) failed: %w", nice, err)
	}
	return true, nil
}

// niceOf returns the nice value of the thread id, -20 to 19. A process's ID is that of
// its first thread.
func niceOf(id int) (int, error) {
	kernel, err := unix.Getpriority(unix.PRIO_PROCESS, id) // 20 - nice, as an error is negative
	if err != nil {
		return 0, fmt.Errorf("getpriority failed: %w", err)
	}
	return 20 - kernel, nil
}
