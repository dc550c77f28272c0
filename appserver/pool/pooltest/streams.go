package pooltest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
)

// StreamFrame is a frame that the front has sent by the stream channel.
type StreamFrame struct {
	Kind, Flags byte
	ID          uint32
	Payload     []byte
}

// openStreams takes the worker's end of the stream channel.
func (f *Fake) openStreams(o pool.Order) (err error) {
	f.Streams, err = unix.FcntlInt(o.Files[pool.FileBell].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return err
}

// Batch sends frames by the stream channel, in one message. Each is made by Stream.
func (f *Fake) Batch(frames ...[]byte) {
	var b []byte
	for _, frame := range frames {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(frame))), frame...)
	}
	f.RawBatch(b)
}

// RawBatch sends bytes by the stream channel, unless the worker is killed while it waits for room.
func (f *Fake) RawBatch(b []byte) {
	for unix.Sendto(f.Streams, b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) == unix.EAGAIN {
		unix.Poll([]unix.PollFd{{Fd: int32(f.Streams), Events: unix.POLLOUT}}, 20)
		select {
		case <-f.Killed:
			return
		default:
		}
	}
}

// Line returns the line of a request in the status page.
func (f *Fake) Line(id uint32) int { return int(id & (1<<pool.IndexBits(f.Concurrency) - 1)) }

// Stream returns a frame for the stream channel.
func (f *Fake) Stream(kind, flags byte, id uint32, payload []byte) []byte {
	b := wire.AppendHeader(nil, kind, flags, id)
	binary.LittleEndian.PutUint16(b[2:], uint16(f.Line(id)))
	return append(b, payload...)
}

// StartStream marks a request as started.
func (f *Fake) StartStream(id uint32) { f.Page.Word(f.Line(id), wire.PageMark).Store(id) }

// Heard waits for the next frame of the stream channel. It returns false at the end, or if the
// worker was killed.
func (f *Fake) Heard() (StreamFrame, bool) {
	for len(f.heard) == 0 {
		b := make([]byte, wire.MaxFrame)
		p := []unix.PollFd{{Fd: int32(f.Streams), Events: unix.POLLIN}}
		unix.Poll(p, 20)
		n, _, _, _, err := unix.Recvmsg(f.Streams, b, nil, unix.MSG_DONTWAIT)
		if err == nil && n == 0 {
			return StreamFrame{}, false
		}
		if err == nil {
			f.heard = b[:n]
			break
		}
		select {
		case <-f.Killed:
			return StreamFrame{}, false
		default:
		}
	}
	frame, rest, err := wire.NextFrame(f.heard)
	if err != nil {
		panic(err)
	}
	f.heard = rest
	return StreamFrame{frame[0], frame[1], binary.LittleEndian.Uint32(frame[4:]), frame[wire.HeaderSize:]}, true
}
