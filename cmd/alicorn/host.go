package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"alicorn/config"

	"golang.org/x/sys/unix"
)

// localHost takes from the operating system with this process's own rights.
type localHost struct {
	// owner gets log files and folders that are made; nil: they stay ours.
	owner *identity
}

// Append opens a log for appending.
func (h localHost) Append(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open log %s: %w", path, cause(err))
	}
	if st, err := f.Stat(); err == nil && h.owner != nil && st.Mode().IsRegular() {
		f.Chown(h.owner.uid, h.owner.gid)
	}
	return f, nil
}

// ReadFile reads a certificate, key or password file.
func (h localHost) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// cause returns the system's words for err without the operation and the path.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Err
	}
	return err
}

// Listen binds a listening socket as nginx does.
func (h localHost) Listen(network, address string, o config.ListenOptions) (*os.File, error) {
	if network == "unix" {
		return listenUnix(address, o)
	}
	f, err := listenTCP(network, address, o)
	if err != nil {
		return nil, explainListen(network, address, err)
	}
	return f, nil
}

const defaultBacklog = 511

func backlog(o config.ListenOptions) int {
	if o.Backlog > 0 {
		return o.Backlog
	}
	return defaultBacklog
}

func listenTCP(network, address string, o config.ListenOptions) (*os.File, error) {
	addr, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if network == "tcp6" {
		family = unix.AF_INET6
		s := &unix.SockaddrInet6{Port: addr.Port}
		copy(s.Addr[:], addr.IP.To16())
		sa = s
	} else {
		s := &unix.SockaddrInet4{Port: addr.Port}
		copy(s.Addr[:], addr.IP.To4())
		sa = s
	}
	fd, err := newSocket(family)
	if err != nil {
		return nil, err
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if o.ReusePort {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if network == "tcp6" {
		v6only := 0
		if o.V6Only {
			v6only = 1
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only)
	}
	return bind(fd, sa, address, o)
}

func newSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

func bind(fd int, sa unix.Sockaddr, name string, o config.ListenOptions) (*os.File, error) {
	err := unix.Bind(fd, sa)
	if err == nil {
		err = unix.Listen(fd, backlog(o))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// listenUnix binds a unix socket that every user may connect to, as nginx's.
// A socket that nobody listens on any more is replaced; a live one refused.
func listenUnix(path string, o config.ListenOptions) (*os.File, error) {
	if err := clearStale(path); err != nil {
		return nil, err
	}
	fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	f, err := bind(fd, &unix.SockaddrUnix{Name: path}, path, o)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on unix:%s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot open unix:%s to clients: %w", path, cause(err))
	}
	return f, nil
}

func clearStale(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("cannot listen on unix:%s: there is a file of that name that is no socket", path)
	}
	if nc, err := net.Dial("unix", path); err == nil {
		nc.Close()
		return fmt.Errorf("cannot listen on unix:%s: another process listens there", path)
	}
	return os.Remove(path)
}
