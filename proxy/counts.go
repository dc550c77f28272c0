package proxy

// Counts are the numbers of connections and requests, as nginx's stub_status has them.
type Counts struct {
	Accepted uint64 // connections since the process began; all of them are handled
	Requests uint64 // since the process began, without subrequests
	Active   int    // open connections: Reading + Writing + Waiting
	Reading  int    // connections that have sent a part of a request's head
	Writing  int    // connections with a request in progress
	Waiting  int    // connections that wait for a request, or have not done their handshake
}

// Counts returns the present numbers. It looks at each open connection.
func (e *Engine) Counts() Counts {
	c := Counts{Accepted: e.nextID.Load()}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.Requests, c.Active = e.ended, len(e.conns)
	for conn, live := range e.conns {
		c.Requests += conn.leases.requests()
		if conn.leases.busy() {
			c.Writing++
		} else if _, idle := live.Waits(); idle {
			c.Waiting++
		} else {
			c.Reading++
		}
	}
	return c
}

// Counts returns the Engine's counts; zero if x serves only to evaluate variables.
func (x *Exchange) Counts() Counts {
	if x.Generation == nil || x.Generation.engine == nil {
		return Counts{}
	}
	return x.Generation.engine.Counts()
}
