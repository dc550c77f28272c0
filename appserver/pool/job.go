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

// Stage is the state of a job for its owner.
type Stage uint32

// The stages of a job.
const (
	StageNew     Stage = iota // the owner prepares it
	StageWaiting              // it was submitted
	StageHead                 // Head has come: the response goes on
	StageFailed               // there is no response; Failure says why
	StageGone                 // the client has left before a worker had the job
)

// place is the state of a job for the pool.
type place uint8

const (
	placeOutside   place = iota // it was not given to the pool, or has ended
	placeQueued                 // it is in the queue
	placeSent                   // it is in the table of a worker, which has sent no frame for it
	placeAnswering              // it is in the table of a worker, which has sent a frame for it
	placeTalking                // as placeAnswering, with a WebSocket that was accepted
)

// interest says whether somebody waits for the answer to a job.
type interest uint8

const (
	wanted    interest = iota // its Exchange waits
	withdrawn                 // nobody waits: the Exchange has gone
	cancelled                 // nobody waits, and the worker was told
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

// Job is a request in the pool. The owner makes it with Init, sets the fields of the first
// group, submits it, and calls Drop when it does not need it any more. The pool wakes the
// owner's Exchange for each event; Stage then says what the owner may read.
type Job struct {
	// Set by the owner before Submit.
	Frame  []byte // the request's frame, ready but for its id
	Rights []byte // control message with its descriptors; nil without
	Began  time.Time
	Waker  proxy.Waker          // of the Exchange that gets the job's events
	Client proxy.Client         // nil if only a write shows that the client has gone
	Socket Socket               // of a request for a WebSocket; nil for other requests
	Out    upstream.WriteBehind // for the body of an answer that is not Whole; the owner sets Memory, Disk, Dir and Space

	owner Owner
	refs  atomic.Int32

	placing
	Answer

	// For the owner and the pool:
	stage   atomic.Uint32
	left    atomic.Bool                // the client has left during the response
	failure atomic.Pointer[proxy.Fail] // why there is no answer, or why it has ended too early
}

// placing is the part of a job that the pool's lock guards.
type placing struct {
	arrival uint64 // the job's number in the order of arrival at the pool
	at      place
	worker  *worker // the worker that has it, or had it last
	id      uint32
	slot    int32 // the slot that answers; -1 before the first frame
	wanted  interest
	deaths  int32         // how many workers died that had received it and had not started it
	losses  int32         // how many workers were lost that had not received it
	waited  time.Duration // how long it waited for a worker; 0 if one was free
	silence time.Duration // for how long the client may have left
	hints   []*Head       // early hints that the owner has not taken yet
	credit  int64         // credit of the worker for Message that was not spent yet
	started int64         // when the tick has found it started, in nanoseconds; 0 before
	prev    *Job          // in the queue
	next    *Job
}

// Answer has the first frame of an answer. The worker's reader writes it once. The owner may
// read it from StageHead on, and may keep Head.
type Answer struct {
	Head   *Head
	Whole  bool     // the frame is the whole answer: Text or File is the body
	Text   []byte   // valid until the job is dropped
	File   *os.File // the owner closes it and sets it to nil, or calls DiscardFile
	Offset int64    // where in File the body begins
	by     *worker  // the worker that has answered
	// Subprotocol is the subprotocol that the application has chosen for a WebSocket; ""
	// for none.
	Subprotocol string
	// Trailers are the fields after the body of an answer that is not Whole, once Out has
	// ended; nil if there are none.
	Trailers *Head
	small    []byte  // memory for a small Text
	block    *[]byte // the buffer of Text; nil if Text is in small
}

const (
	// smallBody is the size up to which a body is copied from the receive buffer.
	smallBody = 4 << 10
	// usualFrame is the capacity of Frame in a new Job.
	usualFrame = 2048
)

// Init readies a new Job, or one for which Reuse was called. The owner holds one reference.
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
	j.DiscardFile()
	if j.block != nil {
		wire.FreeBuffer(j.block)
	}
	j.Out.Reset()
	j.clear()
	j.owner.Reuse()
}

// mostClosing bounds the files of a pool's workers that are being discarded. Each may need a
// thread of the system for long.
const mostClosing = 512

