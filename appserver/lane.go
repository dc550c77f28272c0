package appserver

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// lane passes requests and small responses through memory shared with a worker
// (PROTOCOL.md, "The lane"): no system call but one on a counter that
// arbitrates who takes a request. Putting and taking back belong to holders of
// the pool's lock, receiving to the worker's reader.
type lane struct {
	mem    []byte
	tokens int // eventfd: how many requests are there to be taken
	size   uint32
	ids    []uint32 // of the requests in the entries
	puts   uint32
	misfit uint32 // id of the last one that went by the channel instead
	reads  uint32 // the reader's
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
)

var errLane = errors.New("the lane's counters or lengths are out of bounds")

// laneLength returns how many entries there are each way for that many requests.
func laneLength(requests int) uint32 { return 1 << bits.Len(uint(requests-1)) }

func (l *lane) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

func (l *lane) describe() map[string]any {
	return map[string]any{"requests": int(l.size), "responses": int(l.size), "entry": laneEntry}
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

// put offers a request to the worker; false when there is no place for it.
func (l *lane) put(id uint32, frame []byte) bool {
	e := l.request(l.puts)
	binary.LittleEndian.PutUint32(e, uint32(len(frame)))
	copy(e[4:], frame)
	l.ids[l.puts&(l.size-1)] = id
	l.puts++
	l.word(lanePut).Store(l.puts)
	if !l.addToken() {
		l.puts--
		l.word(lanePut).Store(l.puts)
		return false
	}
	return true
}

// takeBack takes the request that was put last and that the worker has not
// taken; ok is false when there is none.
func (l *lane) takeBack() (id uint32, ok bool) {
	if !l.takeToken() {
		return 0, false
	}
	l.puts--
	l.word(lanePut).Store(l.puts)
	return l.ids[l.puts&(l.size-1)], true
}

// answered reports that the worker has published a response.
func (l *lane) answered() bool { return l.word(laneAnswered).Load() != l.reads }

// receive copies the next response's frame to b.
func (l *lane) receive(b []byte) (n int, err error) {
	if l.word(laneAnswered).Load()-l.reads > l.size {
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

// asleep reports what sleep said last.
func (l *lane) asleep() bool { return l.word(laneAsleep).Load() != 0 }

// sleep says whether responses have to wake the front.
func (l *lane) sleep(asleep bool) {
	v := uint32(0)
	if asleep {
		v = 1
	}
	l.word(laneAsleep).Store(v)
}
