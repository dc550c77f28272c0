package resolver

import (
	"container/list"
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Resolver asks name servers, and keeps their answers. Any goroutine may call its methods.
type Resolver struct {
	options
	key     string
	timeout time.Duration // of a flight
	resend  time.Duration // of a try: one question to one name server
	turn    atomic.Uint32 // the name server that is asked first
	running chan struct{} // holds a value for each flight that asks name servers
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	kept    map[Question]*list.Element // elements of recent
	recent  list.List                  // of *known; the one that was used last is the first
	flights map[Question]*flight
	waiting int // the number of functions that wait, of all flights
}

// Bounds of a Resolver.
const (
	maxKept    = 4096    // answers
	maxFlights = 1024    // flights
	maxRunning = 256     // flights that ask name servers; the others wait
	maxWaiting = 1 << 14 // functions that wait for answers
)

// resendTime is how long a name server may take before the next one is asked, as in nginx.
const resendTime = 5 * time.Second

// Question is what name servers are asked.
type Question struct {
	Name    string // of a host, or of a service, such as "_http._tcp.example.com"
	Service bool
}

// Answer is the answer to a Question. It does not change.
type Answer struct {
	Addrs    []netip.Addr // of a host: at least one
	Services []Service    // of a service: at least one
	Expires  time.Time    // when to ask again
	Failure  *Failure     // why there are no addresses; nil: there are
}

// Service is one address of a service.
type Service struct {
	Addr     netip.AddrPort
	Priority uint16 // those with the lowest are used first
	Weight   uint16
}

// known is an answer in the cache.
type known struct {
	question Question
	answer   *Answer
}

// flight is a Question that is being asked.
type flight struct{ waiting []func(*Answer) }

func newResolver(o *options, key string, timeout time.Duration) *Resolver {
	r := &Resolver{options: *o, key: key, timeout: timeout, resend: resendTime, running: make(chan struct{}, maxRunning),
		kept: map[Question]*list.Element{}, flights: map[Question]*flight{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// String returns the settings. Two Resolvers with the same do the same.
func (r *Resolver) String() string { return r.key }

// Close makes all flights fail, and waits until they have ended.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.cancel() // no other flight begins
	r.mu.Unlock()
	r.wg.Wait()
	return nil
}

// Ask returns the answer to q if the cache has it, or if q cannot be asked. Otherwise it
// returns nil, and later calls done with the answer, on another goroutine. done must not
// block.
func (r *Resolver) Ask(q Question, done func(*Answer)) *Answer {
	q.Name = strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if !isHost(q.Name) {
		return &Answer{Failure: &Failure{q.Name, dns.RcodeNameError}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.kept[q]; e != nil {
		if a := e.Value.(*known).answer; time.Now().Before(a.Expires) {
			r.recent.MoveToFront(e)
			return a
		}
		r.forget(e)
	}
	f := r.flights[q]
	if r.ctx.Err() != nil {
		return &Answer{Failure: &Failure{q.Name, codeTimedOut}}
	}
	if r.waiting >= maxWaiting || f == nil && len(r.flights) >= maxFlights {
		return &Answer{Failure: &Failure{q.Name, codeTooMany}}
	}
	r.waiting++
	if f != nil {
		f.waiting = append(f.waiting, done)
		return nil
	}
	r.flights[q] = &flight{waiting: []func(*Answer){done}}
	r.wg.Go(func() { r.fly(q) })
	return nil
}

// LookUp returns the answer to q. It waits for the answer until ctx is done.
func (r *Resolver) LookUp(ctx context.Context, q Question) *Answer {
	came := make(chan *Answer, 1)
	if a := r.Ask(q, func(a *Answer) { came <- a }); a != nil {
		return a
	}
	select {
	case a := <-came:
		return a
	case <-ctx.Done():
		return &Answer{Failure: &Failure{q.Name, codeTimedOut}}
	}
}

// isHost reports whether name, which has no dot at its end, may be the name of a host.
func isHost(name string) bool {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`\"'()/:;@[]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// fly asks q, and calls the functions that wait with the answer.
func (r *Resolver) fly(q Question) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	a := &Answer{Failure: &Failure{q.Name, codeTimedOut}}
	select {
	case r.running <- struct{}{}:
		a = r.answer(ctx, q)
		<-r.running
	case <-ctx.Done():
	}
	r.mu.Lock()
	f := r.flights[q]
	delete(r.flights, q)
	r.waiting -= len(f.waiting)
	if a.Failure == nil {
		r.keep(q, a)
	}
	r.mu.Unlock()
	for _, done := range f.waiting {
		done(a)
	}
}

// keep adds a to the cache. If the cache is full, the answer goes that was not used for the
// longest time. r.mu is held.
func (r *Resolver) keep(q Question, a *Answer) {
	if len(r.kept) >= maxKept {
		r.forget(r.recent.Back())
	}
	r.kept[q] = r.recent.PushFront(&known{q, a})
}

// forget removes an answer from the cache. r.mu is held.
func (r *Resolver) forget(e *list.Element) {
	delete(r.kept, e.Value.(*known).question)
	r.recent.Remove(e)
}
