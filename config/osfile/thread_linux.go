package osfile

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unchanged makes setfsuid and setfsgid return the current value.
const unchanged = -1

// Do runs f with u's rights in the file system. f must stay on its goroutine and
// start no process. A process that is not root runs f with its own rights.
func (u User) Do(f func() error) error {
	if unix.Geteuid() != 0 || u.UID == 0 {
		return f()
	}
	runtime.LockOSThread()
	// If its rights cannot be restored, the thread stays locked, and so ends with its goroutine.
	before, err := unix.Getgroups()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("cannot read the groups of this process: %w", err)
	}
	gid, _ := unix.SetfsgidRetGid(unchanged)
	err = u.enter()
	if err == nil {
		err = f()
	}
	if back := (User{UID: 0, GID: gid, Groups: before}).enter(); back != nil {
		return errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return err
}

// enter gives this thread u's rights. The kernel takes the capabilities that override the
// permissions of files away when the user stops being root, and gives them back with root.
func (u User) enter() error {
	groups := make([]uint32, len(u.Groups)+1)
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return u.refused(errno)
	}
	// The calls do not report a failure: second calls below return the current values.
	if _, err := unix.SetfsgidRetGid(u.GID); err != nil {
		return u.refused(err)
	}
	if _, err := unix.SetfsuidRetUid(u.UID); err != nil {
		return u.refused(err)
	}
	gid, _ := unix.SetfsgidRetGid(unchanged)
	uid, _ := unix.SetfsuidRetUid(unchanged)
	if gid != u.GID || uid != u.UID {
		return u.refused(unix.EPERM)
	}
	return nil
}

func (u User) refused(err error) error {
	return fmt.Errorf("cannot use the rights of user %q, which needs CAP_SETUID and CAP_SETGID: %w", u.Name(), err)
}
