package proxy

import (
	"sync"

	"alicorn/config"
)

// A feature that keeps state of its own beside a request, a location or a
// connection declares a slot for it, as config.Key is for its settings:
//
//	decided := new(proxy.ExchangeSlot[decision])
//	return proxy.Module{Name: "limit", State: []proxy.Slot{decided}, ...}
//	...
//	*decided.In(x) = passed
//
// Register gives each slot its place, a small number, once for a program. An
// access is an index and a type assertion, and allocates the first time in a
// pooled Exchange only. A slot that stands in no Module's State panics when used.

// Slot is an ExchangeSlot, a LocationSlot or a ConnSlot of any type.
type Slot interface{ register(p *places) }

// places are the numbers that are taken. 0 is that of a slot without a place.
type places struct{ exchange, location, conn int }

// Register adds the settings and directives of the modules to sc, and gives
// their slots places. It is called once for each list of modules, before any is used.
func Register(sc *config.Schema, modules []Module) {
	var p places
	for _, m := range modules {
		sc.Add(m.Settings, m.Directives)
		for _, s := range m.State {
			s.register(&p)
		}
	}
}

// ExchangeSlot is the place of a T in each Exchange. A request begins with the
// zero T, and the state ends with the log phase.
type ExchangeSlot[T any] struct{ place int }

func (s *ExchangeSlot[T]) register(p *places) { p.exchange++; s.place = p.exchange }

// In returns x's state, to read or to change.
func (s *ExchangeSlot[T]) In(x *Exchange) *T {
	if s.place < len(x.state) {
		if c, ok := x.state[s.place].(*cell[T]); ok {
			return &c.value
		}
	}
	return s.make(x)
}

// make fills the place. What another program of this process has left in a
// pooled Exchange is empty, and makes room.
func (s *ExchangeSlot[T]) make(x *Exchange) *T {
	c := new(cell[T])
	x.state = putAt(x.state, s.place, resetter(c))
	return &c.value
}

// cell keeps a value that outlives requests in a pooled Exchange.
type cell[T any] struct{ value T }

type resetter interface{ reset() }

func (c *cell[T]) reset() {
	var zero T
	c.value = zero
}

// LocationSlot is the place of a T in each Location. It is set while locations
// are compiled (Module.Compile) and read by requests.
type LocationSlot[T any] struct{ place int }

func (s *LocationSlot[T]) register(p *places) { p.location++; s.place = p.location }

// Set sets l's state.
func (s *LocationSlot[T]) Set(l *Location, v T) { l.state = putAt(l.state, s.place, any(v)) }

// Of returns l's state, the zero T where none was set.
func (s *LocationSlot[T]) Of(l *Location) (v T) { return valueAt[T](l.state, s.place) }

// ConnSlot is the place of a T in each Conn. Exchanges of one connection may
// run at the same time: a T is replaced, never changed. A pointer is stored
// without an allocation of its own.
type ConnSlot[T any] struct{ place int }

func (s *ConnSlot[T]) register(p *places) { p.conn++; s.place = p.conn }

// Load returns c's state, the zero T where none was stored.
func (s *ConnSlot[T]) Load(c *Conn) (v T) {
	st := c.state.Load()
	if st == nil {
		return v
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return valueAt[T](st.values, s.place)
}

// Store sets c's state.
func (s *ConnSlot[T]) Store(c *Conn, v T) {
	c.state.CompareAndSwap(nil, new(connState))
	st := c.state.Load()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.values = putAt(st.values, s.place, any(v))
}

// connState is the features' state of a connection; most have none.
type connState struct {
	mu     sync.Mutex
	values []any
}

// putAt sets place of list to v, and makes list longer as it needs.
func putAt[E any](list []E, place int, v E) []E {
	if place == 0 {
		panic("a slot is used that no Module's State lists")
	}
	for len(list) <= place {
		var none E
		list = append(list, none)
	}
	list[place] = v
	return list
}

func valueAt[T any](list []any, place int) (v T) {
	if place < len(list) {
		v, _ = list[place].(T)
	}
	return v
}
