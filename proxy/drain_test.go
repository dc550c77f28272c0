package proxy

import "testing"

// One old request must not cost each request of the new generation a look at all connections.
func TestADrainIsWokenByRequestsOfItsGenerationOnly(t *testing.T) {
	e := NewEngine(nil, nil)
	old, now := &Generation{}, &Generation{}
	e.Swap(old)
	lent := func() *Exchange {
		c := &Conn{}
		e.conns[c] = &kept{}
		return &Exchange{lease: c.leases.lend()}
	}
	first, second, other := lent(), lent(), lent()
	e.enter(first)
	e.enter(second)
	e.Swap(now)
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context(), old) }()
	w := e.await(old) // as Drain's own, which Drain empties
	for range 100 {
		e.enter(other)
		e.exit(other)
	}
	if len(w.wake) != 0 {
		t.Error("requests of the current generation wake who waits for the old one's")
	}
	for _, x := range []*Exchange{first, second} {
		select {
		case err := <-drained:
			t.Fatalf("the drain has ended with %v before a request of its generation", err)
		default:
		}
		e.exit(x)
		if len(w.wake) != 1 {
			t.Fatal("the end of a request does not wake who waits for its generation")
		}
		<-w.wake
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A request may have taken the old generation an instant before the new one came, and leave it
// for the new one after the drain has looked.
func TestADrainIsWokenByARequestThatMovesOn(t *testing.T) {
	e := NewEngine(nil, nil)
	old, now := &Generation{}, &Generation{}
	e.Swap(old)
	x := &Exchange{lease: (&Conn{}).leases.lend()}
	x.lease.generation.Store(old)
	e.Swap(now)
	w := e.await(old)
	if e.enter(x) != now || len(w.wake) != 1 {
		t.Errorf("%d wakes, want 1", len(w.wake))
	}
}
