// Package appserver runs applications: pools of supervised Python workers
// that answer requests handed to them as frames, through shared memory while
// both sides are awake and over unix sockets otherwise. The model:
//
//	App        what `app NAME { }` says, complete: command, credentials, limits
//	Launcher   starts a worker process: directly, or through the keeper
//	Pool       an app's workers in one generation; one goroutine reconciles them
//	worker     one process: its channel, its table of outstanding requests
//	lane       the memory shared with a worker, beside its channel
//	arena      the memory shared with all workers of a pool, for request bodies
//	request    one Exchange's request on its way through queue, worker and back
//	waiter     the Exchange's side of it: suspended, or a goroutine that waits
//
// A worker is a Source of its eventloop.Loop: what it sends is received in the
// Loop's turns, by one at a time, and the suspended Exchange goes on inline.
//
// Invariants. The front owns a request until a worker has marked it started:
// whatever happens to the worker before that, another one gets it. No worker
// is idle while a request waits: what is queued ahead at a worker can be taken
// back. Nothing that a worker sends is trusted: a frame that breaks the
// protocol (PROTOCOL.md) costs the worker, never the front. Neither a slow
// upload nor a slow reader holds a worker: bodies are spooled before, and
// responses after it.
package appserver
