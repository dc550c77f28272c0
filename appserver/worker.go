package appserver

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// State is where a worker stands in its life.
type State uint8

// The states, in order.
const (
	Starting  State = iota // importing the application
	Ready                  // takes requests
	Leaving                // finishes what it runs, then exits
	Condemned              // as Leaving, for a fault; signals follow
	Dead
)

// String names the state: "starting", "ready", "leaving", "condemned", "dead".
func (s State) String() string {
	return [...]string{"starting", "ready", "leaving", "condemned", "dead"}[s]
}

const (
	ahead       = 60        // requests sent to a worker beyond its threads
	window      = 256 << 10 // credit of a slot, in bytes
	pageStride  = 64
	indexBits   = 11
	maxThreads  = 1015 // which with ahead fits the index
	bootMessage = "app.run() at import? guard it with if __name__ == \"__main__\""
)

// worker is one process and what the front knows of it. Fields of the second
// group are under the pool's lock.
type worker struct {
	pool    *Pool
	name    string
	number  int
	threads int
	process Process
	channel *channel
	page    []byte
	slots   []slot
	heads   heads
	born    time.Time
	group   sync.WaitGroup  // its goroutines
	loop    *eventloop.Loop // that it is read in; nil: by a goroutine
	lane    *lane           // nil where there is none

	reading   sync.Mutex   // of one who receives
	receiving *[]byte      // under reading
	ended     atomic.Bool  // nothing more is received; set under reading
	life      sync.RWMutex // held while the lane must stay mapped, beside reading

	state       State
	table       []*request // by the low bits of ids
	free        []uint16
	sequence    uint32
	outstanding int
	assigned    uint64 // requests given to it, for round_robin
	served      uint64
	limit       uint64      // max_requests with jitter; 0: none
	tired       bool        // at its limit: replaced, then retired
	slow        bool        // its running request is long: nothing is queued behind it
	stuck       bool        // it does not start what it has been sent
	full        bool        // its socket has no room
	owesWake    atomic.Bool // its lane has a request that it has not been woken for
	wakeUp      [headerSize]byte
	progress    int64 // when a response last ended, or it stopped being idle
	report      Report

	// The supervisor's own.
	deadline  time.Time // of start-up or leaving
	termed    bool
	killed    bool
	reason    string // why it is condemned or leaves
	boot      *BootError
	importing bool      // counts among those that import
	looked    time.Time // when its use of the CPU was looked at
	used      int64     // CPU time by then, in clock ticks

	output  []*os.File     // read ends, by the pool's outputs
	printed sync.WaitGroup // what they held at the worker's end is logged
	early   lastLines      // what it printed before it was ready
}

// slot is one thread of a worker.
type slot struct {
	current *request // under the pool's lock
	credit  atomic.Int64
	owed    atomic.Int64

	mu     sync.Mutex
	closed bool
	give   credit
}

// repay returns n bytes of credit to the slot, by batches.
func (s *slot) repay(n int64) {
	if n == 0 || s.owed.Add(n) < window/2 {
		return
	}
	n = s.owed.Swap(0)
	if n == 0 {
		return
	}
	s.credit.Add(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.give.give(int(n))
	}
}

