package eventloop

import (
	"sync"
	"sync/atomic"
)

// table finds Descriptors by number; the leader needs no lock. A descriptor's tag tells
// it from earlier ones with the same number.
type table struct {
	mu     sync.Mutex
	tags   int32
	chunks atomic.Pointer[[]*chunk]
}

const chunkSize = 1024

type chunk [chunkSize]atomic.Pointer[Descriptor]

// put adds d and gives it a tag.
func (t *table) put(d *Descriptor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var chunks []*chunk
	if p := t.chunks.Load(); p != nil {
		chunks = *p
	}
	if need := d.fd/chunkSize + 1; need > len(chunks) {
		grown := make([]*chunk, need)
		for i := copy(grown, chunks); i < need; i++ {
			grown[i] = new(chunk)
		}
		chunks = grown
		t.chunks.Store(&grown)
	}
	t.tags++
	d.tag = t.tags
	chunks[d.fd/chunkSize][d.fd%chunkSize].Store(d)
}

func (t *table) find(fd int, tag int32) *Descriptor {
	p := t.chunks.Load()
	if p == nil || fd < 0 || fd/chunkSize >= len(*p) {
		return nil
	}
	d := (*p)[fd/chunkSize][fd%chunkSize].Load()
	if d == nil || d.tag != tag {
		return nil
	}
	return d
}

func (t *table) drop(d *Descriptor) {
	if p := t.chunks.Load(); p != nil && d.fd/chunkSize < len(*p) {
		(*p)[d.fd/chunkSize][d.fd%chunkSize].CompareAndSwap(d, nil)
	}
}
