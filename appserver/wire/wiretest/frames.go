package wiretest

import (
	"encoding/binary"

	"alicorn/appserver/wire"
)

// Head returns the part of a response's first frame that follows the header: the marshalled
// status and fields (name, value, name, ...) of a response without a file, with their length.
func Head(status string, fields ...string) []byte {
	return sized(append(append(pair(status, 3), Fields(fields...)...), wire.TypeNone))
}

// Accept returns the part after the header of a frame that accepts a WebSocket.
func Accept(subprotocol string, fields ...string) []byte {
	return sized(append(pair(subprotocol, 2), Fields(fields...)...))
}

// Fields returns marshalled fields (name, value, name, ...).
func Fields(fields ...string) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{wire.TypeList}, uint32(len(fields)/2))
	for i := 0; i+1 < len(fields); i += 2 {
		b = wire.AppendValue(append(b, pair(fields[i], 2)...), fields[i+1])
	}
	return b
}

// pair returns the beginning of a tuple of n values, with its first value.
func pair(first string, n uint32) []byte {
	return wire.AppendValue(binary.LittleEndian.AppendUint32([]byte{wire.TypeTuple}, n), first)
}

// sized returns b with its length before it.
func sized(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// Frame returns a frame without payload that has the flag END.
func Frame(kind byte, id uint32) []byte { return wire.AppendHeader(nil, kind, wire.FlagEnd, id) }

// Response returns a response in one frame.
func Response(id uint32, body string) []byte {
	return append(append(Frame(wire.KindHead, id), Head("200 OK")...), body...)
}

// ID returns the id of a frame.
func ID(frame []byte) uint32 { return binary.LittleEndian.Uint32(frame[4:]) }
