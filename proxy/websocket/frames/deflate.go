package frames

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// Bounds of deflation.
const (
	// maxWindow bounds the dictionary. Each connection keeps one, and each message indexes
	// it anew: 2 KB take about 5 µs.
	maxWindow = 2 << 10
	// maxBlock bounds the bytes of a block. With its dictionary a block must not exceed
	// what flate takes at once.
	maxBlock = 16 << 10
)

// packed is an io.Writer to memory, for compressed bytes.
type packed struct{ b []byte }

// Write appends p.
func (k *packed) Write(p []byte) (int, error) {
	k.b = append(k.b, p...)
	return len(p), nil
}

// maxPooled bounds the buffers that are used again, in bytes.
const maxPooled = 64 << 10

var packings = sync.Pool{New: func() any { return new(packed) }}

// markerLen is the length of the marker 00 00 FF FF at the end of each block. The last one
// of a message is removed (RFC 7692 section 7.2.1).
const markerLen = 4

// appendDeflated appends part as a compressed frame.
func (w *Writer) appendDeflated(b []byte, head byte, part []byte, last bool) []byte {
	k := packings.Get().(*packed)
	k.b = k.b[:0]
	size := 1 << w.deflate.ServerBits
	window := min(size/2, maxWindow)
	for len(part) > 0 {
		block := part[:min(len(part), size-window, maxBlock)]
		part = part[len(block):]
		flate.StatelessDeflate(k, block, false, w.window) // it fails only if k does
		if w.deflate.ServerTakesOver || !last || len(part) > 0 {
			w.window = slide(w.window, block, window)
		}
	}
	out := k.b
	switch {
	case last && len(out) == 0:
		out = append(out, 0) // an empty block without its marker
	case last:
		out = out[:len(out)-markerLen]
	}
	if last && !w.deflate.ServerTakesOver {
		w.window = nil
	}
	b = append(appendHead(b, head, len(out)), out...)
	if cap(k.b) <= maxPooled {
		packings.Put(k)
	}
	return b
}
