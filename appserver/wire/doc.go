// Package wire carries frames between the front and a worker (../PROTOCOL.md): it encodes
// them, and has the sockets and the shared memory through which they go. It has bytes and
// descriptors, and no request, pool or application.
//
// The front trusts nothing that a worker sends or writes: it reads lengths and counts once
// and checks them, and it copies data before it looks at them. No call waits for a worker,
// unless its comment says so.
//
//   - frame.go: frames and their headers
//   - environ.go: the environ in the frame of a request
//   - marshal.go: values in frames, in the format of Python's marshal
//   - channel.go: the channel, a socket pair for frames, also for those with descriptors
//   - streams.go: the stream channel, a socket pair of an ASGI worker for batches of frames
//   - lane.go: the lane, shared memory for requests and whole responses while both sides are awake
//   - arena.go: shared memory of a pool's workers for request bodies
//   - page.go: the status page, shared memory with words for the other side
//   - bell.go: the socket that wakes a thread which waits for a word of the page
//   - bodystream.go: the socket for a body that comes while the application reads it
//   - memory_linux.go, memory_darwin.go: the files of shared memory
package wire
