package pool

import (
	"os"
	"sync/atomic"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
)

// Stage is where a job stands, as its owner sees it.
type Stage uint32

// The stages of a job.
const (
	StageNew     Stage = iota // its owner prepares it
	StageWaiting              // it was submitted
	StageHead                 // Head is there: the response goes on
	StageFailed               // Failure says why there is none
	StageGone                 // the client left before a worker had the job
)

// place is where the pool has a job.
type place uint8

const (
	placeOutside   place = iota // not given to the pool, or done
	placeQueued                 // in the pool's queue
	placeSent                   // in the table of a worker, which has sent no frame for it
	placeAnswering              // in the table of a worker, of which a frame has come
	placeTalking                // as placeAnswering, with a WebSocket that was accepted
)

// interest is who waits for the answer to a job.
type interest uint8

const (
	wanted    interest = iota
	withdrawn          // nobody: its Exchange has gone
	cancelled          // nobody, and the worker that runs it was told
)

// Owner is the request of which a Job is the pool's part.
type Owner interface {
	// Line returns the request's method and target, for people. It is called under the
	// pool's lock.
	Line() string
	// Starved reports whether the worker waits for a part of the request's body that
	// the client has not sent. It is called under the pool's lock.
	Starved() bool
	// Reuse is called when neither the pool nor the owner refers to the Job any more.
	Reuse()
}

// Job is a request on its way to a worker and back. The owner makes it with Init, sets
// the fields of the first group, submits it, and calls Drop when it needs it no more. The
// pool wakes the owner's Exchange upon each event; then Stage says what to read.
type Job struct {
	// Set by the owner before Submit.
	Frame  []byte // the request's frame, ready but for its id
	Rights []byte // control message with its descriptors; nil without
	Began  time.Time
	Waker  proxy.Waker          // of the Exchange that gets the job's events
	Client proxy.Client         // nil where its loss is seen by writing only
	Socket Socket               // of a request for a WebSocket; nil: it is none
	Out    upstream.WriteBehind // the body of an answer that is not Whole: Memory, Disk, Dir and Space are set

	owner Owner
	refs  atomic.Int32

	placing
	Answer

	// What has happened, for the owner and for the pool.
	stage   atomic.Uint32
	left    atomic.Bool                // its client has left in the midst of the response
	failure atomic.Pointer[proxy.Fail] // why there is no answer, or why it has ended too early
}

// placing is where a job stands for the pool. The pool's lock guards it.
type placing struct {
	arrival uint64 // the job's number in the order of arrival at the pool
	at      place
	worker  *worker // that has it, or had it last
	id      uint32
	slot    int32 // of the thread that answers; -1 before
	wanted  interest
	deaths  int           // workers that died holding it, unstarted
	waited  time.Duration // for a worker; 0 when one was free
	silence time.Duration // for which its client may have left
	hints   []*Head       // early hints that the owner has not taken
	credit  int64         // that the worker has given for Message, and that was not spent
	started int64         // when the tick saw it started; 0 before
	prev    *Job          // in the queue
	next    *Job
}

// Answer is what the first frame of an answer has. The worker's reader writes it, once. The
// owner may read it from StageHead on, and keep Head.
type Answer struct {
	Head  *Head
	Whole bool     // the frame was all: Text or File is the body
	Text  []byte   // valid until the job is dropped
	File  *os.File // the owner, who closes it, sets it to nil
	by    *worker  // whose answer it is
	// Subprotocol is what an application that accepts a WebSocket has chosen; "": none.
	Subprotocol string
	// Trailers are the fields after the body of an answer that is not Whole, once Out has
	// ended; nil: none.
	Trailers *Head
	small    []byte  // memory for Text
	block    *[]byte // in which Text is; nil: in small
}

const (
	// smallBody is the size up to which a body is copied out of the receive buffer.
	smallBody = 4 << 10
	// usualFrame is the size of the memory for a frame that a Job begins with.
	usualFrame = 2048
)

// Init makes a job of owner's that was never used, or for which Reuse was called. The owner
// holds one reference.
func (j *Job) Init(owner Owner) {
	if j.owner == nil {
		j.owner, j.Frame, j.small = owner, make([]byte, 0, usualFrame), make([]byte, 0, smallBody)
	}
	j.refs.Store(1)
	j.slot = -1
}

