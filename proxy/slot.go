package proxy

import (
	"sync"

	"alicorn/config"
)

// A feature that keeps state for each request, location or connection declares a slot, as
// it declares a config.Key for its settings:
//
//	decided := new(proxy.ExchangeSlot[decision])
//	return proxy.Module{Name: "limit", State: []proxy.Slot{decided}, ...}
//	...
//	*decided.In(x) = passed
//
// Register gives each slot its place, a small number, once for a program. An access is an
// index and a type assertion. It allocates only at the first access in a pooled Exchange.
// The use of a slot that no Module's State lists panics.

// Slot is an ExchangeSlot, a LocationSlot or a ConnSlot of any type.
type Slot interface{ register(p *places) }

// places are the highest numbers in use. 0 means that a slot has no place.
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

// ExchangeSlot is the place of a T in each Exchange. A request begins with the zero T. The
// T is valid until the log phase ends.
type ExchangeSlot[T any] struct{ place int }

func (s *ExchangeSlot[T]) register(p *places) { p.exchange++; s.place = p.exchange }

// In returns x's T, to read or to change.
func (s *ExchangeSlot[T]) In(x *Exchange) *T {
	if s.place < len(x.state) {
		if c, ok := x.state[s.place].(*cell[T]); ok {
			return &c.value
		}
	}
	return s.make(x)
}

// make puts an empty cell in the place. If the pooled Exchange has a cell of another type
// there, from another list of modules in this process, make replaces that.
func (s *ExchangeSlot[T]) make(x *Exchange) *T {
	c := new(cell[T])
	x.state = putAt(x.state, s.place, resetter(c))
	return &c.value
}

// cell holds a T. The memory of the cell stays with a pooled Exchange; reset empties it.
type cell[T any] struct{ value T }

type resetter interface{ reset() }

func (c *cell[T]) reset() {
	var zero T
	c.value = zero
}

// LocationSlot is the place of a T in each Location. Module.Compile sets it, and requests
// read it.
type LocationSlot[T any] struct{ place int }

func (s *LocationSlot[T]) register(p *places) { p.location++; s.place = p.location }

// Set sets l's T.
func (s *LocationSlot[T]) Set(l *Location, v T) { l.state = putAt(l.state, s.place, any(v)) }

// Of returns l's T, the zero T if none was set.
func (s *LocationSlot[T]) Of(l *Location) (v T) { return valueAt[T](l.state, s.place) }

// ConnSlot is the place of a T in each Conn. Exchanges of one connection may run at the
// same time, so that a T is replaced, never changed. Storing a pointer does not allocate
// memory for it.
type ConnSlot[T any] struct{ place int }

func (s *ConnSlot[T]) register(p *places) { p.conn++; s.place = p.conn }

// Load returns c's T, the zero T if none was stored.
func (s *ConnSlot[T]) Load(c *Conn) (v T) {
	st := c.state.Load()
	if st == nil {
		return v
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return valueAt[T](st.values, s.place)
}

// Store sets c's T.
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

// putAt sets list[place] to v, and makes list longer if need be.
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