// newWorker starts the process and the goroutines that serve it.
func (p *Pool) newWorker(number int) (*worker, error) {
	w := &worker{
		pool: p, number: number, name: p.app.Name + ":" + strconv.Itoa(number), threads: p.app.Threads,
		slots: make([]slot, p.app.Threads), heads: heads{}, born: time.Now(),
		table: make([]*request, p.app.Threads+ahead),
	}
	for i := range w.table {
		w.free = append(w.free, uint16(len(w.table)-1-i))
	}
	if p.app.MaxRequests > 0 {
		w.limit = uint64(p.app.MaxRequests)
		if p.app.MaxJitter > 0 {
			w.limit += uint64(rand.IntN(p.app.MaxJitter + 1))
		}
	}
	if loops := p.rt.o.Loops; loops != nil {
		w.loop = loops.Next()
	}
	files, err := w.prepare()
	if err == nil {
		w.process, err = p.launch(w.name, files)
	}
	for _, f := range files {
		if f != p.zip && (p.arena == nil || f != p.arena.file) {
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

// prepare makes the descriptors that the worker inherits, 0 and up.
func (w *worker) prepare() (files []*os.File, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	files = append(files, null)
	var ends [3]*os.File
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
	if w.channel, theirs, err = newChannel(w.loop); err != nil {
		return append(files, ends[2]), err
	}
	files = append(files, w.pool.zip, theirs)
	page, err := pageFile(pageStride * w.threads)
	if err != nil {
		return append(files, ends[2]), err
	}
	files = append(files, page, ends[2])
	if w.page, err = unix.Mmap(int(page.Fd()), 0, pageStride*w.threads, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return files, fmt.Errorf("cannot map a status page: %w", err)
	}
	for i := range w.slots {
		s := &w.slots[i]
		s.credit.Store(window)
		var f *os.File
		if s.give, f, err = newCredit(); err != nil {
			s.closed = true
			return files, err
		}
		files = append(files, f)
	}
	if w.loop != nil {
		var shared []*os.File
		w.lane, shared, err = newLane(w.threads + ahead)
		files = append(files, shared...)
		if a := w.pool.arena; err == nil && a != nil {
			files = append(files, a.file)
		}
	}
	return files, err
}

func (w *worker) start() {
	if err := w.channel.send(w.initFrame(), nil); err != nil {
		w.log(proxy.LevelError, "cannot send to worker: %s", err)
	}
	levels := [...]proxy.Level{proxy.LevelNotice, proxy.LevelError, proxy.LevelError}
	for i, f := range w.output {
		w.printed.Add(1)
		w.pool.outputs.add(f, func() { w.copyLines(f, levels[i]) })
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
			w.channel.finish()
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
		s := &w.slots[i]
		s.mu.Lock()
		if !s.closed && s.give.fd > 0 {
			s.give.close()
		}
		s.closed = true
		s.mu.Unlock()
	}
	if w.process == nil {
		for _, f := range w.output {
			f.Close()
		}
	}
	if w.channel != nil {
		w.channel.close()
	}
	if w.page != nil {
		unix.Munmap(w.page)
		w.page = nil
	}
	if w.lane != nil {
		w.reading.Lock()
		w.life.Lock()
		w.ended.Store(true)
		w.lane.close()
		w.life.Unlock()
		w.reading.Unlock()
	}
}

// mark returns the id that the slot's thread wrote last.
func (w *worker) mark(slot int) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&w.page[slot*pageStride])))
}

// hasStarted reports whether the worker's thread has begun with r.
func (w *worker) hasStarted(r *request) bool {
	if r.answering {
		return true
	}
	for i := range w.slots {
		if w.mark(i) == r.id {
			return true
		}
	}
	return false
}

// add gives r a place in the table and an id.
func (w *worker) add(r *request) {
	index := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.sequence = (w.sequence + 1) & (1<<(32-indexBits) - 1)
	if w.sequence == 0 {
		w.sequence = 1
	}
	r.id = w.sequence<<indexBits | uint32(index)
	w.table[index] = r
	r.at, r.worker, r.started = placeWorker, w, 0
	if w.outstanding == 0 {
		w.progress = w.pool.now.Load()
	}
	w.outstanding++
	w.assigned++
}

// remove takes r from the table.
func (w *worker) remove(r *request) {
	index := r.id & (1<<indexBits - 1)
	w.table[index] = nil
	w.free = append(w.free, uint16(index))
	w.outstanding--
	if r.slot >= 0 && w.slots[r.slot].current == r {
		w.slots[r.slot].current = nil
	}
	r.at = placeOutside
}

func (w *worker) find(id uint32) *request {
	index := id & (1<<indexBits - 1)
	if int(index) >= len(w.table) {
		return nil
	}
	if r := w.table[index]; r != nil && r.id == id {
		return r
	}
	return nil
}

// room is how many more requests the worker may be sent.
func (w *worker) room() int {
	switch {
	case w.state != Ready:
		return 0
	case w.stuck || w.full:
		return max(1-w.outstanding, 0)
	case w.slow:
		return w.threads - w.outstanding
	}
	return w.threads + ahead - w.outstanding
}

// runsOthers reports whether it runs requests that somebody waits for.
func (w *worker) runsOthers() bool {
	for _, r := range w.table {
		if r != nil && !r.broken.Load() && w.hasStarted(r) {
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

// unstarted returns the requests that the worker holds but has not started.
func (w *worker) unstarted() []*request {
	var all []*request
	for _, r := range w.table {
		if r != nil && !w.hasStarted(r) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *request) int { return int(a.id>>indexBits) - int(b.id>>indexBits) })
	return all
}
