package wiretest

import (
	"encoding/binary"

	"alicorn/appserver/wire"
)

// Head returns the part of a response's first frame that follows the header: the marshalled
// status and fields (name, value, name, ...) of a response without a file, with their length.
func Head(status string, fields ...string) []byte {
	h := binary.LittleEndian.AppendUint32([]byte{wire.TypeTuple}, 3)
	h = wire.AppendValue(h, status)
	h = binary.LittleEndian.AppendUint32(append(h, wire.TypeList), uint32(len(fields)/2))
	for i := 0; i+1 < len(fields); i += 2 {
		h = binary.LittleEndian.AppendUint32(append(h, wire.TypeTuple), 2)
		h = wire.AppendValue(wire.AppendValue(h, fields[i]), fields[i+1])
	}
	h = append(h, wire.TypeNone)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(h))), h...)
}

// Frame returns a frame without payload that has the flag END.
func Frame(kind byte, id uint32) []byte { return wire.AppendHeader(nil, kind, wire.FlagEnd, id) }

// Response returns the one frame of a whole response.
func Response(id uint32, body string) []byte {
	return append(append(Frame(wire.KindHead, id), Head("200 OK")...), body...)
}

// ID returns the id of a frame.
func ID(frame []byte) uint32 { return binary.LittleEndian.Uint32(frame[4:]) }
