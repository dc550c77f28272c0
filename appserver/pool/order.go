package pool

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// Order has what the side that speaks to a worker decides about it. The program, its
// directory, environment and user come from the App of the process that starts the
// worker.
type Order struct {
	Number int           `json:"number"` // "shop:3" is the third worker of app shop
	Kind   string        `json:"kind"`   // of worker: which of the app's programs it runs
	Lane   wire.Geometry `json:"lane,omitzero"`
	Bodies int           `json:"bodies,omitempty"` // bytes of the bodies' memory; 0: there is none
	// Key makes $request_id of the requests that the worker answers: hexadecimal.
	Key string `json:"key"`
	// Files are the worker's descriptors 1 and 2 and those from 5 on, as
	// PROTOCOL.md lists them. The caller closes them.
	Files []*os.File `json:"-"`
}

const (
	maxNumber = 1 << 16 // of a worker
	maxBodies = 1 << 30
	// mostEntries bounds those of a lane, which has one for each thread and each request
	// that waits.
	mostEntries = 1 << fewestBits
)

// The indexes in Files of the descriptors that every worker has. The bells of the slots,
// or the stream channel of an ASGI worker, follow, then the lane's memory, then the memory for bodies.
const (
	FileStdout = iota
	FileStderr
	FileChannel
	FilePage
	FileDiagnostics
	FileLog
	FileBell
)

// Check returns an error about an order for a worker of that many threads. It asks the
// system for the kind of each descriptor, so that a worker gets, and memory is mapped
// from, only the right kinds of files.
// streams is not 0 for an ASGI worker.
func (o Order) Check(threads, streams int) error {
	if o.Number < 1 || o.Number > maxNumber {
		return fmt.Errorf("%d is not a worker's number, which is from 1 to %d", o.Number, maxNumber)
	}
	if err := checkLane(o.Lane); err != nil {
		return err
	}
	if key, err := hex.DecodeString(o.Key); err != nil || len(key) != len(proxy.RequestKey{}) {
		return fmt.Errorf("%q is not a worker's key, which is %d bytes in hexadecimal", o.Key, len(proxy.RequestKey{}))
	}
	if o.Bodies < 0 || o.Bodies > maxBodies {
		return fmt.Errorf("the bodies' memory has %d bytes, which must be from 0 to %d", o.Bodies, maxBodies)
	}
	want := o.kinds(threads, streams)
	if len(o.Files) != len(want) {
		return fmt.Errorf("it has %d descriptors instead of %d", len(o.Files), len(want))
	}
	for i, f := range o.Files {
		if err := want[i].check(f); err != nil {
			return fmt.Errorf("descriptor %d is no %s: %w", i, want[i].name, err)
		}
	}
	return nil
}

// checkLane returns an error about the sizes of a lane. No sizes at all are right.
func checkLane(g wire.Geometry) error {
	if g == (wire.Geometry{}) {
		return nil
	}
	for _, n := range []int{g.Requests, g.Responses} {
		if n < 1 || n > mostEntries || n&(n-1) != 0 {
			return fmt.Errorf("a lane of %d entries: the number must be a power of two up to %d", n, mostEntries)
		}
	}
	if g.Entry < 64 || g.Entry > wire.MaxFrame || g.Entry%64 != 0 {
		return fmt.Errorf("a lane's entry of %d bytes: it must be a multiple of 64 up to %d", g.Entry, wire.MaxFrame)
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

// PageLines returns how many lines the status page of an ASGI worker has that runs that many
// requests at a time.
func PageLines(streams int) int { return pageLines(1, streams) }

// IndexBits returns how many low bits of a request's id are its line in the status page of an
// ASGI worker that runs that many requests at a time.
func IndexBits(streams int) int { return indexBits(streams + ahead) }

// fileKind is the kind that a descriptor must have.
type fileKind struct {
	name string
	is   func(f *os.File, size int) error
	size int // of memory
}

func (k fileKind) check(f *os.File) error { return k.is(f, k.size) }

// kinds returns the kinds of Files.
func (o Order) kinds(threads, streams int) []fileKind {
	output := fileKind{name: "pipe to write to", is: isPipe}
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
