package upstream

import (
	"fmt"
	"os"
	"sync"
)

// WriteBehind holds the blocks of one response between the producer that
// receives them from an upstream and the Exchange's goroutine that gives them
// to the client. Order is kept: memory first, then, once that is full, an
// unnamed file, until the client has caught up. Without the file, as on a full
// disk, the upstream waits for the client. Put and End belong to the producer,
// Next to the consumer; Drop may come from either.
type WriteBehind struct {
	Memory int64  // bytes kept in memory, with what the blocks themselves take
	Disk   int64  // bytes kept in the file; 0: no file
	Dir    string // where the file is made
	Space  *Space // where the file's bytes count; the upstream waits while it is full

	mu       sync.Mutex
	queue    []Block
	late     []Block // those that come after what is in the file
	memory   int64
	file     *os.File
	readAt   int64
	writeAt  int64
	onDisk   int64 // bytes taken of Space: the file's size
	withheld int64
	received int64
	ended    bool
	err      error // why it ended too early
	dropped  bool

	rest  Block // of a block of which a part was given
	given int64 // bytes given to the client: the consumer's
}

// Block is a part of a response: Data, or Size bytes of File from Offset.
type Block struct {
	Data   []byte
	File   *os.File
	Offset int64
	Size   int64
	Buffer *[]byte // what Data lies in; nil for memory of its own
}

// blockOverhead is what a block takes in memory beside its data, however small
// that is: its place in the queue, which may be half empty, and its allocation.
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

// Put adds data, which it copies unless buffer, which data lies in, is given
// and kept: then kept is true and the block carries it. Over says that the
// bounds are exceeded: the upstream must wait until Next has given withheld
// bytes back. The error says, once, why there is no file: data is kept all the
// same.
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

// End says that nothing more comes: err is nil where the response is complete, else
// why it is not. The first such reason stays.
func (w *WriteBehind) End(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.err == nil {
		w.err = err
	}
}

// Complete reports that End has said that the response is complete.
func (w *WriteBehind) Complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended && w.err == nil
}

// failure returns the reason that End was given.
func (w *WriteBehind) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Next takes the oldest block. ok is false when there is none now; ended that
// there will be none. back is how many withheld bytes the upstream may be
// given credit for.
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
	// A response without a backlog of its own always goes on, whatever others take.
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
	b.Buffer = nil // the rest has it
	b.cut(n)
}

// caughtUp empties the file. Its pages may be on their way to the client still,
// so that writing over them would change what it gets; a file that cannot be
// emptied is therefore written on.
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

// Idle reports that no block waits: what was written should be flushed.
func (w *WriteBehind) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rest.Size == 0 && len(w.queue) == 0 && len(w.late) == 0 && w.writeAt == w.readAt
}

// Full reports that the bounds are exceeded: the upstream waits for the client.
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

// Drop forgets what is held and whatever comes; back as for Next. s takes back the
// buffers of the blocks.
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

// free gives the buffers of blocks back to s.
func free(blocks []Block, s Source) {
	for i := range blocks {
		if b := blocks[i].Buffer; b != nil {
			s.Free(b)
		}
	}
}

// Reset makes w ready for another response. Nobody else may use it meanwhile.
func (w *WriteBehind) Reset() {
	w.closeFile()
	*w = WriteBehind{queue: w.queue[:0]}
}
