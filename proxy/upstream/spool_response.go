package upstream

import (
	"fmt"
	"os"
	"sync"
)

// WriteBehind holds the blocks of one answer between the producer, which receives them
// from the upstream, and the consumer, the Exchange's goroutine, which sends them to the
// client. Blocks stay in memory until it is full. Later ones go to a file without a name,
// until the client has caught up. If the file cannot be written, as on a full disk, the
// upstream waits for the client. The order of the blocks is kept. The producer calls Put
// and End, the consumer Next; either may call Drop.
type WriteBehind struct {
	Memory int64  // the bound on bytes in memory, with blockOverhead for each block
	Disk   int64  // the bound on bytes in the file; 0: no file
	Dir    string // the folder of the file
	Space  *Space // counts the file's bytes; the upstream waits while it is full

	mu       sync.Mutex
	queue    []Block // before those in the file
	late     []Block // after those in the file
	memory   int64   // bytes that queue and late take
	file     *os.File
	readAt   int64
	writeAt  int64
	onDisk   int64 // bytes taken of Space: the file's size
	withheld int64 // bytes for which the upstream has no credit yet
	received int64
	ended    bool
	err      error // why the answer has ended too early
	dropped  bool

	rest  Block // the rest of a block of which a part was given
	given int64 // bytes given to the client; only the consumer uses it
}

// Block is a part of an answer: Data, or Size bytes of File from Offset.
type Block struct {
	Data   []byte
	File   *os.File
	Offset int64
	Size   int64
	Buffer *[]byte // the Source's buffer that has Data; nil: Data has memory of its own
}

// blockOverhead is the memory that a block takes beside its data: its place in the queue,
// which may be half empty, and its allocation.
const blockOverhead = 160

// cut leaves at most n bytes of b.
func (b *Block) cut(n int64) {
	if b.Size <= n {
		return
	}
	b.Size = n
	if b.Data != nil {
		b.Data = b.Data[:n]
	}
}

// after returns what is left of b behind n bytes.
func (b Block) after(n int64) Block {
	b.Offset, b.Size = b.Offset+n, b.Size-n
	if b.Data != nil {
		b.Data = b.Data[n:]
	}
	return b
}

func (b *Block) cost() int64 { return b.Size + blockOverhead }

// Put adds data. If buffer is not nil, data is a part of it, and kept says that the block
// keeps buffer; otherwise Put copies data. over says that a bound is exceeded: the upstream
// must wait until Next returns the withheld bytes. The error says why the file cannot be
// written. Put returns it once, and keeps data in memory.
func (w *WriteBehind) Put(data []byte, buffer *[]byte) (kept, over bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped || len(data) == 0 {
		return false, false, nil
	}
	size := int64(len(data))
	w.received += size
	if w.Disk > 0 && (w.writeAt > w.readAt || w.memory+size+blockOverhead > w.Memory) {
		var written int
		if written, err = w.toFile(data); err == nil {
			if over = w.writeAt-w.readAt > w.Disk || w.Space.full(); over {
				w.withheld += size
			}
			return false, over, nil
		}
		w.Disk = 0
		data = data[written:]
	}
	b := Block{Data: data, Size: int64(len(data)), Buffer: buffer}
	if buffer == nil {
		b.Data = append([]byte(nil), data...)
	}
	if w.writeAt > w.readAt || len(w.late) > 0 {
		w.late = append(w.late, b)
	} else {
		w.queue = append(w.queue, b)
	}
	w.memory += b.cost()
	if over = w.memory > w.Memory || len(w.late) > 0; over {
		w.withheld += size
	}
	return buffer != nil, over, err
}

// toFile appends data to the file, and returns how many bytes of it are there.
func (w *WriteBehind) toFile(data []byte) (n int, err error) {
	if w.file == nil {
		if w.file, err = TempFile(w.Dir); err != nil {
			return 0, fmt.Errorf("cannot keep a response for its client: %w", err)
		}
	}
	n, err = w.file.WriteAt(data, w.writeAt)
	w.writeAt += int64(n)
	if grown := w.writeAt - w.onDisk; grown > 0 {
		w.Space.hold(grown)
		w.onDisk += grown
	}
	if err != nil {
		return n, fmt.Errorf("cannot keep a response for its client in %q: %w", w.Dir, err)
	}
	return n, nil
}

