// Package wire is what goes between the front and a worker (../PROTOCOL.md): frames
// and how they are encoded, and the ways that they go. It knows bytes and
// descriptors, and no request, pool or application. Nothing that a worker sends or
// writes is believed: lengths and counts are read once and checked, what is read
// is copied before it is looked at, and no call waits for a worker, unless it
// says so.
//
//   - frame.go: frames, and the header of each
//   - environ.go: the environ in a request's frame
//   - marshal.go: values in frames, as Python's marshal has them
//   - channel.go: the socket pair, for frames with descriptors, and for sleepers
//   - streams.go: the socket pair of an ASGI worker, for batches of frames of many requests
//   - lane.go: small frames in shared memory, while both sides are awake
//   - arena.go: request bodies in memory that a pool's workers share
//   - page.go: the status page, on which each side leaves words for the other
//   - bell.go: what wakes a thread that waits for a word of the page
//   - bodystream.go: the socket by which a body comes while the application reads it
//   - memory_linux.go, memory_darwin.go: the files behind all shared memory
package wire
