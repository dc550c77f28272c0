package appserver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// Order is what the side that speaks to a worker decides about it. What runs,
// where, with which environment and as which user is none of its business: that
// comes from the App of the process that starts the worker.
type Order struct {
	Number int           `json:"number"` // "shop:3" is the third worker of app shop
	Lane   wire.Geometry `json:"lane,omitzero"`
	Bodies int           `json:"bodies,omitempty"` // bytes of the bodies' memory; 0: there is none
	// Key makes $request_id of the requests that the worker answers: hexadecimal.
	Key string `json:"key"`
	// Files are the worker's descriptors 1 and 2 and those from 5 on, as
	// PROTOCOL.md lists them. They stay the caller's to close.
	Files []*os.File `json:"-"`
}

const (
	maxNumber = 1 << 16 // of a worker
	maxBodies = 1 << 30
)

// The places in Files of what every worker has; the slots' bells follow,
// then the lane's memory, then the bodies' memory.
const (
	fileStdout = iota
	fileStderr
	fileChannel
	filePage
	fileDiagnostics
	fileLog
	fileBell
)

// check says what is wrong with an order for a worker of that many threads. It
// asks the system what each descriptor is, so that a worker cannot be given,
// and its memory cannot be mapped from, anything but what belongs there.
func (o Order) check(threads int) error {
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
	want := o.kinds(threads)
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

// checkLane says what is wrong with the sizes of a lane; none at all are right.
func checkLane(g wire.Geometry) error {
	if g == (wire.Geometry{}) {
		return nil
	}
	for _, n := range []int{g.Requests, g.Responses} {
		if n < 1 || n > 1<<indexBits || n&(n-1) != 0 {
			return fmt.Errorf("a lane of %d entries: the number must be a power of two up to %d", n, 1<<indexBits)
		}
	}
	if g.Entry < 64 || g.Entry > wire.MaxFrame || g.Entry%64 != 0 {
		return fmt.Errorf("a lane's entry of %d bytes: it must be a multiple of 64 up to %d", g.Entry, wire.MaxFrame)
	}
	return nil
}

// fileKind is what a descriptor has to be.
type fileKind struct {
	name string
	is   func(f *os.File, size int) error
	size int // of memory
}

func (k fileKind) check(f *os.File) error { return k.is(f, k.size) }

// kinds returns what each of Files has to be.
func (o Order) kinds(threads int) []fileKind {
	output := fileKind{name: "pipe to write to", is: isPipe}
	kinds := []fileKind{
		fileStdout: output, fileStderr: output, fileDiagnostics: output, fileLog: output,
		fileChannel: {name: "channel", is: isChannel},
		filePage:    {name: "status page", is: isMemory, size: wire.PageStride * threads},
	}
	for range threads {
		kinds = append(kinds, fileKind{name: "bell", is: isBell})
	}
	if o.Lane != (wire.Geometry{}) {
		kinds = append(kinds, fileKind{name: "lane", is: isMemory, size: o.Lane.Bytes()})
	}
	if o.Bodies > 0 {
		kinds = append(kinds, fileKind{name: "memory for bodies", is: isMemory, size: o.Bodies})
	}
	return kinds
}

// settings returns what the worker reads first (PROTOCOL.md, "Settings"). tried
// says how its interpreter was found.
func (a *App) settings(o Order, tried string) []byte {
	var lane, bodies any
	if g := o.Lane; g != (wire.Geometry{}) {
		lane = map[string]any{"requests": g.Requests, "responses": g.Responses, "entry": g.Entry}
	}
	if o.Bodies > 0 {
		bodies = map[string]any{"size": o.Bodies}
	}
	return wire.AppendValue(nil, map[string]any{
		"lane": lane, "bodies": bodies,
		"app": a.WSGI, "kind": "wsgi", "directory": a.Directory, "pythonpath": a.PythonPath, "pythonpath_last": a.pythonPathLast,
		"threads": a.Threads, "window": window, "heartbeat": int(a.Heartbeat / time.Millisecond), "dump_signal": int(dumpSignal),
		"log_level": a.LogLevel,
		"environ": map[string]any{
			"SERVER_SOFTWARE": "alicorn/" + proxy.Version, "GATEWAY_INTERFACE": "CGI/1.1",
			"wsgi.multithread": a.Threads > 1, "wsgi.multiprocess": true,
		},
		"request_key": o.Key, "report_static": a.rt.o.ReportStatic, "tried": tried,
	})
}

var errWrongKind = errors.New("it is a file of another kind")
