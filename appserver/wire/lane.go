package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// Lane passes requests and small responses through memory shared with a worker
// (PROTOCOL.md, "The lane"), without a system call. Putting and taking back
// belong to holders of the pool's lock, receiving to the worker's reader.
//
// The worker can write every word of it at any time. So the front reads a word
// of the worker's once, checks it against the counts that it keeps itself, and
// never reads its own words back.
type Lane struct {
	mem    []byte
	size   uint32
	ids    []uint32 // of the requests in the entries
	puts   uint32
	reads  uint32 // the reader's
	last   uint32 // count of responses that are received, once ended
	ended  bool
	busy   bool        // what SetBusy said last
	sleeps atomic.Bool // what Sleep said last
}

// Geometry is the sizes of a lane; all are 0 where there is none.
type Geometry struct {
	Requests  int `json:"requests"`
	Responses int `json:"responses"`
	Entry     int `json:"entry"` // bytes
}

// Bytes returns the size of the lane's memory.
func (g Geometry) Bytes() int { return LaneHeader + (g.Requests+g.Responses)*g.Entry }

// The lane's layout: the bytes of an entry and of the first page, and the offsets
// of the words in that page.
const (
	LaneEntry    = 16 << 10
	LaneHeader   = 4 << 10
	LaneAsleep   = 0
	LanePut      = 64
	LaneWaiting  = 128
	LaneAnswered = 192
	LaneRead     = 256
	LaneTaken    = 320
	LaneBusy     = 384
)

var errLane = errors.New("the lane's counters or lengths are out of bounds")

// laneLength returns how many entries there are each way for that many requests.
func laneLength(requests int) uint32 { return 1 << bits.Len(uint(requests-1)) }

func (l *Lane) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

// announce stores v, and lets no later load pass it: each side stores a word of
// its own, then looks at one of the other's. The race detector's Store, unlike
// the real one, would.
func (l *Lane) announce(offset int, v uint32) { l.word(offset).Swap(v) }

// Geometry returns the sizes, as the worker has to be told them.
func (l *Lane) Geometry() Geometry {
	return Geometry{Requests: int(l.size), Responses: int(l.size), Entry: LaneEntry}
}

// request and response return the entry that the i-th is in.
func (l *Lane) request(i uint32) []byte  { return l.entry(i & (l.size - 1)) }
func (l *Lane) response(i uint32) []byte { return l.entry(i&(l.size-1) + l.size) }

func (l *Lane) entry(i uint32) []byte {
	at := LaneHeader + int(i)*LaneEntry
	return l.mem[at : at+LaneEntry]
}

// Waiting reports that a thread of the worker waits for the channel.
func (l *Lane) Waiting() bool { return l.word(LaneWaiting).Load() != 0 }

// Next returns the id of the request that was put last in the entry that Put
// uses next. The entry is free once the worker has received that request.
func (l *Lane) Next() uint32 { return l.ids[l.puts&(l.size-1)] }

// Put offers a request to the worker. The entry that Next names must be free.
func (l *Lane) Put(id uint32, frame []byte) {
	e := l.request(l.puts)
	binary.LittleEndian.PutUint32(e, uint32(len(frame)))
	copy(e[4:], frame)
	l.ids[l.puts&(l.size-1)] = id
	l.puts++
	l.announce(LanePut, l.puts)
}

// contests is how often the front tries again for a request that the worker is
// about to take, and may leave.
const contests = 4

// TakeBack takes the request that was put last and that the worker has not
// taken; ok is false when there is none, or the worker is about to take it: if
// it then does not, it has to be woken. Either side announces what it is about to
// take in its own word, then looks at the other's, so that at most one goes on.
func (l *Lane) TakeBack() (id uint32, ok bool, err error) {
	for range contests {
		// The worker's word is one ahead of ours while it tries for what we took.
		n := int32(l.puts - l.word(LaneTaken).Load())
		if n < -1 || n > int32(l.size) {
			return 0, false, errLane
		}
		if n <= 0 {
			return 0, false, nil
		}
		l.announce(LanePut, l.puts-1)
		if n := int32(l.puts - l.word(LaneTaken).Load()); n > 0 {
			l.puts--
			return l.ids[l.puts&(l.size-1)], true, nil
		}
		l.announce(LanePut, l.puts)
	}
	return 0, false, nil
}

// Holds reports that there is a request that the worker has not taken.
func (l *Lane) Holds() bool { return l.word(LaneTaken).Load() != l.puts }

// published returns how many responses there have been.
func (l *Lane) published() uint32 {
	if l.ended {
		return l.last
	}
	return l.word(LaneAnswered).Load()
}

// EndReads has what was published be the last: a process that a worker left
// behind may go on.
func (l *Lane) EndReads() { l.last, l.ended = l.published(), true }

// Answered reports that the worker has published a response.
func (l *Lane) Answered() bool { return l.published() != l.reads }

// Receive copies the next response's frame to b, which holds a whole entry: the worker
// cannot change it any more. An error is a breach of the protocol.
func (l *Lane) Receive(b []byte) (n int, err error) {
	if l.published()-l.reads > l.size {
		return 0, errLane
	}
	e := l.response(l.reads)
	size := binary.LittleEndian.Uint32(e)
	if size < HeaderSize || size > LaneEntry-4 {
		return 0, errLane
	}
	n = copy(b, e[4:4+size])
	l.reads++
	l.word(LaneRead).Store(l.reads)
	return n, nil
}

// Sleep says whether responses have to wake the front.
func (l *Lane) Sleep(asleep bool) {
	v := uint32(0)
	if asleep {
		v = 1
	}
	l.sleeps.Store(asleep)
	l.announce(LaneAsleep, v)
}

// SetBusy says whether the front has much to do in each of its turns. Who reads the worker's
// answers calls it.
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

// Asleep reports what Sleep said last.
func (l *Lane) Asleep() bool { return l.sleeps.Load() }
