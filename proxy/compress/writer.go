package compress

import (
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"alicorn/proxy"
)

// pools are the unused writers of each level. A writer takes several hundred kilobytes.
type pools [gzip.BestCompression + 1]sync.Pool

func newPools() *pools { return new(pools) }

// take returns a writer for one response. Its Close puts it back into the pool.
func (p *pools) take(level int) *writer {
	w, _ := p[level].Get().(*writer)
	if w == nil {
		w = &writer{pool: &p[level]}
		w.gzip, _ = gzip.NewWriterLevel(w.out(), level) // the configuration has checked level
	} else {
		w.gzip.Reset(w.out())
	}
	w.gzip.ModTime = time.Unix(0, 0) // means no time (RFC 1952 section 2.3.1); the zero Time does not
	return w
}

// writer is the proxy.BodyFilter that compresses.
type writer struct {
	gzip *gzip.Writer
	next proxy.BodyWriter // of the method that runs
	pool *sync.Pool
}

func (w *writer) out() *output { return (*output)(w) }

// output is the io.Writer of a writer's gzip.Writer. It writes to next.
type output writer

func (o *output) Write(p []byte) (int, error) { return o.next.Write(p) }

// Write compresses p.
func (w *writer) Write(next proxy.BodyWriter, p []byte) error {
	w.next = next
	_, err := w.gzip.Write(p)
	return err
}

// Flush sends all that was written, so that the client can decode it.
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

// Close puts w back into its pool.
func (w *writer) Close() {
	w.next = nil
	w.pool.Put(w)
}
