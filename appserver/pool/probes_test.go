package pool

// The tests of package pool_test use these functions.

// Sequence returns the part of an id that counts the requests of a worker.
func Sequence(id uint32) uint32 { return id >> fewestBits }

// Outstanding returns how many requests the first worker has; -1 if no worker is ready.
func (p *Pool) Outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return -1
	}
	return p.ready[0].outstanding
}

// SendAhead makes n requests wait at the first worker. The tick takes none back, however long
// the worker's request runs.
func (p *Pool) SendAhead(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking, p.ready[0].depth = true, n
}

// IsLong reports whether the first worker's request runs for long.
func (p *Pool) IsLong() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready[0].queues == queuesNone
}

// Arrived returns how many requests have arrived.
func (p *Pool) Arrived() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.arrivals)
}

// Wanted returns how many requests wait in the queue whose clients have not left.
func (p *Pool) Wanted() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := p.queue.first; j != nil; j = j.next {
		if !j.clientGone() {
			n++
		}
	}
	return n
}

// Arrival returns the number of a request that a worker has, in the order of arrival.
func (p *Pool) Arrival(id uint32) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ready {
		if j := w.find(id); j != nil {
			return j.arrival
		}
	}
	return 0
}

// TakeInOrder calls take, which takes a request from the lane of the worker whose process is f,
// while it holds the pool's lock. It returns the arrival of that request, and the arrival of an
// older one that waits; 0 if none does.
func (p *Pool) TakeInOrder(f Process, take func() (id uint32, ok bool)) (id uint32, ok bool, taken, older uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok = take(); !ok {
		return id, ok, 0, 0
	}
	first := p.queue.first
	for _, w := range p.ready {
		if j := w.find(id); j != nil && w.lane != nil && w.process == f && first != nil && first.arrival < j.arrival {
			return id, ok, j.arrival, first.arrival
		}
	}
	return id, ok, 0, 0
}
