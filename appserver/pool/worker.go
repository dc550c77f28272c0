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

// Bounds of a worker.
const (
	Window     = 256 << 10     // the credit of a slot, in bytes
	mostUnread = Window + 1024 // bytes of frames for a request that an ASGI worker has not read: messages, and frames without credit
	MaxThreads = 1015          // threads of a worker: with ahead they fit a lane
	MaxStreams = 65000         // requests of an ASGI worker: with ahead they fit 16 bits
)

const (
	ahead       = 60 // how many requests may wait at a worker
	bootMessage = "it waits at import for something, such as a database that does not answer, or calls app.run(), " +
		"which belongs behind if __name__ == \"__main__\"; its stack shows where"
)

// worker is one process. Each group of fields has one owner, which writes them by the methods of
// the group.
type worker struct {
	// Fixed once the worker was started.
	pool    *Pool
	name    string
	number  int
	threads int // how many requests it runs at a time
	process Process
	channel *wire.Channel
	streams *wire.Streams // nil: it is a WSGI worker
	page    wire.Page
	slots   []slot // one for each thread; for each place in the table of an ASGI worker
	born    time.Time
	group   sync.WaitGroup   // its goroutines
	loop    *eventloop.Loop  // the loop that reads its frames; nil: a goroutine does
	lane    *wire.Lane       // nil if there is none
	key     proxy.RequestKey // a part of $request_id of its requests

	// Under the pool's lock.
	standing
	table
	gait
	passing
	owes atomic.Bool // there are jobs in the table; it may be loaded without the lock

	reader   // under its own lock
	watch    // for the supervisor
	printing // its output
}

// standing is the state of a worker in its pool. The pool's lock guards it. Only the supervisor
// changes state, readied and report.
type standing struct {
	state   workerState
	readied time.Time // when it became ready
	report  Report
	tired   bool // it is near its limit, and retires once another worker has taken its place
	asked   bool // it has asked to leave
}

// newWorker starts the process and the goroutines that serve it.
func (p *Pool) newWorker(number int) (*worker, error) {
	w := &worker{
		pool: p, number: number, name: p.o.Name + ":" + strconv.Itoa(number), threads: p.o.running(),
		slots: make([]slot, pageLines(p.o.Threads, p.o.Streams)), born: time.Now(),
		table: newTable(p.o.running()+ahead, p.o.limit()), gait: newGait(), reader: newReader(),
	}
	crand.Read(w.key[:])
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

// running returns how many requests a worker runs at a time.
func (s Settings) running() int {
	if s.Streams > 0 {
		return s.Streams
	}
	return s.Threads
}

// limit returns how many requests a worker may be given; 0 means no limit. It varies, so that
// not all workers are replaced at once.
func (s Settings) limit() uint64 {
	limit := uint64(s.MaxRequests)
	if limit > 0 && s.MaxJitter > 0 {
		limit += uint64(rand.IntN(s.MaxJitter + 1))
	}
	return limit
}

// order returns the Order with which the worker is started.
func (w *worker) order(files []*os.File) Order {
	o := Order{Number: w.number, Kind: w.pool.o.Kind, Files: files, Key: hex.EncodeToString(w.key[:])}
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
	if w.page, statusFile, err = wire.NewPage(len(w.slots)); err != nil {
		return append(files, ends[2:]...), err
	}
	files = append(append(files, statusFile), ends[2:]...)
	if files, err = w.openSlots(files); err != nil {
		return files, err
	}
	if w.loop != nil {
		var shared *os.File
		if w.lane, shared, err = wire.NewLane(w.entries(), 0); shared != nil {
			files = append(files, shared)
		}
		if a := w.pool.arena; err == nil && a != nil {
			files = append(files, a.File())
		}
	}
	return files, err
}

// entries returns how many requests the lane must hold. An ASGI worker takes a request from the
// lane as soon as it reads it, also while others run.
func (w *worker) entries() int {
	if w.streams != nil {
		return 1 + ahead
	}
	return w.threads + ahead
}

// openSlots readies the slots, and appends the worker's ends of their descriptors to files.
func (w *worker) openSlots(files []*os.File) ([]*os.File, error) {
	if w.pool.o.Streams > 0 {
		var f *os.File
		var err error
		if w.streams, f, err = wire.NewStreams(w.loop, len(w.slots)*mostUnread, w.onLost); err != nil {
			return files, err
		}
		for i := range w.slots {
			w.slots[i].account = &stream{channel: w.streams, place: i}
		}
		return append(files, f), nil
	}
	for i := range w.slots {
		t, f, err := newThread(w.page, i)
		if err != nil {
			return files, err
		}
		w.slots[i].account = t
		files = append(files, f)
	}
	return files, nil
}

// start starts the goroutines that read from the worker, and the one that waits for its end.
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
		if w.streams != nil {
			finish = w.readStreams(finish)
		}
	}
	w.group.Go(func() {
		exit := <-w.process.Exited()
		w.endOutput()
		finish()
		w.pool.post(event{kind: eventExited, w: w, exit: exit})
	})
}

