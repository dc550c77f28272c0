package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/config/osfile"
)

// defaultBacklog is nginx's on Linux.
const defaultBacklog = 511

// maxSocketPath is the longest path of a unix socket (sun_path without its NUL).
const maxSocketPath = 107

func (h *Local) listenTCP(network, address string, o config.ListenOptions) (*os.File, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: it is not an address with a port", address)
	}
	var fd int
	explain := func(err error) error { return h.explainTCP(address, ap.Port(), err) }
	err = h.patiently(func() error {
		fd, err = h.neighbours.bind(ap.Port(), o, func(o config.ListenOptions) (int, error) { return bindTCP(network, ap, o) })
		return err
	}, explain)
	if err != nil {
		return nil, explain(err)
	}
	f := os.NewFile(uintptr(fd), "listen "+address)
	h.neighbours.add(ap.Port(), o, f)
	return f, nil
}

func bindTCP(network string, ap netip.AddrPort, o config.ListenOptions) (int, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if network == "tcp6" {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16(), ZoneId: zoneID(ap.Addr().Zone())}
	} else {
		sa = &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().Unmap().As4()}
	}
	fd, err := socket(family)
	if err != nil {
		return -1, err
	}
	if err = prepareTCP(fd, network, o); err == nil {
		err = bindListen(fd, sa, o)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepareTCP(fd int, network string, o config.ListenOptions) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if o.ReusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	if network != "tcp6" {
		return nil
	}
	only := 0
	if o.V6Only {
		only = 1
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
}

func bindListen(fd int, sa unix.Sockaddr, o config.ListenOptions) error {
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	backlog := o.Backlog
	if backlog == 0 {
		backlog = defaultBacklog
	}
	return unix.Listen(fd, backlog)
}

func socket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

func zoneID(zone string) uint32 {
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// explainTCP says in one sentence why address cannot be bound.
func (h *Local) explainTCP(address string, port uint16, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: the port is in use by %s", address, h.holder(port))
	case errors.Is(err, unix.EACCES) && port < 1024:
		return fmt.Errorf("cannot listen on %s: ports below 1024 need a permission; give it with \"sudo setcap cap_net_bind_service=+ep %s\", or in the systemd unit with AmbientCapabilities=CAP_NET_BIND_SERVICE", address, executable())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine has no such address", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

// holder names the process that listens on port, and how to free it.
func (h *Local) holder(port uint16) string {
	if h.Rival != nil {
		if text := h.Rival(port); text != "" {
			return text
		}
	}
	return portHolder(port)
}

func executable() string {
	if exe, err := os.Executable(); err == nil {
		return exe
	}
	return os.Args[0]
}

// listenUnix binds path, and first removes a socket that a server has left
// behind. As with nginx every user may connect to the socket, unless a mode says
// otherwise; its folder decides who reaches it.
func (h *Local) listenUnix(path string, o config.ListenOptions) (f *os.File, err error) {
	mode := os.FileMode(0o666)
	if o.Mode != 0 {
		mode = os.FileMode(o.Mode) & 0o777
	}
	err = h.patiently(func() error { f, err = bindUnix(path, mode, o); return err }, func(err error) error { return err })
	return f, err
}

// bindUnix binds path with the rights of the user who decides what stands there.
func bindUnix(path string, mode os.FileMode, o config.ListenOptions) (*os.File, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("cannot listen on unix:%s: the path is %d bytes long and the system allows %d", path, len(path), maxSocketPath)
	}
	decider, err := osfile.Decider(path)
	if err != nil {
		return nil, explainUnix(path, err)
	}
	fd, err := socket(unix.AF_UNIX)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on unix:%s: %w", path, err)
	}
	err = decider.Do(func() error {
		if err := clearSocket(path); err != nil {
			return err
		}
		if err := bindListen(fd, &unix.SockaddrUnix{Name: path}, o); err != nil {
			return err
		}
		return osfile.Chmod(path, mode)
	})
	if err != nil {
		unix.Close(fd)
		return nil, explainUnix(path, decider.Denied(err))
	}
	return os.NewFile(uintptr(fd), "listen unix:"+path), nil
}

func explainUnix(path string, err error) error {
	err = osfile.Cause(err)
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot listen on unix:%s: the directory %s does not exist", path, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot listen on unix:%s: no permission to write to %s: %w", path, dir, err)
	}
	return fmt.Errorf("cannot listen on unix:%s: %w", path, err)
}

// clearSocket removes a socket that no process listens on. For a live one, and
// for a file that is not a socket, it returns an error.
func clearSocket(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return osfile.Cause(err)
	case st.Mode()&fs.ModeSocket == 0:
		return errors.New("a file of that name is there, and it is not a socket")
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		nc.Close()
		return errInUse
	}
	if errors.Is(err, unix.EAGAIN) { // it is live, but its queue of connections is full
		return errInUse
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return osfile.Cause(os.Remove(path))
}
