package appserver

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// place is where a request stands on its way.
type place uint8

const (
	placeOutside place = iota // not given to the pool, or done
	placeQueued               // in the pool's queue
	placeWorker               // sent to a worker
)

// The stages of a request, as its Exchange sees them.
const (
	stageReading uint32 = iota // its body comes from the client
	stageWaiting               // it was submitted
	stageHead                  // head is there: the response goes on
	stageFailed                // failure says why there is none
	stageGone                  // the client left before a worker had the request
)

// request is one Exchange's request on its way to a worker and back. Fields
// of the second group are the pool's, under its lock; those of the third are
// written by the worker's reader and published by stage and wake.
type request struct {
	frame   []byte // ready but for its id
	rights  []byte // control message with its descriptors; nil without
	about   wire.Environ
	body    upstream.Body
	feed    *feed    // nil: the body is read first
	environ *os.File // of an environ that no frame holds

	pool      *Pool  // that it was given to; before that, the pool whose memory its body is read into
	arrival   uint64 // the request's number in the order of arrival at the pool
	at        place
	worker    *worker
	id        uint32
	slot      int32         // of the thread that answers; -1 before
	answering bool          // a frame for it has come
	withdrawn bool          // its Exchange has gone: nobody waits for the answer
	cancelled bool          // its worker has been told that
	deaths    int           // workers that died holding it, unstarted
	waited    time.Duration // for a worker; 0 when one was free
	silence   time.Duration // for which its client may have left
	started   int64         // when the tick saw it started; 0 before
	prev      *request
	next      *request

	stage   atomic.Uint32
	waiter  waiter
	refs    atomic.Int32
	head    *head
	whole   bool   // the first frame was all: text is the body
	text    []byte // in small, or in block
	small   []byte
	block   *[]byte
	file    *os.File
	offset  int64
	out     upstream.WriteBehind
	broken  atomic.Bool // the response ended too early; failure says why
	left    atomic.Bool // its client has left in the midst of the response
	failure atomic.Pointer[proxy.Fail]
	by      *worker // whose answer it is
}

const smallBody = 4 << 10

var requests = sync.Pool{New: func() any {
	return &request{frame: make([]byte, 0, 2048), small: make([]byte, 0, smallBody)}
}}

// newRequest returns a request held by the Exchange's goroutine and, from
// submit on, by the pool.
func newRequest() *request {
	r := requests.Get().(*request)
	r.refs.Store(1)
	r.slot = -1
	return r
}

// drop gives one hold back; after the last r is used again.
func (r *request) drop() {
	if r.refs.Add(-1) > 0 {
		return
	}
	r.body.Close()
	r.feed.release()
	if r.environ != nil {
		r.environ.Close()
	}
	if r.file != nil {
		go r.file.Close() // nobody wanted it; see wire.DiscardAll
	}
	if r.block != nil {
		frames.Put(r.block)
	}
	r.out.Reset()
	r.about.Reset()
	r.waiter = waiter{}
	frame := r.frame[:0]
	if cap(frame) > wire.MaxFrame+1024 {
		frame = make([]byte, 0, 2048)
	}
	r.clear(frame)
	requests.Put(r)
}

func (r *request) clear(frame []byte) {
	r.frame, r.rights, r.environ, r.feed = frame, nil, nil, nil
	r.pool, r.arrival = nil, 0
	r.at, r.worker, r.id, r.slot, r.answering, r.withdrawn, r.cancelled, r.deaths, r.started = placeOutside, nil, 0, -1, false, false, false, 0, 0
	r.waited, r.silence = 0, 0
	r.prev, r.next, r.head, r.whole, r.text, r.block, r.file, r.offset, r.by = nil, nil, nil, false, nil, nil, nil, 0, nil
	r.stage.Store(stageReading)
	r.broken.Store(false)
	r.left.Store(false)
	r.failure.Store(nil)
}

// fail ends the request without a response, or its response too early.
func (r *request) fail(f *proxy.Fail) {
	r.failure.Store(f)
	r.broken.Store(true)
	r.out.End(f)
	r.stage.CompareAndSwap(stageWaiting, stageFailed)
	r.tell(nil)
}