// discard releases the descriptors and the memory of a worker whose process has ended.
func (w *worker) discard() {
	for i := range w.slots {
		if a := w.slots[i].account; a != nil {
			a.close()
		}
	}
	if w.process == nil {
		for _, f := range w.output {
			f.Close()
		}
	}
	switch {
	case w.channel == nil:
	case w.endReading() == readBreach:
		go w.closeChannels() // also closes descriptors that the worker has left in them; see wire.DiscardAll
	default:
		w.closeChannels()
	}
	w.page.Close()
	w.page = nil
	if w.lane != nil {
		w.mapped.Lock()
		w.lane.Close()
		w.mapped.Unlock()
	}
}

// closeChannels closes the channel and the stream channel.
func (w *worker) closeChannels() {
	w.channel.Close()
	if w.streams != nil {
		w.streams.Close()
	}
}

// hasStarted reports whether the worker has started j.
func (w *worker) hasStarted(j *Job) bool {
	return j.at >= placeAnswering || w.runningIn(j) >= 0
}

// runningIn returns the slot that has started j last; -1 if there is none.
func (w *worker) runningIn(j *Job) int {
	if w.streams != nil {
		if i := w.place(j.id); w.page.Mark(i) == j.id {
			return i
		}
		return -1
	}
	for i := range w.slots {
		if w.page.Mark(i) == j.id {
			return i
		}
	}
	return -1
}

// add gives j a place in the table.
func (w *worker) add(j *Job) {
	if w.outstanding == 0 {
		w.begins(w.pool.now.Load())
		w.owes.Store(true)
	}
	w.enter(j)
	if w.streams != nil {
		w.slots[w.place(j.id)].begin(j.id)
	}
	j.sent(w)
}

// remove takes j from the table.
func (w *worker) remove(j *Job) {
	w.leave(j)
	if w.outstanding == 0 {
		w.owes.Store(false)
	}
	if j.slot >= 0 {
		w.slots[j.slot].leave(j)
	}
	if j.wanted == cancelled && w.streams == nil {
		for i := range w.slots {
			w.slots[i].forget(j.id)
		}
	}
	j.at = placeOutside
}

// healthy reports whether the worker starts its requests, as far as is known.
func (w *worker) healthy() bool { return w.trust == starts || w.trust == onTrial }

// room returns how many more requests the worker may be sent.
func (w *worker) room() int {
	if w.limit > 0 {
		return min(w.space(), w.left())
	}
	return w.space()
}

// space is room without regard to max_requests.
func (w *worker) space() int {
	switch {
	case w.state != workerReady || w.trust == distrusted:
		return 0
	case w.trust != starts || w.queues == takesOne:
		return max(1-w.outstanding, 0)
	case w.queues == queuesNone || w.streams != nil:
		return w.threads - w.outstanding
	}
	return w.threads + w.depth - w.outstanding
}

// keepsWaiting reports whether it has requests that it has not started. The caller holds the
// pool's lock.
func (w *worker) keepsWaiting() bool {
	for _, j := range w.jobs {
		if j != nil && !w.hasStarted(j) {
			return true
		}
	}
	return false
}

// runsOthers reports whether it runs requests for which somebody waits.
func (w *worker) runsOthers() bool {
	for _, j := range w.jobs {
		if j != nil && !j.failed() && j.wanted == wanted && w.hasStarted(j) {
			return true
		}
	}
	return false
}

// isLost reports whether it ends in bad order: it has died or is condemned, leaves because it has
// asked to, or leaves and does not start its requests.
func (w *worker) isLost() bool {
	return w.state >= workerCondemned || w.state == workerLeaving && (w.asked || w.trust == stuck)
}

// signal sends a signal to the process, if there is one.
func (w *worker) signal(s syscall.Signal) {
	if w.process != nil {
		w.process.Signal(s)
	}
}
