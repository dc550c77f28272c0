package appserver

import (
	"encoding/binary"
	"errors"
)

// The types and flags of frames, as PROTOCOL.md lists them.
const (
	frameRequest = 'R'
	frameReady   = 'K'
	frameFailed  = 'F'
	frameHead    = 'H'
	frameData    = 'D'
	frameAborted = 'X'
	frameLeaving = 'B'
	frameLog     = 'L'
	frameWake    = 'W'
	frameNoted   = 'N'

	flagEnd        = 1 // of head and data
	flagFile       = 2 // of head
	flagOnce       = 1 // of log
	flagBodyFD     = 1 // of request
	flagEnvironFD  = 2
	flagBodyShared = 4

	headerSize = 8
	sizedSize  = 12
)

// frame is one received frame; its slices alias the receive buffer.
type frame struct {
	kind, flags byte
	slot        uint16
	id          uint32
	sized       []byte // the marshalled part of a head
	payload     []byte // the rest
}

var errFrame = errors.New("malformed frame")

// parseFrame reads what a worker may send.
func parseFrame(b []byte) (frame, error) {
	if len(b) < headerSize || len(b) > maxFrame {
		return frame{}, errFrame
	}
	f := frame{
		kind: b[0], flags: b[1],
		slot: binary.LittleEndian.Uint16(b[2:]), id: binary.LittleEndian.Uint32(b[4:]),
		payload: b[headerSize:],
	}
	switch f.kind {
	case frameReady, frameFailed, frameData, frameAborted, frameLeaving, frameLog, frameNoted, frameWake:
		return f, nil
	case frameHead:
		if len(b) < sizedSize {
			return frame{}, errFrame
		}
		n := binary.LittleEndian.Uint32(b[headerSize:])
		rest := b[sizedSize:]
		if uint64(n) > uint64(len(rest)) {
			return frame{}, errFrame
		}
		f.sized, f.payload = rest[:n:n], rest[n:]
		return f, nil
	}
	return frame{}, errFrame
}

// appendHeader appends a frame's first 8 bytes.
func appendHeader(dst []byte, kind, flags byte, id uint32) []byte {
	dst = append(dst, kind, flags, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, id)
}
