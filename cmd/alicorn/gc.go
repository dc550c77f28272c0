package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/config"
)

// defaultGC is Go's default, for heaps beyond roomyHeap. Under keep-alive load the
// front allocates almost nothing, and does not collect for seconds. But a full TLS
// handshake allocates 35 KB. With few connections the heap is so small that Go's
// default made 100 collections a second, which took a sixth of the CPU time.
const defaultGC = 100

// Without percent=, a heap smaller than roomyHeap may grow by roomyHeap bytes before
// it is collected, but by at most roomyGC percent.
const (
	roomyHeap = 16 << 20
	roomyGC   = 400
)

// gcSettings are the settings of the gc directive for Go's garbage collector. The
// environment variables GOGC and GOMEMLIMIT take precedence, each over its part.
type gcSettings struct {
	Percent int   // growth of the heap between collections, as GOGC; -1: off; 0: not given
	Memory  int64 // bytes that collections try to stay below, as GOMEMLIMIT; 0: no limit
}

// The bounds of percent=, and the least memory=, below which the process would do
// nothing but collect.
const (
	minGCPercent = 10
	maxGCPercent = 10_000
	minGCMemory  = 16 << 20
)

func (p process) gcDirective() config.Directive {
	return config.Directive{
		Name: "gc", In: config.Main, Args: config.Arity{Min: 1, Max: 2}, Syntax: "[percent=NUMBER | percent=off] [memory=SIZE]",
		Default: fmt.Sprintf("percent=%d", defaultGC), Set: p.setGC,
		Help: "When the process that speaks to clients collects garbage, in the words of Go: percent is GOGC, by how much its memory may grow between two collections (10 to 10000), so that more costs less CPU time and more memory; memory is GOMEMLIMIT, a size (16m at least) near which collections become more frequent whatever percent says. percent=off needs memory. Where percent is not said, it is up to 400 while less than 16m are in use. Whatever was not collected for a minute is, so that an idle process gives memory back, unless percent is off. Set at the start and at each reload. Where the environment has GOGC or GOMEMLIMIT, that one wins. The workers of applications have nothing to do with it.",
	}
}

func (p process) setGC(s *config.Scope, n *config.Node) error {
	var c gcSettings
	for _, a := range n.Args {
		name, value, _ := strings.Cut(a.Text, "=")
		var err error
		switch {
		case name == "percent" && c.Percent == 0:
			c.Percent, err = gcPercent(value)
		case name == "memory" && c.Memory == 0:
			c.Memory, err = config.ParseSize(value)
			if err == nil && c.Memory < minGCMemory {
				err = fmt.Errorf("memory=%s is below 16m", value)
			}
		default:
			err = fmt.Errorf("invalid parameter %q; gc takes percent= and memory=, each once", a.Text)
		}
		if err != nil {
			return &config.Error{Pos: a.Pos, Msg: err.Error()}
		}
	}
	if c.Percent < 0 && c.Memory == 0 {
		return fmt.Errorf("gc percent=off needs memory=SIZE; without it memory would never be collected")
	}
	p.key.In(s).GC = c
	return nil
}

func gcPercent(value string) (int, error) {
	if value == "off" {
		return -1, nil
	}
	n, err := config.ParseInt(value, minGCPercent, maxGCPercent)
	if err != nil {
		return 0, fmt.Errorf("percent=%s is neither off nor a number from %d to %d", value, minGCPercent, maxGCPercent)
	}
	return n, nil
}

// apply sets this process's collector, except where the environment has settings.
func (c gcSettings) apply() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(cmp.Or(c.Percent, defaultGC))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(c.Memory, math.MaxInt64))
	}
}

// pace lets a small heap grow, unless percent is given.
func (c gcSettings) pace() {
	if c.Percent != 0 || os.Getenv("GOGC") != "" {
		return
	}
	want := roomyPercent(metric("/gc/heap/live:bytes"))
	if now := gcInEffect().Percent; want > now+now/8 || want < now-now/8 {
		debug.SetGCPercent(want)
	}
}

// roomyPercent returns the default percent for this many live bytes.
func roomyPercent(live uint64) int {
	return max(defaultGC, int(min(roomyGC, 100*roomyHeap/max(live, 1))))
}

// gcInEffect returns the settings of this process's collector.
func gcInEffect() control.GC {
	gc := control.GC{Percent: -1}
	if n := metric("/gc/gogc:percent"); n <= math.MaxInt32 {
		gc.Percent = int(n)
	}
	if n := metric("/gc/gomemlimit:bytes"); n < math.MaxInt64 {
		gc.Memory = int64(n)
	}
	return gc
}

// collectIdle is how long there is no collection before giveBack makes one.
// keptFree is how much memory may stay unused after that: returning memory to the
// system takes milliseconds, and so does getting it again.
const (
	collectIdle = time.Minute
	keptFree    = 8 << 20
)

// look calls f in the course of each collection, until ctx ends.
func look(ctx context.Context, f func()) {
	// The runtime calls a finalizer when its object is unused, as this one is at once.
	runtime.SetFinalizer(&struct{ _ [16]byte }{}, func(*struct{ _ [16]byte }) {
		if ctx.Err() == nil {
			f()
			look(ctx, f)
		}
	})
}

// giveBack makes a collection, until ctx ends, when there has been none for as long
// as every, and returns free memory to the system. Go itself collects only when
// memory is allocated: without giveBack a front that thousands of clients have left
// would keep their memory until new ones come.
func giveBack(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for seen := collections(); ; seen = collections() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if collections() != seen || gcInEffect().Percent < 0 {
			continue
		}
		runtime.GC()
		if metric("/memory/classes/heap/free:bytes") > keptFree {
			debug.FreeOSMemory()
		}
	}
}

// collections returns the number of collections of this process.
func collections() uint64 { return metric("/gc/cycles/total:gc-cycles") }

// metric reads one number from the runtime's metrics.
func metric(name string) uint64 {
	samples := []metrics.Sample{{Name: name}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
