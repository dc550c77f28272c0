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

// Streams is the front's side of the stream channel of an ASGI worker (PROTOCOL.md, "The stream
// channel"). A message is a batch of frames. Receiving belongs to one goroutine at a time.
// Anyone may Put frames at any time.
type Streams struct {
	Event *eventloop.Descriptor // nil without a loop
	fd    int
	ours  *os.File // in the netpoller; nil with a loop
	conn  syscall.RawConn
	inbox inbox
	oob   []byte
	lost  func(err error)

	mu      sync.Mutex
	batch   []byte   // that is being gathered
	batches [][]byte // that wait for room, the oldest first
	state   streamsState
	more    chan struct{} // tells the sender of a channel without a loop
	write   func(p []byte) (int, error)
}

// streamsState is what becomes of frames that are put.
type streamsState uint8

const (
	streamsOpen   streamsState = iota // they are sent when somebody flushes
	streamsLater                      // they are sent at the end of a turn
	streamsAwait                      // they are sent when the worker has made room
	streamsClosed                     // they are dropped
)

const (
	// LengthSize is the size of the length before each frame of a batch.
	LengthSize = 4
	// MaxStreamFrame is the size of the largest frame of the stream channel.
	MaxStreamFrame = MaxFrame - LengthSize
	// shortage is how long a send waits for memory, of which nobody tells that it is there.
	shortage = 5 * time.Millisecond
)

// ErrEnded says that the worker has closed its end of the stream channel.
var ErrEnded = errors.New("it has closed its stream channel")

// NewStreams returns the front's side, in loop if there is one, and the worker's end, which the
// caller closes once the worker has it. lost is called at most once, when a frame can never be
// sent, with why: ErrEnded, or another error. It must not call the Streams.
func NewStreams(loop *eventloop.Loop, lost func(err error)) (*Streams, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a worker's stream channel: %w", err)
	}
	for _, fd := range []int{ours, theirs} {
		enlarge(fd)
	}
	unix.SetNonblock(ours, true)
	s := &Streams{fd: ours, oob: make([]byte, unix.CmsgSpace(maxRights*4)), lost: lost}
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

// TryRead receives a message into p, and the descriptors that came along. n is 0 at the end;
// unix.EAGAIN: there is nothing.
func (s *Streams) TryRead(p []byte) (n int, files []int, err error) {
	return s.received(s.receive(p))
}

// receive receives what is there. A worker that has died with frames unread resets the channel,
// which is reported once, before what it has sent.
func (s *Streams) receive(p []byte) received {
	in := s.inbox.receive(s.fd, p, s.oob)
	if in.err == unix.ECONNRESET {
		in = s.inbox.receive(s.fd, p, s.oob)
	}
	return in
}

// Read is TryRead, but it waits. It is for channels without a loop.
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

// Put sends a frame whose payload has two parts at the end of turn t. Where t is nil that is the
// turn of the worker's loop; in a loop that rests the frame is sent at once. Put never waits:
// what finds no room is kept until there is some. A frame has at most MaxStreamFrame bytes.
func (s *Streams) Put(t *eventloop.Turn, kind, flags byte, slot int, id uint32, head, body []byte) {
	n := HeaderSize + len(head) + len(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == streamsClosed {
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

// seal ends the batch that is being gathered. The lock is held.
func (s *Streams) seal() {
	if len(s.batch) > 0 {
		s.batches = append(s.batches, s.batch)
		s.batch = nil
	}
}

// flush sends what there is room for. The lock is held.
func (s *Streams) flush() {
	if s.ours != nil {
		s.seal()
		select {
		case s.more <- struct{}{}:
		default: // the sender was told already
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
			pause = shortage // there may be room: nothing else would end the wait
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

// fail drops what was not sent, which can never be, and what is put from now on. The lock is
// held.
func (s *Streams) fail(err error) {
	if s.state == streamsClosed {
		return
	}
	s.state = streamsClosed
	s.batch, s.batches = nil, nil
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		err = ErrEnded
	}
	s.lost(err)
}

// sent drops the oldest batch, which was sent.
func (s *Streams) sent() {
	if len(s.batches) == 0 {
		s.batch = s.batch[:0]
		return
	}
	s.batches[0] = nil
	if s.batches = s.batches[1:]; len(s.batches) == 0 {
		s.batches = nil
	}
}

// isShort reports that the system lacks memory for a message, which it will have.
func isShort(err error) bool { return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) }

// Send sends what is put in a channel without a loop, until Close.
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

// next returns the oldest batch, which the caller sends; nil: there is none.
func (s *Streams) next() (b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) > 0 {
		b = s.batches[0]
		s.batches = s.batches[1:]
	}
	return b
}

// EndReads has what is there be the last that is received.
func (s *Streams) EndReads() { unix.Shutdown(s.fd, unix.SHUT_RD) }

// EndSends drops what was not sent, and what is put from now on; Send returns.
func (s *Streams) EndSends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == streamsClosed {
		return
	}
	s.state = streamsClosed
	s.batch, s.batches = nil, nil
	if s.ours != nil {
		s.ours.SetWriteDeadline(time.Unix(1, 0))
		close(s.more)
	}
}

// Close ends the channel; call it once. Descriptors that the worker has left in it are closed
// with it, which may wait.
func (s *Streams) Close() {
	s.EndSends()
	if s.Event != nil {
		s.Event.Close()
		return
	}
	s.ours.Close()
}

// late is Streams at the end of a turn.
type late Streams

// Ready implements eventloop.Handler.
func (l *late) Ready(*eventloop.Turn) { (*Streams)(l).resume(streamsLater) }

// room is Streams for which the worker has made room.
type room Streams

// Ready implements eventloop.Handler.
func (r *room) Ready(*eventloop.Turn) { (*Streams)(r).resume(streamsAwait) }

// resume sends what was put in that state.
func (s *Streams) resume(in streamsState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == in {
		s.state = streamsOpen
		s.flush()
	}
}
