package pool

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// control calls check with f's descriptor, without making that blocking.
func control(f *os.File, check func(fd int) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) { err = check(int(fd)) })
	if cerr != nil {
		return cerr
	}
	return err
}

// isPipe returns an error unless f is the writing end of a pipe.
func isPipe(f *os.File, _ int) error {
	return control(f, func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || flags&unix.O_ACCMODE != unix.O_WRONLY {
			return errWrongKind
		}
		return nil
	})
}

func isChannel(f *os.File, _ int) error { return isPair(f, unix.SOCK_SEQPACKET) }

func isBell(f *os.File, _ int) error { return isPair(f, unix.SOCK_STREAM) }

// isPair returns an error unless f is a unix socket of that kind that does not listen.
func isPair(f *os.File, kind int) error {
	return control(f, func(fd int) error {
		for option, want := range map[int]int{unix.SO_DOMAIN: unix.AF_UNIX, unix.SO_TYPE: kind, unix.SO_ACCEPTCONN: 0} {
			if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); err != nil || v != want {
				return errWrongKind
			}
		}
		return nil
	})
}

// isMemory returns an error unless f is memory of that size that no process can shorten.
func isMemory(f *os.File, size int) error {
	return control(f, func(fd int) error {
		seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
		if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
			return errWrongKind
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if st.Size != int64(size) {
			return fmt.Errorf("it has %d bytes, must have %d", st.Size, size)
		}
		return nil
	})
}
