// Package appserver runs applications: pools of supervised Python workers
// that answer requests handed to them as frames, through shared memory while
// both sides are awake and over unix sockets otherwise. The model:
//
//	App        an `app NAME { }` block, complete: command, credentials, limits
//	Order      what the front decides about a worker: its number, descriptors, sizes
//	Launcher   the keeper, for the front: it starts workers as its own Apps describe them
//	Rollout    brings up the apps of one generation: each keeps its pool or gets a new one
//	attempt    a new pool that takes over from the one that serves once it is ready
//	Pool       the workers of one version of an app; one goroutine reconciles them
//	worker     one process: its table of outstanding requests, and its wire.Channel, wire.Lane
//	request    one Exchange's request on its way through queue, worker and back
//	waiter     the Exchange's side of it: suspended, or awaiting blocks of the response
//
// Invariants. The front owns a request until a worker has marked it started:
// whatever happens to the worker before that, another one gets it. Requests
// start in the order of their arrival: what comes back from a worker takes its
// old place in the queue, and nothing younger than what waits there stays ahead
// at a worker, where it could be taken back. Between workers that holds within
// the 20 ms after which a worker counts as slow. No worker is idle while a
// request waits. Nothing that a worker sends is trusted: a frame that breaks the
// protocol (PROTOCOL.md) costs the worker, never the front. No slow
// reader holds a worker, nor a pool that another one has succeeded; nor does a slow
// upload, unless app_request_buffering is off. One app that does not come up harms
// no other.
package appserver

// Files, in the order of the story:
//
//   - app.go settings.go module.go: what an app is, its directives, and the module
//   - command.go interpreter.go dotenv.go inherit.go destination.go cpus.go: command, environment and output of workers
//   - credentials.go runas.go front.go: the users that they run as
//   - folders.go forwarding.go: what the front does in the application's place, and what it tells it
//   - service.go rollout.go attempt.go failure.go imports.go: one app through the generations
//   - survey.go journal.go tree.go stat_linux.go: whether its files have changed
//   - pool.go supervise.go tick.go pace.go deaths.go status.go: a pool and its one goroutine
//   - order.go launch.go bundle.go death_linux.go worker.go output.go lines.go: a worker's life
//   - submission.go feed.go request.go waiter.go environ.go head.go respond.go tempspace.go: a request on its way there and back
//   - queue.go dispatch.go recall.go: who gets it
//   - poll.go receive.go slot.go: what workers send
