package pool

import (
	crand "crypto/rand"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// workerState is where a worker stands in its life.
type workerState uint8

// The states, in order.
const (
	workerStarting  workerState = iota // importing the application
	workerReady                        // takes requests
	workerLeaving                      // finishes what it runs, then exits
	workerCondemned                    // as workerLeaving, for a fault; signals follow
	workerDead
)

// String names the state: "starting", "ready", "leaving", "condemned", "dead".
func (s workerState) String() string {
	return [...]string{"starting", "ready", "leaving", "condemned", "dead"}[s]
}

// What a worker has.
const (
	Window     = 256 << 10 // credit of a slot, in bytes
	MaxThreads = 1015      // of a worker: with ahead they fit the index
)

const (
	ahead       = 60 // the most requests that wait at a worker
	indexBits   = 11
	bootMessage = "it waits at import for something, such as a database that does not answer, or calls app.run(), " +
		"which belongs behind if __name__ == \"__main__\"; its stack shows where"
)

// worker is one process and what the front knows of it. Fields of the second
// group are under the pool's lock.
type worker struct {
	pool    *Pool
	name    string
	number  int
	threads int
	process Process
	channel *wire.Channel
	page    wire.Page
	slots   []slot
	heads   heads
	born    time.Time
	readied time.Time       // when it became ready
	group   sync.WaitGroup  // its goroutines
	loop    *eventloop.Loop // that it is read in; nil: by a goroutine
	lane    *wire.Lane      // nil where there is none

	reading   sync.Mutex   // of one who receives
	receiving *[]byte      // under reading
	ended     atomic.Bool  // nothing more is received; set under reading
	broke     bool         // the protocol, in what was received; under reading
	booted    bool         // it has said how its start ended; under reading
	leaves    bool         // it has asked to leave; under reading
	life      sync.RWMutex // held while the lane must stay mapped, beside reading

	state       workerState
	table       []*Job // by the low bits of ids
	free        []uint16
	sequence    uint32
	outstanding int
	assigned    uint64 // requests given to it, for round_robin
	served      uint64
	newest      uint64      // arrival of the newest request sent to it; 0 once that was recalled
	depth       int         // how many requests may wait at it
	paced       uint64      // served, when the tick last looked
	limit       uint64      // max_requests with jitter; 0: none
	tired       bool        // near its limit: replaced, then retired
	slow        bool        // its running request is long: nothing is queued behind it
	stuck       bool        // it does not start what it has been sent
	full        bool        // its socket has no room
	distrusted  bool        // it broke the protocol in shared memory: it will be killed
	misfit      uint32      // id of the newest request that went by the channel and not by the lane
	owesWake    atomic.Bool // its lane has a request that it has not been woken for
	wakeUp      [wire.HeaderSize]byte
	progress    int64 // when a response last ended, or it stopped being idle
	stuckSince  int64 // progress, when it was found stuck
	retry       int64 // when it may be tried again
	patience    int64 // how long after the last trial that is; 0: it is not stuck
	report      Report

	// The supervisor's own.
	beat      uint32 // its heartbeat, as last seen
	beatSeen  time.Time
	deadline  time.Time // of start-up or leaving
	termed    bool
	killed    bool
	reason    string // why it is condemned or leaves
	boot      *BootError
	importing bool      // counts among those that import
	looked    time.Time // when its use of the CPU was looked at
	used      int64     // CPU time by then, in clock ticks

	key     proxy.RequestKey // of its requests' $request_id
	output  []*os.File       // read ends, by the pool's outputs
	printed sync.WaitGroup   // what they held at the worker's end is logged
	early   lastLines        // what it printed before it was ready
}

// newWorker starts the process and the goroutines that serve it.
func (p *Pool) newWorker(number int) (*worker, error) {
	w := &worker{
		pool: p, number: number, name: p.o.Name + ":" + strconv.Itoa(number), threads: p.o.Threads,
		slots: make([]slot, p.o.Threads), heads: heads{}, born: time.Now(), depth: 1,
		table: make([]*Job, p.o.Threads+ahead),
	}
	crand.Read(w.key[:])
	for i := range w.table {
		w.free = append(w.free, uint16(len(w.table)-1-i))
	}
	if p.o.MaxRequests > 0 {
		w.limit = uint64(p.o.MaxRequests)
		if p.o.MaxJitter > 0 {
			w.limit += uint64(rand.IntN(p.o.MaxJitter + 1))
		}
	}
	if loops := p.o.Loops; loops != nil {
		w.loop = loops.Next()
	}
	files, err := w.prepare()
	if err == nil {
		w.process, err = p.o.Launch(w.order(files))
	}
	for _, f := range files {
		if p.arena == nil || f != p.arena.File() {
			f.Close()
		}
	}
	if err != nil {
		w.discard()
		return nil, err
	}
	w.start()
	return w, nil
}

// order is for whoever starts the worker.
func (w *worker) order(files []*os.File) Order {
	o := Order{Number: w.number, Files: files, Key: hex.EncodeToString(w.key[:])}
	if w.lane != nil {
		o.Lane = w.lane.Geometry()
	}
	if a := w.pool.arena; a != nil {
		o.Bodies = a.Size()
	}
	return o
}

// prepare makes the descriptors of an Order.
func (w *worker) prepare() (files []*os.File, err error) {
	var ends [4]*os.File // standard output and error, diagnostics, log
	for i := range ends {
		var r *os.File
		if r, ends[i], err = newPipe(); err != nil {
			return files, err
		}
		w.output = append(w.output, r)
		if i < 2 {
			files = append(files, ends[i])
		}
	}
	var theirs *os.File
	if w.channel, theirs, err = wire.NewChannel(w.loop); err != nil {
		return append(files, ends[2:]...), err
	}
	files = append(files, theirs)
	var statusFile *os.File
	if w.page, statusFile, err = wire.NewPage(w.threads); err != nil {
		return append(files, ends[2:]...), err
	}
	files = append(append(files, statusFile), ends[2:]...)
	for i := range w.slots {
		f, err := w.slots[i].open(w.page, i)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	if w.loop != nil {
		var shared *os.File
		if w.lane, shared, err = wire.NewLane(w.threads+ahead, 0); shared != nil {
			files = append(files, shared)
		}
		if a := w.pool.arena; err == nil && a != nil {
			files = append(files, a.File())
		}
	}
	return files, err
}

func (w *worker) start() {
	take := [...]func(lines []byte){w.printLines, w.printLines, w.logStacks, w.logLines}
	for i, f := range w.output {
		w.printed.Add(1)
		w.pool.outputs.add(f, func() { w.copyLines(f, take[i]) })
	}
	finish := w.drain
	if w.loop != nil {
		w.loop.AddSource(w)
	} else {
		done := make(chan struct{})
		w.group.Go(func() {
			defer close(done)
			w.read()
		})
		finish = func() {
			w.channel.Finish()
			<-done
		}
	}
	w.group.Go(func() {
		exit := <-w.process.Exited()
		w.endOutput()
		finish()
		w.pool.post(event{kind: eventExited, w: w, exit: exit})
	})
}

// discard releases what the worker held. Its process has ended.
func (w *worker) discard() {
	for i := range w.slots {
		w.slots[i].close()
	}
	if w.process == nil {
		for _, f := range w.output {
			f.Close()
		}
	}
	w.reading.Lock()
	broke := w.broke
	w.reading.Unlock()
	switch {
	case w.channel == nil:
	case broke:
		go w.channel.Close() // with what the worker has chosen to leave in it; see wire.DiscardAll
	default:
		w.channel.Close()
	}
	w.page.Close()
	w.page = nil
	if w.lane != nil {
		w.reading.Lock()
		w.life.Lock()
		w.ended.Store(true)
		w.lane.Close()
		w.life.Unlock()
		w.reading.Unlock()
	}
}

// hasStarted reports whether the worker's thread has begun with j.
func (w *worker) hasStarted(j *Job) bool {
	return j.at == placeAnswering || w.runningIn(j) >= 0
}

// runningIn returns the slot whose thread has begun with j and with nothing
// since; -1 when there is none.
func (w *worker) runningIn(j *Job) int {
	for i := range w.slots {
		if w.page.Mark(i) == j.id {
			return i
		}
	}
	return -1
}

// add gives j a place in the table and an id.
func (w *worker) add(j *Job) {
	index := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.sequence = (w.sequence + 1) & (1<<(32-indexBits) - 1)
	if w.sequence == 0 {
		w.sequence = 1
	}
	j.id = w.sequence<<indexBits | uint32(index)
	w.table[index] = j
	j.at, j.worker, j.started = placeSent, w, 0
	if w.outstanding == 0 {
		w.progress = w.pool.now.Load()
	}
	w.outstanding++
	w.assigned++
}

// remove takes j from the table.
func (w *worker) remove(j *Job) {
	index := j.id & (1<<indexBits - 1)
	w.table[index] = nil
	w.free = append(w.free, uint16(index))
	w.outstanding--
	if j.slot >= 0 && w.slots[j.slot].current == j {
		w.slots[j.slot].current = nil
	}
	if j.wanted == cancelled {
		for i := range w.slots {
			w.slots[i].forget(j.id)
		}
	}
	j.at = placeOutside
}

func (w *worker) find(id uint32) *Job {
	index := id & (1<<indexBits - 1)
	if int(index) >= len(w.table) {
		return nil
	}
	if j := w.table[index]; j != nil && j.id == id {
		return j
	}
	return nil
}

// healthy reports whether the worker starts what it is sent, as far as is known.
func (w *worker) healthy() bool { return !w.stuck && !w.distrusted }

// room is how many more requests the worker may be sent.
func (w *worker) room() int {
	if w.limit > 0 {
		return min(w.space(), w.left())
	}
	return w.space()
}

// space is room without max_requests.
func (w *worker) space() int {
	switch {
	case w.state != workerReady || w.distrusted:
		return 0
	case w.patience > 0 || w.full:
		return max(1-w.outstanding, 0)
	case w.slow:
		return w.threads - w.outstanding
	}
	return w.threads + w.depth - w.outstanding
}

// runsOthers reports whether it runs requests that somebody waits for.
func (w *worker) runsOthers() bool {
	for _, j := range w.table {
		if j != nil && !j.failed() && j.wanted == wanted && w.hasStarted(j) {
			return true
		}
	}
	return false
}

func (w *worker) signal(s syscall.Signal) {
	if w.process != nil {
		w.process.Signal(s)
	}
}
