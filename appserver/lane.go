package appserver

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// lane passes requests and small responses through memory shared with a worker
// (PROTOCOL.md, "The lane"), without a system call. Putting and taking back
// belong to holders of the pool's lock, receiving to the worker's reader.
//
// The worker can write every word of it at any time. So the front reads a word
// of the worker's once, checks it against the counts that it keeps itself, and
// never reads its own words back.
type lane struct {
	mem    []byte
	size   uint32
	ids    []uint32 // of the requests in the entries
	puts   uint32
	misfit uint32 // id of the last one that went by the channel instead
	reads  uint32 // the reader's
	last   uint32 // count of responses that are received, once ended
	ended  bool
	asleep atomic.Bool // what sleep said last
}

// The lane's layout.
const (
	laneEntry    = 16 << 10
	laneHeader   = 4 << 10
	laneAsleep   = 0
	lanePut      = 64
	laneWaiting  = 128
	laneAnswered = 192
	laneRead     = 256
	laneTaken    = 320
)

var errLane = errors.New("the lane's counters or lengths are out of bounds")

// laneLength returns how many entries there are each way for that many requests.
func laneLength(requests int) uint32 { return 1 << bits.Len(uint(requests-1)) }

func (l *lane) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

// announce stores v, and lets no later load pass it: each side stores a word of
// its own, then looks at one of the other's. The race detector's Store, unlike
// the real one, would.
func (l *lane) announce(offset int, v uint32) { l.word(offset).Swap(v) }

func (l *lane) geometry() Geometry {
	return Geometry{Requests: int(l.size), Responses: int(l.size), Entry: laneEntry}
}

// request and response return the entry that the i-th is in.
func (l *lane) request(i uint32) []byte  { return l.entry(i & (l.size - 1)) }
func (l *lane) response(i uint32) []byte { return l.entry(i&(l.size-1) + l.size) }

func (l *lane) entry(i uint32) []byte {
	at := laneHeader + int(i)*laneEntry
	return l.mem[at : at+laneEntry]
}

// waiting reports that a thread of the worker waits for the channel.
func (l *lane) waiting() bool { return l.word(laneWaiting).Load() != 0 }

// put offers a request to the worker, whose entry must be free.
func (l *lane) put(id uint32, frame []byte) {
	e := l.request(l.puts)
	binary.LittleEndian.PutUint32(e, uint32(len(frame)))
	copy(e[4:], frame)
	l.ids[l.puts&(l.size-1)] = id
	l.puts++
	l.announce(lanePut, l.puts)
}

// contests is how often the front tries again for a request that the worker is
// about to take, and may leave.
const contests = 4

// takeBack takes the request that was put last and that the worker has not
// taken; ok is false when there is none, or the worker is about to take it: if
// it then does not, it has to be woken. Either side announces what it is about to
// take in its own word, then looks at the other's, so that at most one goes on.
func (l *lane) takeBack() (id uint32, ok bool, err error) {
	for range contests {
		// The worker's word is one ahead of ours while it tries for what we took.
		n := int32(l.puts - l.word(laneTaken).Load())
		if n < -1 || n > int32(l.size) {
			return 0, false, errLane
		}
		if n <= 0 {
			return 0, false, nil
		}
		l.announce(lanePut, l.puts-1)
		if n := int32(l.puts - l.word(laneTaken).Load()); n > 0 {
			l.puts--
			return l.ids[l.puts&(l.size-1)], true, nil
		}
		l.announce(lanePut, l.puts)
	}
	return 0, false, nil
}

// holds reports that there is a request that the worker has not taken.
func (l *lane) holds() bool { return l.word(laneTaken).Load() != l.puts }

// published returns how many responses there have been.
func (l *lane) published() uint32 {
	if l.ended {
		return l.last
	}
	return l.word(laneAnswered).Load()
}

// endReads has what was published be the last: a process that a worker left
// behind may go on.
func (l *lane) endReads() { l.last, l.ended = l.published(), true }

// answered reports that the worker has published a response.
func (l *lane) answered() bool { return l.published() != l.reads }

// receive copies the next response's frame to b.
func (l *lane) receive(b []byte) (n int, err error) {
	if l.published()-l.reads > l.size {
		return 0, errLane
	}
	e := l.response(l.reads)
	size := binary.LittleEndian.Uint32(e)
	if size < headerSize || size > laneEntry-4 {
		return 0, errLane
	}
	n = copy(b, e[4:4+size])
	l.reads++
	l.word(laneRead).Store(l.reads)
	return n, nil
}

// sleep says whether responses have to wake the front.
func (l *lane) sleep(asleep bool) {
	v := uint32(0)
	if asleep {
		v = 1
	}
	l.asleep.Store(asleep)
	l.announce(laneAsleep, v)
}
