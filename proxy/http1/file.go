package http1

import (
	"sync"

	"alicorn/proxy"
)

// SendFile sends part of a file; see proxy.ResponseWire.
func (c *conn) SendFile(f proxy.File, off, n int64) error {
	if c.err != nil {
		return c.err
	}
	if c.left >= 0 && n > c.left {
		return errTooLong
	}
	if c.chunked || !c.wire.takesFiles() || n <= copyLimit {
		return c.copyFile(f, off, n)
	}
	c.left -= max(min(n, c.left), 0)
	return c.kernelSend(f, off, n)
}

// copyLimit is the size up to which a file is read and written with the head
// in one call instead of sent by the kernel. Microseconds a response on one
// loopback connection, client included (BenchmarkFile, 2 cores):
//
//	          4 KB  16 KB  64 KB  256 KB  1 MB  16 MB
//	copied    16.9   18.7   31.9    79.0   402   6250
//	sendfile  18.5   19.8   26.7    54.2   443   6820
//
// From 1 MB on the client's own copying decides, and sendfile is taken for the
// processor time that it leaves to others.
const copyLimit = 32 << 10

var fileBuffers = sync.Pool{New: func() any { b := make([]byte, copyLimit); return &b }}

func (c *conn) copyFile(f proxy.File, off, n int64) error {
	buf := fileBuffers.Get().(*[]byte)
	defer fileBuffers.Put(buf)
	defer c.rest()
	for n > 0 {
		p := (*buf)[:min(int64(len(*buf)), n)]
		if err := proxy.ReadFile(f, p, off); err != nil {
			return err
		}
		if _, err := c.Write(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
		c.share(len(p), n)
	}
	return nil
}

// sendChunk is how much of a file is sent before others have their turn: two
// hundred clients that ask for a large file at once delay nobody by more than a
// chunk for each processor, and a chunk for each that has just come. Beside such
// a crowd one request in a hundred took 13 ms, and 18 where a chunk was 256 KB.
// send_timeout is renewed after each.
const sendChunk = 64 << 10

// loneChunk is the same where nobody else is ready: handing over for each chunk
// made a file of 100 KB for a lone client cost half as much again.
const loneChunk = 4 * sendChunk

// share notes that n bytes of a file were sent, and lets others have their turn
// when that makes a chunk and more is left.
func (c *conn) share(n int, left int64) {
	if c.turn += n; c.turn < sendChunk || left == 0 {
		return
	}
	if t := c.wire.Turn(); t != nil && c.turn < loneChunk && t.Alone() {
		return
	}
	c.turn = 0
	c.wire.yield()
}

// rest ends the turn of a file that was sent, or not.
func (c *conn) rest() {
	c.turn = 0
	c.wire.Rest()
}
