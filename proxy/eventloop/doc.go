// Package eventloop waits for many descriptors with few goroutines, and runs
// what they are ready for at once.
//
// A Loop has one leader: a goroutine that waits in the system's poller and
// calls the Handler of each descriptor that is ready, inline. A handler that is
// about to wait calls Detach first: another goroutine then leads with the rest
// of what was ready, and the handler goes on as an ordinary goroutine, in
// straight code. One that runs long without saying so loses the lead to the
// Group's watch after some milliseconds. Only a request that waits changes goroutines.
//
// The two sides of a Descriptor, reading and writing, wait apart: each has its
// Handler, its deadline and at most one owner, the goroutine that its Handler runs
// on, from readiness until Idle or AwaitRoom gives it back. Readiness that arrives
// meanwhile is remembered (the poller is edge-triggered); a Watcher is told at once
// that the peer has left. A Duplex is a Conn, or TLS above one, worked on in this way.
//
// Deadlines are coarse and lazy: moving one later costs a store. A timer fires
// at the earliest time ever set, looks at the time that holds, and is set anew.
//
// Sources are looked at in each turn of their Loop, for work that comes without
// a descriptor's readiness, as through shared memory. Before a Loop waits it
// tells them that it sleeps, and looks once more.
//
// Where the system has no poller of the kind needed, New returns
// errors.ErrUnsupported, and connections are served by a goroutine each.
package eventloop

// Files, in the order of the story:
//
//   - group.go loop.go turn.go labor.go: who leads
//   - poller_linux.go table.go timers.go: what is ready
//   - descriptor.go side.go listener.go dial.go: what is waited for
//   - conn.go carrier.go duplex.go relay.go: bytes
