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

// Resolver asks name servers, and keeps what they answer. All methods may be called by any
// goroutine.
type Resolver struct {
	options
	key     string
	timeout time.Duration // for a question
	resend  time.Duration // for a try
	turn    atomic.Uint32 // which name server is asked first
	running chan struct{} // holds a value for each question that is being asked
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	kept    map[Question]*list.Element // of recent
	recent  list.List                  // of *known, the one that was used last in front
	flights map[Question]*flight
	waiting int // functions of all flights
}

// Bounds of a Resolver: the answers that it keeps, the questions that are on their way and
// those of them that are being asked, and the functions that wait for answers.
const (
	maxKept    = 4096
	maxFlights = 1024
	maxRunning = 256
	maxWaiting = 1 << 14
)

// resendTime is nginx's.
const resendTime = 5 * time.Second

// Question is what name servers are asked.
type Question struct {
	Name    string // of a host, or of a service: "_http._tcp.example.com"
	Service bool
}

// Answer is what they say. It does not change.
type Answer struct {
	Addrs    []netip.Addr // at least one, where the question is for a host
	Services []Service    // at least one, where it is for a service
	Expires  time.Time    // when to ask again
	Failure  *Failure     // why there is nothing else; nil: there is
}

// Service is one address of a service.
type Service struct {
	Addr     netip.AddrPort
	Priority uint16 // the lowest come first
	Weight   uint16
}

// known is an answer that is kept.
type known struct {
	question Question
	answer   *Answer
}

// flight is a question that is on its way.
type flight struct{ waiting []func(*Answer) }

func newResolver(o *options, key string, timeout time.Duration) *Resolver {
	r := &Resolver{options: *o, key: key, timeout: timeout, resend: resendTime, running: make(chan struct{}, maxRunning),
		kept: map[Question]*list.Element{}, flights: map[Question]*flight{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// String is what tells whether two Resolvers are alike.
func (r *Resolver) String() string { return r.key }

// Close ends the questions that are on their way; they fail.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.cancel() // no other question begins
	r.mu.Unlock()
	r.wg.Wait()
	return nil
}

// Ask returns the answer to q if it is known. Otherwise it returns nil, and calls done with
// the answer later, on a goroutine of its own. done must not block.
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

// LookUp is Ask for a goroutine, which waits for the answer, but no longer than ctx.
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

// isHost reports whether a name, without its last dot, may be that of a host.
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

// fly asks q, and gives the answer to all who wait for it.
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

// keep keeps a, in place of what was not used for longest where there is too much. r.mu is
// held.
func (r *Resolver) keep(q Question, a *Answer) {
	if len(r.kept) >= maxKept {
		r.forget(r.recent.Back())
	}
	r.kept[q] = r.recent.PushFront(&known{q, a})
}

// forget forgets an answer. r.mu is held.
func (r *Resolver) forget(e *list.Element) {
	delete(r.kept, e.Value.(*known).question)
	r.recent.Remove(e)
}
