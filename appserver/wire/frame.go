package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
)

// The types and flags of frames, as PROTOCOL.md lists them.
const (
	KindRequest = 'R'
	KindReady   = 'K'
	KindFailed  = 'F'
	KindHead    = 'H'
	KindData    = 'D'
	KindAborted = 'X'
	KindLeaving = 'B'
	KindLog     = 'L'
	KindWake    = 'W'
	KindNoted   = 'N'

	// Only on the stream channel:
	KindHint    = 'I'
	KindAccept  = 'A'
	KindMessage = 'M'
	KindClose   = 'Q'
	KindCredit  = 'G'
	KindCancel  = 'C'

	FlagEnd        = 1 // of KindHead, KindData and KindMessage
	FlagFile       = 2 // of KindHead
	FlagText       = 2 // of KindMessage
	FlagTrailers   = 4 // of KindData
	FlagOnce       = 1 // of KindLog
	FlagBodyFD     = 1 // of KindRequest, as those below
	FlagEnvironFD  = 2
	FlagBodyShared = 4
	FlagBodyStream = 8

	HeaderSize = 8  // bytes before a frame's payload
	SizedSize  = 12 // bytes before the environ of a request, or the marshalled part of a head
)

// Cancelling is the reason why the front cancels a request of an ASGI worker.
type Cancelling byte

// The reasons.
const (
	ClientGone   Cancelling = iota
	PastTimeout             // the request has taken longer than timeout
	WorkerLeaves            // the worker retires, and the request's time is over
)

// Frame is a received frame. Its slices alias the receive buffer.
type Frame struct {
	Kind, Flags byte
	Slot        uint16
	ID          uint32
	Sized       []byte // the marshalled part of KindHead and KindAccept
	Payload     []byte // the rest
}

// ErrFrame is returned for a frame that breaks the protocol.
var ErrFrame = errors.New("malformed frame")

// ParseFrame reads a frame that came by a worker's channel or lane.
func ParseFrame(b []byte) (Frame, error) {
	f, err := parse(b)
	if err != nil {
		return Frame{}, err
	}
	switch f.Kind {
	case KindReady, KindFailed, KindData, KindAborted, KindLeaving, KindLog, KindNoted, KindWake:
		return f, nil
	case KindHead:
		return f.sized()
	}
	return Frame{}, ErrFrame
}

// ParseStreamFrame reads a frame that came by a worker's stream channel.
func ParseStreamFrame(b []byte) (Frame, error) {
	f, err := parse(b)
	if err != nil {
		return Frame{}, err
	}
	switch f.Kind {
	case KindData, KindAborted, KindHint, KindMessage:
		return f, nil
	case KindHead, KindAccept:
		return f.sized()
	case KindClose:
		if len(f.Payload) >= 2 && len(f.Payload) <= 125 {
			return f, nil
		}
	case KindCredit:
		if len(f.Payload) == 4 {
			return f, nil
		}
	}
	return Frame{}, ErrFrame
}

// parse reads the header of a frame.
func parse(b []byte) (Frame, error) {
	if len(b) < HeaderSize || len(b) > MaxFrame {
		return Frame{}, ErrFrame
	}
	return Frame{
		Kind: b[0], Flags: b[1],
		Slot: binary.LittleEndian.Uint16(b[2:]), ID: binary.LittleEndian.Uint32(b[4:]),
		Payload: b[HeaderSize:],
	}, nil
}

// sized splits the payload into the marshalled part and the rest.
func (f Frame) sized() (Frame, error) {
	if len(f.Payload) < SizedSize-HeaderSize {
		return Frame{}, ErrFrame
	}
	n := binary.LittleEndian.Uint32(f.Payload)
	rest := f.Payload[SizedSize-HeaderSize:]
	if uint64(n) > uint64(len(rest)) {
		return Frame{}, ErrFrame
	}
	f.Sized, f.Payload = rest[:n:n], rest[n:]
	return f, nil
}

// TakePosition removes the position in a file from the payload, which must have nothing else,
// and returns it.
func (f *Frame) TakePosition() (int64, error) {
	if len(f.Payload) != 8 {
		return 0, ErrFrame
	}
	n := binary.LittleEndian.Uint64(f.Payload)
	f.Payload = nil
	if n > math.MaxInt64 {
		return 0, ErrFrame
	}
	return int64(n), nil
}

// MaxFrame is the size of the largest frame, in bytes.
const MaxFrame = 64 << 10

// AppendHeader appends a frame's header, with slot 0.
func AppendHeader(dst []byte, kind, flags byte, id uint32) []byte {
	dst = append(dst, kind, flags, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, id)
}

// buffers has buffers for receiving frames.
var buffers = sync.Pool{New: func() any { b := make([]byte, MaxFrame); return &b }}

// NewBuffer returns a buffer of MaxFrame bytes.
func NewBuffer() *[]byte { return buffers.Get().(*[]byte) }

// FreeBuffer gives back a buffer of NewBuffer.
func FreeBuffer(b *[]byte) { buffers.Put(b) }
