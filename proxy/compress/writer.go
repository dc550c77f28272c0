package compress

import (
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"alicorn/proxy"
)

// pools keep the writers of each level: a writer has some hundred kilobytes.
type pools [gzip.BestCompression + 1]sync.Pool

func newPools() *pools { return new(pools) }

// take returns a writer for one response; its Close gives it back.
func (p *pools) take(level int) *writer {
	w, _ := p[level].Get().(*writer)
	if w == nil {
		w = &writer{pool: &p[level]}
		w.gzip, _ = gzip.NewWriterLevel(w.out(), level) // level was checked when it was read
	} else {
		w.gzip.Reset(w.out())
	}
	w.gzip.ModTime = time.Unix(0, 0) // none (RFC 1952 section 2.3.1); the zero Time is not
	return w
}

// writer is the proxy.BodyFilter.
type writer struct {
	gzip *gzip.Writer
	next proxy.BodyWriter // during a call of the filter
	pool *sync.Pool
}

func (w *writer) out() *output { return (*output)(w) }

// output is a writer seen from gzip's side: what comes out goes to next.
type output writer

func (o *output) Write(p []byte) (int, error) { return o.next.Write(p) }

// Write compresses p.
func (w *writer) Write(next proxy.BodyWriter, p []byte) error {
	w.next = next
	_, err := w.gzip.Write(p)
	return err
}

// Flush sends everything written so far, so that the client can decode it.
func (w *writer) Flush(next proxy.BodyWriter) error {
	w.next = next
	if err := w.gzip.Flush(); err != nil {
		return err
	}
	return next.Flush()
}

// Finish writes the rest and the trailer.
func (w *writer) Finish(next proxy.BodyWriter) error {
	w.next = next
	return w.gzip.Close()
}

// Close gives w back to its pool.
func (w *writer) Close() {
	w.next = nil
	w.pool.Put(w)
}
