// Package pool is the workers of one version of an application: who gets which request, and
// how workers live and end. The model:
//
//	Pool       workers and a queue; one goroutine supervises, the lock guards what requests need
//	Job        one request's way through queue, worker and back; its Owner has the rest of it
//	worker     one process, its wire.Channel and wire.Lane; fields in groups by their owners:
//	           standing, table, gait, passing (the lock), reader, watch (the supervisor), printing
//	slot       one thread of a worker, or one place of an ASGI worker, and its credit
//	Socket     the owner's end of a WebSocket that a Job asks for
//	Order      what the pool decides about a worker that is to be started: number, descriptors, sizes
//	Observer   gets what workers tell of their application
//
// It knows frames, and neither directives nor what a request looks like to an application: the
// owner encodes the frame, Options.ParseHead decodes an answer's head, Options.Launch starts the
// program.
//
// Invariants. The front owns a request until a worker has marked it started:
// whatever happens to the worker before that, another one gets it. Requests
// start in the order of their arrival: what comes back from a worker takes its
// old place in the queue, and nothing younger than what waits there stays ahead
// at a worker, where it could be taken back. Between workers that holds within
// the 20 ms after which a worker counts as slow. No worker is idle while a
// request waits. Nothing that a worker sends is trusted: a frame that breaks the
// protocol (../PROTOCOL.md) costs the worker, never the front. No slow
// reader holds a worker, nor a pool that another one has succeeded.
package pool

// Files, in the order of the story:
//
//   - pool.go status.go: a pool from outside
//   - job.go: a request on its way
//   - queue.go table.go dispatch.go recall.go pace.go: who gets it
//   - poll.go receive.go heads.go slot.go: what workers send
//   - streams.go socket.go: what ASGI workers send besides; WebSockets
//   - tick.go: what becomes late, and whose client leaves
//   - supervise.go reconcile.go: events, and what follows from them
//   - boots.go imports.go deaths.go failure.go: how workers start, and why they fail to
//   - life.go leave.go: a worker's states, and the steps to its end
//   - order.go process.go worker.go report.go output.go lines.go allowance.go: a worker's process, and what it prints
