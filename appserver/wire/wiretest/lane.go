// Package wiretest is the worker's side of package wire, for tests.
package wiretest

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
)

// Lane is a worker's side of a lane, for one thread. A test may write anything to its memory, as
// a worker can.
type Lane struct {
	mem             []byte
	Size            uint32 // how many entries there are each way
	taken, answered uint32
}

// Map maps the memory of a lane with the sizes g. The worker's counts begin with those in the
// memory.
func Map(memory *os.File, g wire.Geometry) (*Lane, error) {
	mem, err := unix.Mmap(int(memory.Fd()), 0, g.Bytes(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	l := &Lane{mem: mem, Size: uint32(g.Requests)}
	l.taken, l.answered = l.Word(wire.LaneTaken).Load(), l.Word(wire.LaneAnswered).Load()
	return l, nil
}

// FirstCount is the first value of the counts of Pair's lanes, just below 2^32.
const FirstCount = 1<<32 - 5

// Pair returns both sides of a lane.
func Pair(t testing.TB, requests int) (*wire.Lane, *Lane) {
	t.Helper()
	ours, memory, err := wire.NewLane(requests, FirstCount)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ours.Close)
	theirs, err := Map(memory, ours.Geometry())
	memory.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(theirs.Close)
	return ours, theirs
}

// Close unmaps the memory.
func (l *Lane) Close() { unix.Munmap(l.mem) }

// Word returns the word at offset of the first page.
func (l *Lane) Word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

// Asleep reports whether the worker must wake the front after a response.
func (l *Lane) Asleep() bool { return l.Word(wire.LaneAsleep).Load() == 1 }

// Take takes the oldest request. ok is false if there is none.
func (l *Lane) Take() (id uint32, ok bool) {
	if !l.ahead() {
		return 0, false
	}
	l.Word(wire.LaneTaken).Swap(l.taken + 1)
	if !l.ahead() { // the front takes it back
		l.Word(wire.LaneTaken).Store(l.taken)
		return 0, false
	}
	e := l.mem[wire.LaneHeader+int(l.taken&(l.Size-1))*wire.LaneEntry:]
	l.taken++
	return binary.LittleEndian.Uint32(e[8:]), true
}

// ahead reports whether there is a request to take.
func (l *Lane) ahead() bool { return int32(l.Word(wire.LanePut).Load()-l.taken) > 0 }

// Response returns the entry of the i-th response.
func (l *Lane) Response(i uint32) []byte {
	return l.mem[wire.LaneHeader+int(i&(l.Size-1)+l.Size)*wire.LaneEntry:][:wire.LaneEntry]
}

// Block returns a block for responses that do not fit an entry.
func (l *Lane) Block(i int) []byte {
	return l.mem[wire.LaneHeader+2*int(l.Size)*wire.LaneEntry+i*wire.LaneBlock:][:wire.LaneBlock]
}

// Full reports whether all entries have responses that the front has not received.
func (l *Lane) Full() bool { return l.answered-l.Word(wire.LaneRead).Load() >= l.Size }

// PublishIn puts a frame into a block, and publishes the block as a response. length is the
// length in its entry.
func (l *Lane) PublishIn(block uint32, frame []byte, length uint32) {
	if block < wire.LaneBlocks {
		copy(l.Block(int(block))[4:], frame)
	}
	l.Publish(binary.LittleEndian.AppendUint32(nil, block), length)
}

// Publish publishes a frame as a response. length is the length in its entry.
func (l *Lane) Publish(frame []byte, length uint32) {
	e := l.Response(l.answered)
	binary.LittleEndian.PutUint32(e, length)
	copy(e[4:], frame)
	l.answered++
	l.Word(wire.LaneAnswered).Swap(l.answered)
}