// End says that no more data comes. err is nil if the answer is complete, otherwise why it
// is not. The first error stays.
func (w *WriteBehind) End(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.err == nil {
		w.err = err
	}
}

// Complete reports whether End was called, and only without an error.
func (w *WriteBehind) Complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended && w.err == nil
}

// failure returns the error that End was given.
func (w *WriteBehind) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Next removes the oldest block and returns it. ok is false if there is none now; then ended
// says that none will come. back is how many withheld bytes the upstream now gets credit
// for.
func (w *WriteBehind) Next() (b Block, ok, ended bool, back int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 && len(w.late) > 0 && w.writeAt == w.readAt {
		w.caughtUp()
		w.queue, w.late = w.late, nil
	}
	switch {
	case w.rest.Size > 0:
		b, ok, w.rest = w.rest, true, Block{}
	case len(w.queue) > 0:
		b, ok = w.queue[0], true
		w.queue[0] = Block{}
		if w.queue = w.queue[1:]; len(w.queue) == 0 {
			w.queue = nil
		}
		w.memory -= b.cost()
	case w.writeAt > w.readAt:
		b = Block{File: w.file, Offset: w.readAt, Size: min(w.writeAt-w.readAt, 1<<20)}
		w.readAt += b.Size
		ok = true
	default:
		w.caughtUp()
	}
	// An answer that has nothing in its file goes on even if others have filled Space.
	backlog := w.writeAt - w.readAt
	if w.memory <= w.Memory && (backlog == 0 || backlog <= w.Disk && !w.Space.full()) {
		back, w.withheld = w.withheld, 0
	}
	return b, ok, w.ended && !ok, back
}

// keep leaves at most n bytes of b, and keeps the rest for Next.
func (w *WriteBehind) keep(b *Block, n int64) {
	if b.Size <= n {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped {
		return
	}
	w.rest = b.after(n)
	b.Buffer = nil // the rest keeps it
	b.cut(n)
}

// caughtUp empties the file. The kernel may still be sending its pages to the client, and
// writing over them would change what the client gets. So a file that cannot be truncated
// grows instead.
func (w *WriteBehind) caughtUp() {
	if w.writeAt == 0 || w.file.Truncate(0) != nil {
		return
	}
	w.Space.give(w.onDisk)
	w.readAt, w.writeAt, w.onDisk = 0, 0, 0
}

// closeFile closes the file and gives its space back.
func (w *WriteBehind) closeFile() {
	if w.file == nil {
		return
	}
	w.file.Close()
	w.Space.give(w.onDisk)
	w.file, w.onDisk = nil, 0
}

// Idle reports whether no block waits. Then the client's connection should be flushed.
func (w *WriteBehind) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rest.Size == 0 && len(w.queue) == 0 && len(w.late) == 0 && w.writeAt == w.readAt
}

// Full reports whether the upstream has to wait for the client.
func (w *WriteBehind) Full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.withheld > 0
}

// Received returns how many bytes were put before Drop.
func (w *WriteBehind) Received() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}

// Drop drops all blocks, and makes Put drop later ones. s takes back the buffers of the
// blocks. back is as in Next.
func (w *WriteBehind) Drop(s Source) (back int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped = true
	free(w.queue, s)
	free(w.late, s)
	free([]Block{w.rest}, s)
	w.rest = Block{}
	w.queue, w.late, w.memory = nil, nil, 0
	w.closeFile()
	w.readAt, w.writeAt = 0, 0
	back, w.withheld = w.withheld, 0
	return back
}

// free gives s the buffers of blocks.
func free(blocks []Block, s Source) {
	for i := range blocks {
		if b := blocks[i].Buffer; b != nil {
			s.Free(b)
		}
	}
}

// Reset empties w for another answer. No other goroutine may use w meanwhile.
func (w *WriteBehind) Reset() {
	w.closeFile()
	*w = WriteBehind{queue: w.queue[:0]}
}
