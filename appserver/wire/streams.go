package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// Streams is the front's end of the stream channel of an ASGI worker (PROTOCOL.md, "The stream
// channel"). A message is a batch of frames. One goroutine at a time may receive. Any goroutine
// may call Put at any time.
type Streams struct {
	Event *eventloop.Descriptor // nil without a loop
	fd    int
	ours  *os.File        // in the netpoller; nil with a loop
	conn  syscall.RawConn // of ours
	inbox inbox
	oob   []byte // the memory for descriptors
	lost  func(err error)
	most  int // see NewStreams

	mu      sync.Mutex
	waiting int      // bytes of batch and batches
	batch   []byte   // the batch that is being gathered
	batches [][]byte // the batches that wait for room, the oldest first
	state   streamsState
	more    chan struct{} // without a loop: wakes Send
	write   func(p []byte) (int, error)
}

// streamsState is how frames that are put are sent.
type streamsState uint8

const (
	streamsOpen   streamsState = iota // by the next flush
	streamsLater                      // at the end of a turn, by late
	streamsAwait                      // when the worker has made room, by room
	streamsClosed                     // not at all: they are dropped
)

const (
	// LengthSize is the size of the length before each frame of a batch.
	LengthSize = 4
	// MaxStreamFrame is the size of the largest frame of the stream channel.
	MaxStreamFrame = MaxFrame - LengthSize
	// shortage is how long a send waits if the system has no memory for it. The system does
	// not report when it has.
	shortage = 5 * time.Millisecond
)

// errUnread is given to lost if the worker leaves more unread than it can be sent for its requests.
var errUnread = errors.New("it does not read its stream channel")

// ErrEnded is given to lost if the worker has closed its end of the stream channel.
var ErrEnded = errors.New("it has closed its stream channel")

// NewStreams returns the front's end, which loop polls unless it is nil, and the worker's end,
// which the caller closes once the worker has it. The Streams keeps at most most bytes of frames
// for which there is no room. lost is called at most once, when no frame can be sent any more,
// with the error: ErrEnded or another one. It must not call the Streams.
func NewStreams(loop *eventloop.Loop, most int, lost func(err error)) (*Streams, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a worker's stream channel: %w", err)
	}
	for _, fd := range []int{ours, theirs} {
		enlarge(fd)
	}
	unix.SetNonblock(ours, true)
	s := &Streams{fd: ours, oob: make([]byte, unix.CmsgSpace(maxRights*4)), lost: lost, most: most}
	if loop != nil {
		if s.Event, err = loop.Add(ours, nil, 0); err == nil {
			s.Event.AdoptWriter((*room)(s))
			s.write = s.Event.TryWrite
		}
	} else {
		s.ours = os.NewFile(uintptr(ours), "stream channel")
		s.write = s.ours.Write
		s.conn, err = s.ours.SyscallConn()
		s.more = make(chan struct{}, 1)
	}
	if err != nil {
		unix.Close(ours)
		unix.Close(theirs)
		return nil, nil, fmt.Errorf("cannot make a worker's stream channel: %w", err)
	}
	return s, os.NewFile(uintptr(theirs), "stream channel"), nil
}

// TryRead receives a message into p, and the descriptors that came with it. n is 0 at the end.
// If no message has come, err is unix.EAGAIN.
func (s *Streams) TryRead(p []byte) (n int, files []int, err error) {
	return s.received(s.receive(p))
}

// receive receives a message that has come. A worker that has died with frames unread resets
// the channel. The system reports that once, before the messages of the worker.
func (s *Streams) receive(p []byte) received {
	in := s.inbox.receive(s.fd, p, s.oob)
	if in.err == unix.ECONNRESET {
		in = s.inbox.receive(s.fd, p, s.oob)
	}
	return in
}

// Read is TryRead, but waits. It is for channels without a loop.
func (s *Streams) Read(p []byte) (n int, files []int, err error) {
	var in received
	err = s.conn.Read(func(uintptr) bool {
		in = s.receive(p)
		return in.err != unix.EAGAIN
	})
	if err != nil {
		return 0, nil, err
	}
	return s.received(in)
}

// received returns the result in, with its descriptors.
func (s *Streams) received(in received) (n int, files []int, err error) {
	if in.err != nil {
		return 0, nil, in.err
	}
	if in.oobn > 0 {
		files = descriptors(s.oob[:in.oobn])
	}
	if in.flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		DiscardAll(files)
		return 0, nil, ErrFrame
	}
	return in.n, files, nil
}

// NextFrame returns the first frame of a batch, and the rest.
func NextFrame(batch []byte) (frame, rest []byte, err error) {
	if len(batch) < LengthSize {
		return nil, nil, ErrFrame
	}
	n := binary.LittleEndian.Uint32(batch)
	batch = batch[LengthSize:]
	if n < HeaderSize || uint64(n) > uint64(len(batch)) {
		return nil, nil, ErrFrame
	}
	return batch[:n:n], batch[n:], nil
}

