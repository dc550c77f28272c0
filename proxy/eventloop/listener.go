package eventloop

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Listener accepts on a listening socket in every Loop of a Group.
type Listener struct {
	fd     int
	accept func(*Conn)
	failed func(error)
	scarce int // a descriptor of this number or above says that few are left
	most   int // a connection of this number or above is closed

	mu     sync.RWMutex // held for reading while accepting
	closed bool
	places []*place
}

// place is a Listener in one Loop.
type place struct {
	Descriptor
	l     *Listener
	rests bool // not polled until its deadline
}

// atOnce bounds what is accepted before other descriptors have their turn: what
// comes at once may want work at once, too.
const atOnce = 4

// pause is how long accepting rests after an error: out of descriptors, most
// often, of which others may free some.
const pause = 100 * time.Millisecond

// ErrScarce says that few descriptors are left: connections that idle should go.
var ErrScarce = errors.New("few descriptors are left")

// bounds returns Listener's scarce and most. The system gives the lowest number
// that is free, so that all above a connection's are: they are left to control,
// logs, workers, and to the files of requests in progress.
func bounds() (scarce, most int) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30, 1 << 30
	}
	n := int(limit.Cur)
	reserve := min(n/8, 128)
	return n - 2*reserve, n - reserve
}

// Listen calls accept, on a leader's goroutine, with each connection of fd, a
// listening socket that does not block and that the caller keeps open until
// Close has returned. Errors of accept(2) go to failed, at most one a pause,
// and ErrScarce for each connection beyond that bound.
func (g *Group) Listen(fd int, accept func(*Conn), failed func(error)) (*Listener, error) {
	l := &Listener{fd: fd, accept: accept, failed: failed, scarce: g.scarce, most: g.most}
	for _, loop := range g.loops {
		p := &place{l: l}
		p.attach(loop, fd)
		p.in.call(p)
		p.state.Store(idle)
		loop.table.put(&p.Descriptor)
		l.places = append(l.places, p)
		if err := loop.poller.watchListener(fd, p.tag); err != nil {
			l.Close()
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	return l, nil
}

// Ready accepts what waits.
func (p *place) Ready(t *Turn) {
	p.Enter(t)
	for {
		if p.rests && !p.rest(false) {
			return
		}
		p.Forget()
		timeout, ended := p.acceptSome()
		if ended || p.Idle(timeout) {
			return
		}
	}
}

// acceptSome accepts until nobody waits, or as many as may come at once, which is
// one where descriptors are scarce: the poller then tells again. timeout is how
// long to leave it after an error.
func (p *place) acceptSome() (timeout time.Duration, ended bool) {
	for range atOnce {
		done, err := p.acceptOne()
		switch {
		case err == net.ErrClosed:
			return 0, true
		case err != nil:
			p.l.failed(err)
			if !p.rest(true) {
				return 0, true
			}
			p.Forget() // what another leader has seen meanwhile
			return pause, false
		case done:
			return 0, false
		}
	}
	return 0, false
}

// rest takes the listening socket from the poller, or gives it back; false
// when it is closed: its number may be another's.
func (p *place) rest(on bool) bool {
	p.l.mu.RLock()
	defer p.l.mu.RUnlock()
	if p.l.closed {
		return false
	}
	if p.rests = on; on {
		p.loop.poller.forget(p.fd)
	} else {
		p.loop.poller.watchListener(p.fd, p.tag)
	}
	return true
}

func (p *place) acceptOne() (done bool, err error) {
	l := p.l
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return true, net.ErrClosed
	}
	fd, sa, err := accept(l.fd)
	switch err {
	case nil:
	case unix.EINTR, unix.ECONNABORTED:
		return false, nil
	case unix.EAGAIN:
		return true, nil
	default:
		return true, os.NewSyscallError("accept", err)
	}
	if fd >= l.scarce {
		l.failed(ErrScarce)
	}
	if fd >= l.most {
		unix.Close(fd)
		return true, os.NewSyscallError("accept", unix.EMFILE)
	}
	c := &Conn{peer: sa}
	c.attach(p.loop, fd)
	l.accept(c)
	return fd >= l.scarce, nil // what closes to make room is to be closed first
}

// Close stops accepting; no call of accept is under way once it returns.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, p := range l.places {
		p.loop.poller.forget(l.fd)
		p.loop.timers.remove(&p.in)
		p.loop.table.drop(&p.Descriptor)
	}
}
