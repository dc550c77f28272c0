package compress

import (
	"strconv"
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
	size *sizes // of the exchange
}

// sizes are the bytes of a body before it was compressed, and after.
type sizes struct{ in, out int64 }

func (w *writer) out() *output { return (*output)(w) }

// output is the io.Writer of a writer's gzip.Writer. It writes to next.
type output writer

func (o *output) Write(p []byte) (int, error) {
	n, err := o.next.Write(p)
	o.size.out += int64(n)
	return n, err
}

// Write compresses p.
func (w *writer) Write(next proxy.BodyWriter, p []byte) error {
	w.next = next
	n, err := w.gzip.Write(p)
	w.size.in += int64(n)
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
	w.next, w.size = nil, nil
	w.pool.Put(w)
}

// appendRatio appends $gzip_ratio: how many times larger the body was before, with two
// decimals. As in nginx, there is none if nothing was compressed.
func (s *sizes) appendRatio(dst []byte) ([]byte, bool) {
	if s.out == 0 {
		return dst, false
	}
	hundredths := (s.in*1000/s.out + 5) / 10
	dst = strconv.AppendInt(dst, hundredths/100, 10)
	return append(dst, '.', byte('0'+hundredths/10%10), byte('0'+hundredths%10)), true
}