// Put sends a frame, whose payload is head and body, at the end of turn t. If t is nil, that is
// the turn of the worker's loop; if no turn runs, Put sends the frame at once. Put never waits:
// it keeps frames for which there is no room. A frame must have at most MaxStreamFrame bytes.
func (s *Streams) Put(t *eventloop.Turn, kind, flags byte, slot int, id uint32, head, body []byte) {
	n := HeaderSize + len(head) + len(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == streamsClosed {
		return
	}
	if s.waiting += LengthSize + n; s.waiting > s.most {
		s.fail(errUnread)
		return
	}
	if len(s.batch) > 0 && len(s.batch)+LengthSize+n > MaxFrame {
		s.seal()
	}
	b := binary.LittleEndian.AppendUint32(s.batch, uint32(n))
	b = append(b, kind, flags, byte(slot), byte(slot>>8))
	b = binary.LittleEndian.AppendUint32(b, id)
	s.batch = append(append(b, head...), body...)
	if s.state != streamsOpen {
		return
	}
	if t.Later((*late)(s)) || s.Event != nil && s.Event.Loop().LaterInTurn((*late)(s)) {
		s.state = streamsLater
		return
	}
	s.flush()
}

// seal ends the batch that is being gathered. The caller holds mu.
func (s *Streams) seal() {
	if len(s.batch) > 0 {
		s.batches = append(s.batches, s.batch)
		s.batch = nil
	}
}

// flush sends batches until there is no room or none is left. Without a loop it wakes Send. The
// caller holds mu.
func (s *Streams) flush() {
	if s.ours != nil {
		s.seal()
		select {
		case s.more <- struct{}{}:
		default: // Send was woken already
		}
		return
	}
	for {
		b := s.batch
		if len(s.batches) > 0 {
			b = s.batches[0]
		}
		if len(b) == 0 {
			return
		}
		_, err := s.write(b)
		pause := time.Duration(0)
		switch {
		case err == nil:
			s.sent()
			continue
		case isShort(err):
			pause = shortage // if the socket has room, nothing else ends the wait
		case err != unix.EAGAIN:
			s.fail(err)
			return
		}
		if s.Event.AwaitRoom(pause) {
			s.state = streamsAwait
			return
		}
	}
}

// fail closes the channel for sending after err: frames that were not sent are dropped, and
// those that are put later. The caller holds mu.
func (s *Streams) fail(err error) {
	if s.state == streamsClosed {
		return
	}
	s.shut()
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		err = ErrEnded
	}
	s.lost(err)
}

// sent removes the oldest batch. The caller holds mu.
func (s *Streams) sent() {
	if len(s.batches) == 0 {
		s.waiting -= len(s.batch)
		s.batch = s.batch[:0]
		return
	}
	s.waiting -= len(s.batches[0])
	s.batches[0] = nil
	if s.batches = s.batches[1:]; len(s.batches) == 0 {
		s.batches = nil
	}
}

// isShort reports whether err says that the system has no memory for a message now.
func isShort(err error) bool { return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) }

// Send sends the frames of a channel without a loop, until EndSends or Close is called.
func (s *Streams) Send() {
	for range s.more {
		for b := s.next(); b != nil; b = s.next() {
			_, err := s.write(b)
			for isShort(err) {
				time.Sleep(shortage)
				_, err = s.write(b)
			}
			if err != nil {
				s.mu.Lock()
				s.fail(err)
				s.mu.Unlock()
				return
			}
		}
	}
}

// next removes and returns the oldest batch; nil if there is none.
func (s *Streams) next() (b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) > 0 {
		b = s.batches[0]
		s.waiting -= len(b)
		s.batches = s.batches[1:]
	}
	return b
}

// EndReads makes the messages that have come the last ones.
func (s *Streams) EndReads() { unix.Shutdown(s.fd, unix.SHUT_RD) }

// EndSends drops frames that were not sent, and those that are put later. Send returns.
func (s *Streams) EndSends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != streamsClosed {
		s.shut()
	}
}

// shut drops frames that were not sent, and has Send return. The caller holds mu.
func (s *Streams) shut() {
	s.state = streamsClosed
	s.batch, s.batches = nil, nil
	if s.ours != nil {
		s.ours.SetWriteDeadline(time.Unix(1, 0))
		close(s.more)
	}
}

// Close closes the channel. It must be called once. It also closes descriptors that the worker
// has left in the channel, which may wait.
func (s *Streams) Close() {
	s.EndSends()
	if s.Event != nil {
		s.Event.Close()
		return
	}
	s.ours.Close()
}

// late is a Streams as the handler of the end of a turn.
type late Streams

// Ready implements eventloop.Handler: the turn ends.
func (l *late) Ready(*eventloop.Turn) { (*Streams)(l).resume(streamsLater) }

// room is a Streams as the handler of its writing side.
type room Streams

// Ready implements eventloop.Handler: there is room.
func (r *room) Ready(*eventloop.Turn) { (*Streams)(r).resume(streamsAwait) }

// resume sends the frames that were put in the state in.
func (s *Streams) resume(in streamsState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == in {
		s.state = streamsOpen
		s.flush()
	}
}
