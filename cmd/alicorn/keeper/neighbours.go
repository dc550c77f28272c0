package keeper

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// neighbours are the TCP sockets that this process listens on. A reload may
// move a listener from 127.0.0.1:80 to all addresses of the port, or back. The
// system allows both beside each other only while both have SO_REUSEPORT.
type neighbours struct {
	mu  sync.Mutex
	all []neighbour
}

type neighbour struct {
	port   uint16
	shares bool // it has SO_REUSEPORT all the time
	socket *os.File
}

// add notes a socket; it counts until it is closed.
func (n *neighbours) add(port uint16, o config.ListenOptions, socket *os.File) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, neighbour{port, o.ReusePort, socket})
}

// bind calls open. When the address is in use, it calls open again while the
// neighbours at that port have SO_REUSEPORT.
func (n *neighbours) bind(port uint16, o config.ListenOptions, open func(config.ListenOptions) (int, error)) (int, error) {
	fd, err := open(o)
	if !errors.Is(err, unix.EADDRINUSE) {
		return fd, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.share(port, 1) == 0 {
		return fd, err
	}
	defer n.share(port, 0)
	shared := o
	shared.ReusePort = true
	if fd, err = open(shared); err == nil && !o.ReusePort {
		err = setShares(fd, 0)
	}
	return fd, err
}

// share sets SO_REUSEPORT of the sockets at port to on, and returns how many
// there are. n.mu is held.
func (n *neighbours) share(port uint16, on int) (count int) {
	n.all = slices.DeleteFunc(n.all, func(b neighbour) bool {
		if b.port != port {
			return false
		}
		rc, err := b.socket.SyscallConn()
		if err == nil && !b.shares {
			err = rc.Control(func(fd uintptr) { _ = setShares(int(fd), on) })
		}
		if err == nil {
			count++
		}
		return err != nil // it is closed
	})
	return count
}

func setShares(fd, on int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, on)
}

// patiently calls bind until the address is free, or h.Patience is over. explain
// turns an error into the one to return.
func (h *Local) patiently(bind func() error, explain func(error) error) error {
	told := false
	for deadline := time.Now().Add(h.Patience); ; time.Sleep(50 * time.Millisecond) {
		err := bind()
		if !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, errInUse) || time.Now().After(deadline) {
			return err
		}
		if !told && h.Waiting != nil {
			h.Waiting(explain(err))
		}
		told = true
	}
}
