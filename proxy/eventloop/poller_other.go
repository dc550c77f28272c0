//go:build unix && !linux

package eventloop

import (
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// poller has no implementation here. newPoller fails, so that no other method is called.
type poller struct{}

const bellFD = -1

func newPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (p *poller) close()                                        {}
func (p *poller) watch(fd int, tag int32, write bool) error     { return errors.ErrUnsupported }
func (p *poller) rewatch(fd int, tag int32, write bool) error   { return errors.ErrUnsupported }
func (p *poller) watchListener(fd int, tag int32) error         { return errors.ErrUnsupported }
func (p *poller) forget(fd int)                                 {}
func (p *poller) poll() int                                     { return 0 }
func (p *poller) pending() bool                                 { return false }
func (p *poller) wait(d time.Duration) int                      { return 0 }
func (p *poller) ring()                                         {}
func yield()                                                    {}
func giveWay()                                                  { runtime.Gosched() }
func (p *poller) silence()                                      {}
func (p *poller) event(i int) (fd int, tag int32, ready uint32) { return bellFD, 0, 0 }
func socket(family int) (int, error)                            { return unix.Socket(family, unix.SOCK_STREAM, 0) }
func read(fd int, b []byte) (int, error)                        { return unix.Read(fd, b) }
func readBoth(fd int, a, b []byte) (int, error)                 { return unix.Readv(fd, [][]byte{a, b}) }
func write(fd int, b []byte) (int, error)                       { return unix.Write(fd, b) }
func unsent(fd int) int                                         { return 0 }
func accept(fd int) (int, unix.Sockaddr, error)                 { return unix.Accept(fd) }
func sockname(fd int) (unix.Sockaddr, error)                    { return unix.Getsockname(fd) }

type writev struct{}

func (w *writev) write(fd int, a, b []byte) (int, error) { return unix.Writev(fd, [][]byte{a, b}) }