// Drop gives one reference back.
func (j *Job) Drop() {
	if j.refs.Add(-1) > 0 {
		return
	}
	if j.File != nil {
		go j.File.Close() // nobody wanted it; see wire.DiscardAll
	}
	if j.block != nil {
		wire.FreeBuffer(j.block)
	}
	j.Out.Reset()
	j.clear()
	j.owner.Reuse()
}

// clear forgets what the job was. It keeps the memory of Frame, unless that is large, and
// that of small texts.
func (j *Job) clear() {
	j.Frame = j.Frame[:0]
	if cap(j.Frame) > wire.MaxFrame+1024 {
		j.Frame = make([]byte, 0, usualFrame)
	}
	j.Rights, j.Began, j.Waker, j.Client, j.Socket = nil, time.Time{}, proxy.Waker{}, nil, nil
	j.placing, j.Answer = placing{slot: -1}, Answer{small: j.small}
	j.stage.Store(uint32(StageNew))
	j.left.Store(false)
	j.failure.Store(nil)
}

// Stage returns where the job stands.
func (j *Job) Stage() Stage { return Stage(j.stage.Load()) }

// advance takes a job that waits to a stage. One that has left StageWaiting stays.
func (j *Job) advance(to Stage) { j.stage.CompareAndSwap(uint32(StageWaiting), uint32(to)) }

// Failure returns why there is no answer, or why it has ended too early; nil: neither is
// so.
func (j *Job) Failure() *proxy.Fail { return j.failure.Load() }

// Waited returns how long the job has waited for a worker. It is final from StageHead on.
func (j *Job) Waited() time.Duration { return j.waited }

// Worker returns the name of the worker that answers, which is known from StageHead on.
func (j *Job) Worker() string { return j.by.name }

// RequestID returns what makes the $request_id that the worker has made, from StageHead on.
func (j *Job) RequestID() (*proxy.RequestKey, uint32) { return &j.by.key, j.id }

// Lost reports that no answer can reach the client, or that it is taken for gone.
func (j *Job) Lost() bool { return j.left.Load() || j.Client != nil && j.Client.Lost() }

// clientGone reports that nobody waits for the answer to j, which no worker
// has. The pool's lock is held.
func (j *Job) clientGone() bool { return j.wanted != wanted || j.Client != nil && j.Client.Gone() }

// submitted notes that the job is the n-th to arrive.
func (j *Job) submitted(n uint64) {
	j.arrival = n
	j.stage.Store(uint32(StageWaiting))
}

// withdraw notes that nobody waits for the answer. The pool's lock is held.
func (j *Job) withdraw() { j.wanted = max(j.wanted, withdrawn) }

// sent notes that w has the job. The pool's lock is held.
func (j *Job) sent(w *worker) { j.at, j.worker, j.started = placeSent, w, 0 }

// answers notes that the first frame for the job has come, from that slot. The pool's lock
// is held.
func (j *Job) answers(slot int32) { j.at, j.slot = placeAnswering, slot }

// silent notes that the client may have left, for another while. It counts as gone after
// several looks, also after a pause. The pool's lock is held.
func (j *Job) silent(since time.Duration) {
	if j.silence += min(since, silenceOfLeft/5); j.silence > silenceOfLeft {
		j.left.Store(true)
	}
}

// failed reports that there is no answer to wait for, or that it has ended too early.
func (j *Job) failed() bool { return j.failure.Load() != nil }

// fail ends the job without a response, or its response too early. The first failure stays:
// what follows from it, such as the end of a request that was cancelled, says no more.
func (j *Job) fail(f *proxy.Fail) {
	if !j.failure.CompareAndSwap(nil, f) {
		return
	}
	j.Out.End(f)
	j.advance(StageFailed)
	j.tell(nil)
}

// tell has the Exchange look at its job. One that is suspended goes on
// inline where t leads a loop, else on a goroutine: then the caller may hold
// the pool's lock.
func (j *Job) tell(t *eventloop.Turn) { j.Waker.WakeIn(t) }

// Name implements upstream.Source: it returns the worker's name.
func (j *Job) Name() string { return j.by.name }

// Repay implements upstream.Source: who answers gets credit for n bytes.
func (j *Job) Repay(n int64) { j.by.slots[j.slot].repay(j.id, n) }

// Free implements upstream.Source.
func (j *Job) Free(buffer *[]byte) { wire.FreeBuffer(buffer) }
