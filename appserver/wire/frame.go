package wire

import (
	"encoding/binary"
	"errors"
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

	FlagEnd        = 1 // of head and data
	FlagFile       = 2 // of head
	FlagOnce       = 1 // of log
	FlagBodyFD     = 1 // of request
	FlagEnvironFD  = 2
	FlagBodyShared = 4
	FlagBodyStream = 8

	HeaderSize = 8  // bytes before a frame's payload
	SizedSize  = 12 // bytes before the environ of a request, or the marshalled part of a head
)

// Frame is one received frame; its slices alias the receive buffer.
type Frame struct {
	Kind, Flags byte
	Slot        uint16
	ID          uint32
	Sized       []byte // the marshalled part of a head
	Payload     []byte // the rest
}

// ErrFrame says that a frame breaks the protocol.
var ErrFrame = errors.New("malformed frame")

// ParseFrame reads what a worker may send.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) < HeaderSize || len(b) > MaxFrame {
		return Frame{}, ErrFrame
	}
	f := Frame{
		Kind: b[0], Flags: b[1],
		Slot: binary.LittleEndian.Uint16(b[2:]), ID: binary.LittleEndian.Uint32(b[4:]),
		Payload: b[HeaderSize:],
	}
	switch f.Kind {
	case KindReady, KindFailed, KindData, KindAborted, KindLeaving, KindLog, KindNoted, KindWake:
		return f, nil
	case KindHead:
		if len(b) < SizedSize {
			return Frame{}, ErrFrame
		}
		n := binary.LittleEndian.Uint32(b[HeaderSize:])
		rest := b[SizedSize:]
		if uint64(n) > uint64(len(rest)) {
			return Frame{}, ErrFrame
		}
		f.Sized, f.Payload = rest[:n:n], rest[n:]
		return f, nil
	}
	return Frame{}, ErrFrame
}

// MaxFrame is the size of the largest frame in bytes.
const MaxFrame = 64 << 10

// AppendHeader appends a frame's first 8 bytes.
func AppendHeader(dst []byte, kind, flags byte, id uint32) []byte {
	dst = append(dst, kind, flags, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, id)
}

// buffers are for receiving frames, of which a response's block may take one along.
var buffers = sync.Pool{New: func() any { b := make([]byte, MaxFrame); return &b }}

// NewBuffer returns memory for the longest frame.
func NewBuffer() *[]byte { return buffers.Get().(*[]byte) }

// FreeBuffer takes back what NewBuffer returned.
func FreeBuffer(b *[]byte) { buffers.Put(b) }