// DiscardFile closes File, if there is one, on another goroutine: closing a file that a worker has
// chosen may wait, as for a socket with SO_LINGER.
func (j *Job) DiscardFile() {
	if j.File == nil {
		return
	}
	f, p := j.File, j.by.pool
	j.File = nil
	p.closing.Add(1)
	go func() {
		f.Close()
		p.closing.Add(-1)
	}()
}

// clear resets the job. It keeps the memory for a small Text, and that of Frame unless it is
// large.
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

// Stage returns the stage of the job.
func (j *Job) Stage() Stage { return Stage(j.stage.Load()) }

// advance makes the transition from StageWaiting to to. In another stage it does nothing.
func (j *Job) advance(to Stage) { j.stage.CompareAndSwap(uint32(StageWaiting), uint32(to)) }

// Failure returns why there is no answer, or why it has ended too early; nil if neither has
// happened.
func (j *Job) Failure() *proxy.Fail { return j.failure.Load() }

// Waited returns how long the job has waited for a worker. It is final from StageHead on.
func (j *Job) Waited() time.Duration { return j.waited }

// Worker returns the name of the worker that answers. It may be called from StageHead on.
func (j *Job) Worker() string { return j.by.name }

// RequestID returns the two parts of the $request_id that the worker has made. It may be called
// from StageHead on.
func (j *Job) RequestID() (*proxy.RequestKey, uint32) { return &j.by.key, j.id }

// Lost reports whether the connection to the client is lost, or the client counts as gone.
func (j *Job) Lost() bool { return j.left.Load() || j.Client != nil && j.Client.Lost() }

// clientGone reports whether nobody waits for the answer to j, which no worker has. The caller
// holds the pool's lock.
func (j *Job) clientGone() bool { return j.wanted != wanted || j.Client != nil && j.Client.Gone() }

// submitted notes that the job was submitted as the n-th.
func (j *Job) submitted(n uint64) {
	j.arrival = n
	j.stage.Store(uint32(StageWaiting))
}

// withdraw notes that nobody waits for the answer. The caller holds the pool's lock.
func (j *Job) withdraw() { j.wanted = max(j.wanted, withdrawn) }

// sent notes that w has the job. The caller holds the pool's lock.
func (j *Job) sent(w *worker) { j.at, j.worker, j.started = placeSent, w, 0 }

// answers notes that slot has sent the first frame for the job. The caller holds the pool's
// lock.
func (j *Job) answers(slot int32) { j.at, j.slot = placeAnswering, slot }

// silent notes that the client may have left, for another while. At least six calls are needed
// before the client counts as gone, even if a call comes after a pause. The caller holds the
// pool's lock.
func (j *Job) silent(since time.Duration) {
	if j.silence += min(since, silenceOfLeft/5); j.silence > silenceOfLeft {
		j.left.Store(true)
	}
}

// failed reports whether there is no answer, or whether it has ended too early.
func (j *Job) failed() bool { return j.failure.Load() != nil }

// fail ends the job without an answer, or its answer too early. Only the first failure counts:
// later ones, such as the end of a request that was cancelled, follow from it.
func (j *Job) fail(f *proxy.Fail) {
	if !j.failure.CompareAndSwap(nil, f) {
		return
	}
	j.Out.End(f)
	j.advance(StageFailed)
	j.tell(nil)
}

// abort ends a job that no worker has any more with 502, and drops the pool's reference to it.
func (j *Job) abort(why string) {
	j.fail(&proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: why})
	j.Drop()
}

// tell sends an event to the Exchange; see proxy.Waker.WakeIn. If t is nil, the caller may hold
// the pool's lock.
func (j *Job) tell(t *eventloop.Turn) { j.Waker.WakeIn(t) }

// Name implements upstream.Source. It returns the worker's name.
func (j *Job) Name() string { return j.by.name }

// Repay implements upstream.Source. The slot that answers gets credit for n bytes.
func (j *Job) Repay(n int64) { j.by.slots[j.slot].repay(j.id, n) }

// Free implements upstream.Source.
func (j *Job) Free(buffer *[]byte) { wire.FreeBuffer(buffer) }
