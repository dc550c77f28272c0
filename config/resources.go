package config

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Host is what a configuration may take from the operating system: things
// that need privileges the serving process may not have. Each descriptor
// returned belongs to the caller.
type Host interface {
	// Listen returns a bound, listening stream socket. network is "tcp4",
	// "tcp6" or "unix"; address is as net.Listen takes it.
	Listen(network, address string, o ListenOptions) (*os.File, error)
	// Append opens a log file for appending and creates it, and its
	// directory, when it is missing.
	Append(path string) (*os.File, error)
	// ReadFile returns the content of a certificate, key or password file.
	ReadFile(path string) ([]byte, error)
}

// ListenOptions are the parameters of a listening socket; the zero value
// means the system's defaults.
type ListenOptions struct {
	Backlog   int  // pending connections; 0: 511, as nginx
	ReusePort bool // SO_REUSEPORT
	V6Only    bool // IPV6_V6ONLY, nginx's default for [::]
	Mode      int  // of a unix socket's file; 0: 0666, as nginx
}

// Resources are the things that outlive one configuration: listeners, log
// files, shared zones. A reading asks for each by a key; when the reading
// before it holds that key, it gets the same thing. Each Resources holds a
// share; what nobody holds any more is closed. So a failed reading is undone
// by Release, and a replaced one released when its last request has ended.
type Resources struct {
	Host Host

	mu   *sync.Mutex // shared by the whole chain of readings
	held map[string]*resource
	prev map[string]*resource
}

type resource struct {
	value  any
	shares int
}

// NewResources returns empty Resources for the first reading.
func NewResources(h Host) *Resources {
	return &Resources{Host: h, mu: &sync.Mutex{}, held: map[string]*resource{}}
}

// Next returns Resources for a reading that may take over what r holds.
func (r *Resources) Next(h Host) *Resources {
	return &Resources{Host: h, mu: r.mu, held: map[string]*resource{}, prev: r.held}
}

// Hold returns the thing held under key, taken over from the reading before
// or made by open. When the value is an io.Closer it is closed after the last
// Release. A key names one type; to change what a thing is, change its key.
func Hold[T any](r *Resources, key string, open func() (T, error)) (T, error) {
	return HoldFresh(r, key, func(T) bool { return false }, open)
}

// HoldFresh is Hold, but a thing of the reading before that is stale is not
// taken over: open makes another one.
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

// Each calls f for every held value.
func (r *Resources) Each(f func(key string, value any)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, res := range r.held {
		f(k, res.value)
	}
}

// Release gives r's shares back and closes what nobody else holds.
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
