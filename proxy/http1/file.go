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
	if c.framing == byLength && n > c.left {
		return errTooLong
	}
	if c.framing == chunked || !c.wire.takesFiles() || n <= copyLimit {
		return c.copyFile(f, off, n)
	}
	if c.framing == byLength {
		c.left -= n
	}
	return c.kernelSend(f, off, n)
}

// copyLimit is the size up to which a file is copied and written with the head in one
// system call. The kernel sends larger ones (sendfile). Microseconds for a response on one
// loopback connection, client included (BenchmarkFile, 2 cores):
//
//	          4 KB  16 KB  64 KB  256 KB  1 MB  16 MB
//	copied    16.9   18.7   31.9    79.0   402   6250
//	sendfile  18.5   19.8   26.7    54.2   443   6820
//
// From 1 MB on the client's own copying decides. There, too, sendfile leaves more processor
// time to others.
const copyLimit = 32 << 10

var fileBuffers = sync.Pool{New: func() any { b := make([]byte, copyLimit); return &b }}

// copyFile reads n bytes of f from off and writes them.
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

// sendChunk is how many bytes of a file are sent before others have their turn. Two
// hundred clients that ask for a large file at once delay another request by at most one
// chunk for each processor, and by what their requests cost: a file of eight chunks and more
// gives others their turn before its first one. The slowest of a hundred such requests took
// 13 ms when it did not; with chunks of 256 KB 18 ms. send_timeout begins anew
// with each chunk. A rest of less than a chunk is sent with the chunk before it: giving the
// lead away costs as much as sending half of a file of 100 KB.
const sendChunk = 64 << 10

// loneChunk is sendChunk for a connection beside which no other is ready. With sendChunk a
// file of 100 KB for a lone client cost half as much again.
const loneChunk = 4 * sendChunk

// beginFile lets others have their turn before a large file of n bytes, if there are others.
func (c *conn) beginFile(n int64) {
	if n < 8*sendChunk {
		return
	}
	if t := c.wire.Turn(); t == nil || !t.Alone() {
		c.wire.yield()
	}
}

// share counts n bytes of a file that were sent; left are still to be sent. After a chunk it
// lets others have their turn, unless left is less than a chunk.
func (c *conn) share(n int, left int64) {
	if c.turn += n; c.turn < sendChunk || left < sendChunk {
		return
	}
	if t := c.wire.Turn(); t != nil && c.turn < loneChunk && t.Alone() {
		return
	}
	c.turn = 0
	c.wire.yield()
}

// rest ends the turn of a file.
func (c *conn) rest() {
	c.turn = 0
	c.wire.Rest()
}
