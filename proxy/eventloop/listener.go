package eventloop

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Listener accepts the connections of a listening socket, in every Loop of a Group.
type Listener struct {
	fd     int
	accept func(*Conn)
	failed func(error)
	scarce int // from this descriptor number on, few descriptors are left
	most   int // from this descriptor number on, connections are closed

	mu     sync.RWMutex // read-locked while accepting
	closed bool
	places []*place
}

// place is a Listener in one Loop.
type place struct {
	Descriptor
	l     *Listener
	rests bool // the poller does not watch the socket, until the pause has passed
}

// atOnce is how many connections are accepted before other descriptors have their turn, which
// are few: connections that come at once may need work at once.
const atOnce = 4

// share returns how many connections are accepted in turn t: one for eight other descriptors
// of the turn and one for each acceptEvery that the turn before took, if that is more than
// atOnce. The turns of a loop with a thousand busy connections, or with workers that send
// without end, are long. With four in each, new clients would come faster than they are
// accepted, and each would wait behind hundreds, or until it tries again after a second.
func share(t *Turn) int { return max(atOnce, t.behind/8, int(t.last/acceptEvery)) }

// acceptEvery bounds the time that accepting takes beside other work, about a tenth of it. While
// others sent thousands of small frames, two hundred clients that came at once delayed the
// next one by 100 ms, and with 500 µs by 30 ms. A shorter time lets attackers that connect and
// leave in a loop take more from others.
const acceptEvery = 500 * time.Microsecond

// pause is how long accepting rests after an error. Most often there are no descriptors
// left, and others may free some.
const pause = 100 * time.Millisecond

// ErrScarce is reported when few descriptors are left: idle connections should be closed.
var ErrScarce = errors.New("few descriptors are left")

// bounds returns Listener's scarce and most. The system always takes the lowest free
// number, so that all numbers above a new connection's are free. The reserve is for
// control connections, logs, workers, and the files of requests in progress.
func bounds() (scarce, most int) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30, 1 << 30
	}
	n := int(limit.Cur)
	reserve := min(n/8, 128)
	return n - 2*reserve, n - reserve
}

// Listen calls accept, on a leader's goroutine, with each connection of fd. fd is a
// non-blocking listening socket, which the caller keeps open until Close has returned.
// Listen calls failed with errors of accept(2), at most once in each pause, and with
// ErrScarce for each connection after which few descriptors are left.
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

// Ready implements Handler: it accepts connections.
func (p *place) Ready(t *Turn) {
	p.Enter(t)
	most := share(t)
	for {
		if p.rests && !p.rest(false) {
			return
		}
		p.Forget()
		timeout, ended := p.acceptSome(most)
		if ended || p.Idle(timeout) {
			return
		}
	}
}

// acceptSome accepts until no connection waits, but no more than most, and one if few
// descriptors are left; the poller then reports the others again. timeout is the pause
// after an error.
func (p *place) acceptSome(most int) (timeout time.Duration, ended bool) {
	for range most {
		done, err := p.acceptOne()
		switch {
		case err == net.ErrClosed:
			return 0, true
		case err != nil:
			p.l.failed(err)
			if !p.rest(true) {
				return 0, true
			}
			p.Forget() // another leader may have noted readiness meanwhile
			return pause, false
		case done:
			return 0, false
		}
	}
	return 0, false
}

// rest removes the listening socket from the poller, or adds it again. It returns false
// if the Listener is closed: the descriptor number may be another's by now.
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
	return fd >= l.scarce, nil // before it accepts more, idle connections should be closed
}

// Close stops accepting. After it has returned no call of accept is running.
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
