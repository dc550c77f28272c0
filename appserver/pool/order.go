package pool

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// Order has the parameters of a worker that the front decides. The process that starts the
// worker decides the others: the program, its directory, environment and user.
type Order struct {
	Number int           `json:"number"` // "shop:3" is the third worker of app shop
	Kind   string        `json:"kind"`   // of the worker: which of the app's programs it runs
	Lane   wire.Geometry `json:"lane,omitzero"`
	Bodies int           `json:"bodies,omitempty"` // the size of the memory for bodies; 0: there is none
	// Key is the part of $request_id that the worker's requests have in common, in
	// hexadecimal.
	Key string `json:"key"`
	// Files are the worker's descriptors 1, 2 and those from 5 on (PROTOCOL.md). The caller
	// closes them.
	Files []*os.File `json:"-"`
}

const (
	maxNumber = 1 << 16 // of a worker
	maxBodies = 1 << 30 // bytes
	// mostEntries bounds the entries of a lane each way. It has one for each thread and for
	// each request that waits.
	mostEntries = 1 << fewestBits
)

// The indexes in Files of the descriptors that every worker has. After them come the bells of
// the threads, or the stream channel of an ASGI worker, then the memory of the lane, and then the
// memory for bodies.
const (
	FileStdout = iota
	FileStderr
	FileChannel
	FilePage
	FileDiagnostics
	FileLog
	FileBell
)

// Check returns an error if the order is invalid for a worker with threads threads, or with
// streams requests at a time if that is not 0. It asks the system for the kind of each
// descriptor, so that only files of the right kinds are given to a worker or mapped.
func (o Order) Check(threads, streams int) error {
	if o.Number < 1 || o.Number > maxNumber {
		return fmt.Errorf("invalid number of a worker %d: must be from 1 to %d", o.Number, maxNumber)
	}
	if err := checkLane(o.Lane); err != nil {
		return err
	}
	if key, err := hex.DecodeString(o.Key); err != nil || len(key) != len(proxy.RequestKey{}) {
		return fmt.Errorf("invalid key of a worker %q: must be %d bytes in hexadecimal", o.Key, len(proxy.RequestKey{}))
	}
	if o.Bodies < 0 || o.Bodies > maxBodies {
		return fmt.Errorf("invalid size of the memory for bodies %d: must be from 0 to %d bytes", o.Bodies, maxBodies)
	}
	want := o.kinds(threads, streams)
	if len(o.Files) != len(want) {
		return fmt.Errorf("invalid number of descriptors %d: must be %d", len(o.Files), len(want))
	}
	for i, f := range o.Files {
		if err := want[i].check(f); err != nil {
			return fmt.Errorf("invalid descriptor %d, for the %s: %w", i, want[i].name, err)
		}
	}
	return nil
}

// checkLane returns an error if the sizes of a lane are invalid. The zero Geometry is valid.
func checkLane(g wire.Geometry) error {
	if g == (wire.Geometry{}) {
		return nil
	}
	for _, n := range []int{g.Requests, g.Responses} {
		if n < 1 || n > mostEntries || n&(n-1) != 0 {
			return fmt.Errorf("invalid number of entries of a lane %d: must be a power of two up to %d", n, mostEntries)
		}
	}
	if g.Entry < 64 || g.Entry > wire.MaxFrame || g.Entry%64 != 0 {
		return fmt.Errorf("invalid size of a lane's entry %d: must be a multiple of 64 from 64 to %d bytes", g.Entry, wire.MaxFrame)
	}
	if g.Blocks < 0 || g.Blocks > wire.LaneBlocks {
		return fmt.Errorf("a lane of %d blocks: there are at most %d", g.Blocks, wire.LaneBlocks)
	}
	return nil
}

// pageLines returns how many lines the status page of a worker has.
func pageLines(threads, streams int) int {
	if streams > 0 {
		return streams + ahead
	}
	return threads
}

// PageLines returns how many lines the status page of an ASGI worker has that runs streams
// requests at a time.
func PageLines(streams int) int { return pageLines(1, streams) }

// IndexBits returns how many low bits of a request's id are its line in the status page of an
// ASGI worker that runs streams requests at a time.
func IndexBits(streams int) int { return indexBits(streams + ahead) }

// fileKind is the kind of file that a descriptor must be.
type fileKind struct {
	name string
	is   func(f *os.File, size int) error // returns an error for a file of another kind
	size int                              // of memory
}

// check returns an error unless f is of this kind.
func (k fileKind) check(f *os.File) error { return k.is(f, k.size) }

// kinds returns the kinds of Files.
func (o Order) kinds(threads, streams int) []fileKind {
	output := fileKind{name: "output", is: isPipe}
	kinds := []fileKind{
		FileStdout: output, FileStderr: output, FileDiagnostics: output, FileLog: output,
		FileChannel: {name: "channel", is: isChannel},
		FilePage:    {name: "status page", is: isMemory, size: wire.PageStride * pageLines(threads, streams)},
	}
	if streams > 0 {
		kinds = append(kinds, fileKind{name: "stream channel", is: isChannel})
	} else {
		for range threads {
			kinds = append(kinds, fileKind{name: "bell", is: isBell})
		}
	}
	if o.Lane != (wire.Geometry{}) {
		kinds = append(kinds, fileKind{name: "lane", is: isMemory, size: o.Lane.Bytes()})
	}
	if o.Bodies > 0 {
		kinds = append(kinds, fileKind{name: "memory for bodies", is: isMemory, size: o.Bodies})
	}
	return kinds
}

var errWrongKind = errors.New("it is a file of another kind")
