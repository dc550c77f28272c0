// Package pool runs the workers of one version of an application: it gives them requests, and
// starts and ends them. The model:
//
//	Pool       workers and a queue; one goroutine supervises, the lock guards what requests need
//	Job        one request in the pool; its Owner has the rest of the request
//	worker     one process, its wire.Channel and wire.Lane; its fields are grouped by owner:
//	           standing, table, gait, passing (the lock), reader, watch (the supervisor), printing
//	slot       one thread of a worker, or one place of an ASGI worker, and its credit
//	Socket     the owner's end of the WebSocket that a Job requests
//	Order      the parameters with which a worker is started: number, descriptors, sizes
//	Observer   gets the reports of workers about their application
//
// The package has frames, but no directives and no environ: the owner encodes the frame,
// Options.ParseHead decodes the head of an answer, Options.Launch starts the program.
//
// Invariants. Until a worker has marked a request as started, another worker gets it if that
// worker fails, but not for ever (mostLosses). Requests start in the order of arrival: a request
// that comes back from a worker takes its old place in the queue, and younger ones that workers
// have not received come back, too. (Across workers this holds within the 20 ms after which a
// worker counts as slow.) No worker idles while a request waits. The pool trusts nothing that a
// worker sends: a worker that breaks the protocol (../PROTOCOL.md) is ended, and the front goes on.
// A slow client holds neither a worker nor a pool that another one has succeeded.
package pool

// Files, in the order of the story:
//
//   - pool.go status.go: a pool
//   - job.go: a request in the pool
//   - queue.go table.go dispatch.go recall.go pace.go: which worker gets it
//   - poll.go receive.go heads.go slot.go: frames of workers
//   - streams.go socket.go: other frames of ASGI workers; WebSockets
//   - tick.go: timeouts, and clients that leave
//   - supervise.go reconcile.go: events, and the steps after them
//   - boots.go imports.go deaths.go failure.go: starts of workers, and their failures
//   - life.go leave.go: the states of a worker, and the steps to its end
//   - order.go process.go worker.go report.go output.go lines.go allowance.go: a worker's process and its output
