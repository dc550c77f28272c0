package config

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Host opens what a configuration needs from the operating system. The serving process may
// have no privileges to do so itself, or must find the same as another process. The caller
// owns the descriptors that Host returns.
type Host interface {
	// Listen returns a bound, listening stream socket. network is "tcp4",
	// "tcp6" or "unix"; address is as net.Listen takes it.
	Listen(network, address string, o ListenOptions) (*os.File, error)
	// Append opens a log file for appending. If the file or its folder is missing, Append
	// makes it.
	Append(path string) (*os.File, error)
	// ReadFile returns the content of a certificate, key or password file.
	ReadFile(path string) ([]byte, error)
	// LookUp returns the addresses of a host name: at least one, and none that is an IPv4
	// address in IPv6.
	LookUp(host string) ([]netip.Addr, error)
}

// lookUpTime bounds how long name servers may take.
const lookUpTime = 30 * time.Second

// LookUp asks the system's resolver; see Host.
func LookUp(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("host %q has no address", host)
	}
	return found, err
}

// ListenOptions are the parameters of a listening socket.
type ListenOptions struct {
	Backlog   int  // pending connections; 0: 511, as in nginx
	ReusePort bool // SO_REUSEPORT
	V6Only    bool // IPV6_V6ONLY, nginx's default for [::]
	Mode      int  // the mode of a unix socket's file; 0: 0666, as in nginx
}

// Resources are the things that outlive one configuration, such as listeners, log files
// and zones. A configuration asks for each by a key, and gets the value that the
// configuration before it holds under that key, if there is one. Several Resources may
// hold the same value; the last Release closes it. A configuration that failed to load is
// released at once, and one that was replaced when its last request has ended.
type Resources struct {
	Host Host

	mu   *sync.Mutex // Next's Resources have the same
	held map[string]*resource
	prev map[string]*resource // held by the configuration before
}

type resource struct {
	value  any
	shares int // the number of Resources that hold it
}

// NewResources returns empty Resources, for the first configuration.
func NewResources(h Host) *Resources {
	return &Resources{Host: h, mu: &sync.Mutex{}, held: map[string]*resource{}}
}

// Next returns Resources for the next configuration, which may take over what r
// holds.
func (r *Resources) Next(h Host) *Resources {
	return &Resources{Host: h, mu: r.mu, held: map[string]*resource{}, prev: r.held}
}

// Hold returns the value under key: the one that r holds, otherwise the one of the
// configuration before, otherwise a new one from open. An io.Closer is closed by the last
// Release. A key is for one type and one set of parameters: a value with other parameters
// needs another key.
func Hold[T any](r *Resources, key string, open func() (T, error)) (T, error) {
	return HoldFresh(r, key, func(T) bool { return false }, open)
}

// HoldFresh is Hold, but does not take over a value of the configuration before for which
// stale returns true: open makes a new one.
func HoldFresh[T any](r *Resources, key string, stale func(T) bool, open func() (T, error)) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var zero T
	res, ok := r.held[key]
	if !ok {
		if res, ok = r.prev[key]; ok {
			old, typed := res.value.(T)
			ok = !typed || !stale(old)
		}
		if ok {
			res.shares++
			r.held[key] = res
		}
	}
	if !ok {
		v, err := open()
		if err != nil {
			return zero, err
		}
		res = &resource{value: v, shares: 1}
		r.held[key] = res
	}
	v, ok := res.value.(T)
	if !ok {
		return zero, fmt.Errorf("resource %q is a %T, not a %T", key, res.value, zero)
	}
	return v, nil
}

// Reopener is a held value that has a name outside of the process, such as a log file.
type Reopener interface {
	// Reopen opens what has the name by now, after logrotate has moved the rest.
	Reopen(h Host) error
	// ReopenMoved does so if that is something else than what is open.
	ReopenMoved(h Host) error
}

// Reopen reopens every held Reopener, or with moved those that were moved. It returns their
// errors. Several that fail for the same reason, such as two logs in one file, give one error.
func (r *Resources) Reopen(h Host, moved bool) (errs []error) {
	r.Each(func(_ string, v any) {
		n, ok := v.(Reopener)
		if !ok {
			return
		}
		reopen := n.Reopen
		if moved {
			reopen = n.ReopenMoved
		}
		err := reopen(h)
		if err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	})
	return errs
}

// Each calls f for every held value.
func (r *Resources) Each(f func(key string, value any)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, res := range r.held {
		f(k, res.value)
	}
}

// Release makes r hold nothing, and closes the values that no other Resources hold.
func (r *Resources) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, res := range r.held {
		delete(r.held, k)
		if res.shares--; res.shares == 0 {
			if c, ok := res.value.(io.Closer); ok {
				c.Close()
			}
		}
	}
	r.prev = nil
}
