// Package eventloop waits for many descriptors with few goroutines, and calls the
// Handler of each one that is ready.
//
// A Loop has one leader: a goroutine that waits in the system's poller and calls the
// Handlers of the descriptors that are ready, inline. A handler that is about to wait
// calls Detach first: another goroutine then leads, and the handler goes on as an
// ordinary goroutine, in straight code. If a handler runs for some milliseconds without
// Detach, the Group's watch gives the lead to another goroutine.
//
// The two sides of a Descriptor, reading and writing, are independent: each has its
// Handler, its deadline and at most one owner, the goroutine that the Handler runs on,
// from readiness until Idle or AwaitRoom gives the side back to the Loop. Readiness that
// arrives meanwhile is remembered (the poller is edge-triggered). A Watcher is called at
// once when the peer has left. A Duplex is a Conn, or TLS above one, used in this way.
//
// Deadlines are coarse and lazy: moving one to a later time costs a store. A timer fires
// at the earliest deadline ever set, looks up the present one, and is set again.
//
// In each turn a Loop also polls its Sources, which have work that no descriptor
// announces, such as frames in shared memory. Before a Loop waits it tells its Sources; if
// one has work, the Loop does not wait. If a Source expects work, the Loop may first look
// for it (see hesitation). Work that handlers have put off with Later is the last of a turn.
//
// If the system has no suitable poller, New returns errors.ErrUnsupported, and a
// goroutine serves each connection.
package eventloop

// Files, in the order of the story:
//
//   - group.go loop.go turn.go hesitation.go later.go labor.go: loops, their leaders and turns
//   - poller_linux.go table.go timers.go: readiness and deadlines
//   - descriptor.go side.go listener.go dial.go: descriptors
//   - conn.go carrier.go duplex.go relay.go: connections that carry bytes
