package keeper

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// firstInherited is the first descriptor of sd_listen_fds(3).
const firstInherited = 3

// Inherited are the listening sockets that this process was started with, by
// systemd's socket activation or by the server that it takes over from. Each
// is used once, instead of binding its address. Methods may be called from any
// goroutine, and on nil, which holds no sockets.
type Inherited struct {
	mu      sync.Mutex
	sockets []inherited
	files   map[string]bool // of unix sockets that another process removes; true: always, also after Own
}

type inherited struct {
	fd               int
	name             string // from LISTEN_FDNAMES, else the address
	network, address string // empty when it is not a listening stream socket
}

// maxInherited bounds the number in LISTEN_FDS.
const maxInherited = 1 << 16

// TakeInherited takes the descriptors that LISTEN_FDS names, and removes the
// variables from the environment. LISTEN_PID must name this process unless
// takeover.
func TakeInherited(takeover bool) *Inherited {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	pid := os.Getenv("LISTEN_PID")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	if err != nil || n <= 0 || !takeover && pid != strconv.Itoa(os.Getpid()) {
		return nil
	}
	in := &Inherited{files: map[string]bool{}}
	if takeover {
		for _, file := range filepath.SplitList(os.Getenv(SparedEnv)) {
			in.files[file] = true
		}
		os.Unsetenv(SparedEnv)
	}
	for i := range min(n, maxInherited) {
		s := inherited{fd: firstInherited + i}
		unix.CloseOnExec(s.fd)
		s.network, s.address = listeningAddress(s.fd)
		s.name = s.address
		if i < len(names) && names[i] != "" {
			s.name = names[i] + " (" + s.address + ")"
		}
		if s.network == "unix" && !in.files[s.address] {
			in.files[s.address] = !takeover
		}
		in.sockets = append(in.sockets, s)
	}
	return in
}

// SparedEnv tells a process that takes over which socket files belong to a
// service manager, as a list like PATH.
const SparedEnv = "ALICORN_SPARED_SOCKETS"

// Own is called when this process has taken over. From then on it removes the
// socket files of the server before it, but not those of a service manager.
func (in *Inherited) Own() {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for file, forGood := range in.files {
		if !forGood {
			delete(in.files, file)
		}
	}
}

// Spared returns the socket files that this process never removes.
func (in *Inherited) Spared() (files []string) {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for file := range in.files {
		files = append(files, file)
	}
	return files
}

// listeningAddress names the socket fd as a listen directive does.
func listeningAddress(fd int) (network, address string) {
	accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	kind, kindErr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	sa, saErr := unix.Getsockname(fd)
	if err != nil || kindErr != nil || saErr != nil || accepts == 0 || kind != unix.SOCK_STREAM {
		return "", ""
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return "tcp4", netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return "tcp6", netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		return "unix", sa.Name
	}
	return "", ""
}

// ListeningOn returns the address of the listening socket fd, "unix:PATH" or "HOST:PORT"; "":
// there is none.
func ListeningOn(fd int) string {
	switch network, address := listeningAddress(fd); {
	case network == "unix" && strings.HasPrefix(address, "/"):
		return "unix:" + address
	case network != "unix":
		return address
	}
	return ""
}

// With returns in, which may be nil, and the listening socket fd, which another program has
// opened for this one.
func (in *Inherited) With(fd int) *Inherited {
	if in == nil {
		in = &Inherited{files: map[string]bool{}}
	}
	unix.CloseOnExec(fd)
	s := inherited{fd: fd}
	s.network, s.address = listeningAddress(fd)
	s.name = s.address
	if s.network == "unix" {
		in.files[s.address] = true
	}
	in.sockets = append(in.sockets, s)
	return in
}

// take returns the socket of that address, which belongs to the caller; nil: there is none.
func (in *Inherited) take(network, address string, o config.ListenOptions) *os.File {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, s := range in.sockets {
		if s.network != network || s.address != canonical(network, address) {
			continue
		}
		in.sockets = append(in.sockets[:i:i], in.sockets[i+1:]...)
		if o.Backlog != 0 {
			_ = unix.Listen(s.fd, o.Backlog) // on error the socket keeps its backlog
		}
		return os.NewFile(uintptr(s.fd), "listen "+address)
	}
	return nil
}

// canonical returns address as listeningAddress writes it, without a zone.
func canonical(network, address string) string {
	ap, err := netip.ParseAddrPort(address)
	if network == "unix" || err != nil {
		return address
	}
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()).String()
}

// Rest closes the sockets that nobody took and returns a sentence about each.
func (in *Inherited) Rest() []string {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []string
	for _, s := range in.sockets {
		unix.Close(s.fd)
		if s.address == "" {
			out = append(out, fmt.Sprintf("descriptor %d, which this process was started with, is not a listening stream socket; it is closed", s.fd))
			continue
		}
		out = append(out, fmt.Sprintf("no listen directive is for the socket %s, which this process was started with; it is closed", s.name))
	}
	in.sockets = nil
	return out
}

// InheritedAddresses returns the addresses of the listening sockets that a
// service manager has started this process with, "unix:PATH" or "HOST:PORT", by
// descriptor. It takes none of them.
func InheritedAddresses() map[int]string {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	all := map[int]string{}
	for fd := firstInherited; fd < firstInherited+min(n, maxInherited); fd++ {
		if address := ListeningOn(fd); address != "" {
			all[fd] = address
		}
	}
	return all
}
