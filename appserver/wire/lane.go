package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// Lane passes requests and whole responses through memory that is shared with a worker
// (PROTOCOL.md, "The lane"), without a system call. Callers of Next, Put, TakeBack and Check must
// hold the pool's lock; callers of Receive, Answered, EndReads and SetBusy must hold the
// reader's.
//
// The worker can write every word of the memory at any time. So the front reads a word of the
// worker once, checks it against counts of its own, and does not read back the words that it
// writes itself.
type Lane struct {
	mem    []byte
	size   uint32      // how many entries there are each way
	ids    []uint32    // the ids of the requests in the entries
	puts   uint32      // how many requests were put
	taken  uint32      // how many requests the worker has taken at the least, as it has said
	low    uint32      // PUT was lowered from low to high, at most: while TAKEN is one of
	high   uint32      // these counts, the worker may find so, and lower it by one
	reads  uint32      // how many responses were received
	last   uint32      // after EndReads: how many responses may be received
	ended  bool        // EndReads was called
	busy   bool        // the last value of SetBusy
	sleeps atomic.Bool // the last value of Sleep
}

// Geometry has the sizes of a lane. Without a lane it is zero.
type Geometry struct {
	Requests  int `json:"requests"`  // entries for requests
	Responses int `json:"responses"` // entries for responses
	Entry     int `json:"entry"`     // bytes of an entry
	Blocks    int `json:"blocks"`    // blocks of LaneBlock bytes for responses
}

// Bytes returns the size of the lane's memory.
func (g Geometry) Bytes() int {
	return LaneHeader + (g.Requests+g.Responses)*g.Entry + g.Blocks*LaneBlock
}

// The layout of the memory: the sizes of an entry, of a block, which holds the largest frame
// and its length, and of the first page, and the offsets of the words in that page, in bytes;
// and how many blocks there are.
const (
	LaneEntry    = 16 << 10
	LaneBlock    = MaxFrame + 64
	LaneBlocks   = 8
	LaneHeader   = 4 << 10
	LaneAsleep   = 0
	LanePut      = 64
	LaneWaiting  = 128
	LaneAnswered = 192
	LaneRead     = 256
	LaneTaken    = 320
	LaneBusy     = 384
)

// The breaches of the protocol in the lane. Errors of TakeBack, Check and Receive wrap ErrLane.
var (
	ErrLane = errors.New("the lane is not as the protocol has it")
	errLane = fmt.Errorf("%w: its counters or lengths are out of bounds", ErrLane)
	errBack = fmt.Errorf("%w: its count of requests that were taken has gone back", ErrLane)
)

// laneLength returns the number of entries each way for requests requests: a power of 2.
func laneLength(requests int) uint32 { return 1 << bits.Len(uint(requests-1)) }

// word returns the word at offset.
func (l *Lane) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

// announce stores v before any later load: each side stores a word of its own, and then loads
// one of the other side. (The race detector's Store does not keep that order.)
func (l *Lane) announce(offset int, v uint32) { l.word(offset).Swap(v) }

// Geometry returns the sizes, which the worker needs.
func (l *Lane) Geometry() Geometry {
	return Geometry{Requests: int(l.size), Responses: int(l.size), Entry: LaneEntry, Blocks: LaneBlocks}
}

// request and response return the entry of the i-th request and response.
func (l *Lane) request(i uint32) []byte  { return l.entry(i & (l.size - 1)) }
func (l *Lane) response(i uint32) []byte { return l.entry(i&(l.size-1) + l.size) }

// entry returns the i-th entry of the memory.
func (l *Lane) entry(i uint32) []byte {
	at := LaneHeader + int(i)*LaneEntry
	return l.mem[at : at+LaneEntry]
}

// block returns one of the blocks for responses that do not fit an entry.
func (l *Lane) block(i uint32) []byte {
	at := LaneHeader + 2*int(l.size)*LaneEntry + int(i)*LaneBlock
	return l.mem[at : at+LaneBlock]
}

// Waiting reports whether a thread of the worker waits for the channel.
func (l *Lane) Waiting() bool { return l.word(LaneWaiting).Load() != 0 }

// Next returns the id of the last request in the entry that Put uses next. The entry is free
// if the worker has received that request.
func (l *Lane) Next() uint32 { return l.ids[l.puts&(l.size-1)] }

