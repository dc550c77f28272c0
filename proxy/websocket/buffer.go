package websocket

import "sync"

// Sizes of buffers.
const (
	inBuffer  = 16 << 10
	outBuffer = 4 << 10
	maxPooled = 128 << 10 // a larger buffer is not used again
)

var (
	inBuffers  = sync.Pool{New: func() any { b := make([]byte, inBuffer); return &b }}
	outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, outBuffer); return &b }}
)

// gather returns the buffer of the frames that wait to be sent. The caller holds mu.
func (c *outgoing) gather() *[]byte {
	if c.out == nil {
		c.out = outBuffers.Get().(*[]byte)
	}
	return c.out
}

// releaseOut gives b back, which may be nil.
func releaseOut(b *[]byte) {
	if b != nil && cap(*b) <= maxPooled {
		*b = (*b)[:0]
		outBuffers.Put(b)
	}
}