// Put offers a request to the worker. The next entry must be free; see Next.
func (l *Lane) Put(id uint32, frame []byte) {
	e := l.request(l.puts)
	binary.LittleEndian.PutUint32(e, uint32(len(frame)))
	copy(e[4:], frame)
	l.ids[l.puts&(l.size-1)] = id
	l.puts++
	l.announce(LanePut, l.puts)
}

// contests is how often the front tries to take a request back that the worker is about to
// take.
const contests = 4

// TakeBack takes back the request that was put last, if the worker has not taken it. ok is
// false if there is none, or if the worker is about to take it. A worker that then does not
// take it must be woken. Each side first announces in its own word what it is about to take,
// and then looks at the word of the other side, so that at most one of them takes it. err is a
// breach of the protocol.
func (l *Lane) TakeBack() (id uint32, ok bool, err error) {
	for range contests {
		n, err := l.untaken()
		if err != nil || n <= 0 {
			return 0, false, err
		}
		l.lowers()
		l.announce(LanePut, l.puts-1)
		if n := int32(l.puts - l.word(LaneTaken).Load()); n > 0 {
			l.puts--
			return l.ids[l.puts&(l.size-1)], true, nil
		}
		l.announce(LanePut, l.puts)
	}
	return 0, false, nil
}

// Check returns a breach of the protocol in the worker's count of requests that it has taken, which
// is checked against what it was at earlier calls of Check and TakeBack.
func (l *Lane) Check() error {
	_, err := l.untaken()
	return err
}

// untaken returns how many requests the worker has not taken. That is -1 while it tries to take a
// request that we have taken back.
func (l *Lane) untaken() (n int32, err error) {
	taken := l.word(LaneTaken).Load()
	if n = int32(l.puts - taken); n < -1 || n > int32(l.size) {
		return 0, errLane
	}
	if int32(taken-l.taken) < 0 {
		return 0, errBack
	}
	if int32(taken-l.low) >= 0 && int32(l.high-taken) >= 0 {
		taken--
	}
	if int32(taken-l.taken) > 0 {
		l.taken = taken
	}
	return n, nil
}

// lowers notes that PUT is lowered.
func (l *Lane) lowers() {
	if int32(l.high-l.taken) <= 0 {
		l.low, l.high = l.puts, l.puts
	}
	if int32(l.puts-l.low) < 0 {
		l.low = l.puts
	}
	if int32(l.puts-l.high) > 0 {
		l.high = l.puts
	}
}

// Holds reports whether there is a request that the worker has not taken.
func (l *Lane) Holds() bool { return l.word(LaneTaken).Load() != l.puts }

// published returns how many responses the worker has published.
func (l *Lane) published() uint32 {
	if l.ended {
		return l.last
	}
	return l.word(LaneAnswered).Load()
}

// EndReads makes the responses that were published the last ones. A process that a worker has
// left behind may go on to publish.
func (l *Lane) EndReads() { l.last, l.ended = l.published(), true }

// Answered reports whether there is a response to receive.
func (l *Lane) Answered() bool { return l.published() != l.reads }

// Receive copies the frame of the next response to b, where the worker cannot change it. b must
// have room for MaxFrame bytes. err is a breach of the protocol.
func (l *Lane) Receive(b []byte) (n int, err error) {
	if l.published()-l.reads > l.size {
		return 0, errLane
	}
	e := l.response(l.reads)
	size := binary.LittleEndian.Uint32(e)
	if size > LaneEntry-4 {
		i := binary.LittleEndian.Uint32(e[4:])
		if i >= LaneBlocks {
			return 0, errLane
		}
		e = l.block(i)
	}
	if size < HeaderSize || size > MaxFrame {
		return 0, errLane
	}
	n = copy(b, e[4:4+size])
	l.reads++
	l.word(LaneRead).Store(l.reads)
	return n, nil
}

// Sleep tells the worker whether it must wake the front after a response.
func (l *Lane) Sleep(asleep bool) {
	v := uint32(0)
	if asleep {
		v = 1
	}
	l.sleeps.Store(asleep)
	l.announce(LaneAsleep, v)
}

// SetBusy tells the worker whether the front has much to do in each of its turns.
func (l *Lane) SetBusy(busy bool) {
	if busy == l.busy {
		return
	}
	l.busy = busy
	v := uint32(0)
	if busy {
		v = 1
	}
	l.word(LaneBusy).Store(v)
}

// Asleep returns the last value of Sleep. Any goroutine may call it.
func (l *Lane) Asleep() bool { return l.sleeps.Load() }
