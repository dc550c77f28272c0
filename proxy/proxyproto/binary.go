package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// Values of the fixed part of a binary header.
const (
	commandLocal = 0
	commandProxy = 1

	familyIP4     = 1
	familyIP6     = 2
	familyUnix    = 3
	streams       = 1
	datagrams     = 2
	addressesIP4  = 2*4 + 2*2
	addressesIP6  = 2*16 + 2*2
	addressesUnix = 2 * 108
)

// parseBinary reads version 2.
func parseBinary(b []byte) (*Header, int, error) {
	if len(b) < fixedSize {
		return nil, 0, ErrShort
	}
	version, command := b[12]>>4, b[12]&0xf
	family, transport := b[13]>>4, b[13]&0xf
	length := int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case version != 2:
		return nil, 0, broken(b[12:fixedSize], "has the unknown version %d", version)
	case command > commandProxy:
		return nil, 0, broken(b[12:fixedSize], "has the unknown command %d", command)
	case family > familyUnix || transport > datagrams:
		return nil, 0, broken(b[12:fixedSize], "has the unknown family and transport 0x%02x", b[13])
	case length > maxPayload:
		return nil, 0, broken(b[12:fixedSize], "is too large: %d bytes follow, and %d are allowed", length, maxPayload)
	}
	size := fixedSize + length
	if len(b) < size {
		return nil, 0, ErrShort
	}
	h := &Header{}
	rest, ok := h.addresses(family, b[fixedSize:size])
	if !ok {
		return nil, 0, broken(b[12:fixedSize], "is too short for its addresses: %d bytes follow", length)
	}
	if command == commandLocal || transport != streams || !h.Source.IsValid() {
		return nil, size, nil
	}
	if !wellFormed(rest) {
		return nil, 0, broken(b[12:fixedSize], "has a TLV that is longer than the header")
	}
	if !intact(b[:size], len(rest)) {
		return nil, 0, broken(b[12:fixedSize], "has a wrong checksum")
	}
	if len(rest) > 0 {
		h.tlvs = append([]byte(nil), rest...)
	}
	return h, size, nil
}

// addresses reads the addresses at the beginning of b, and returns the rest. ok is false if b
// is too short for them.
func (h *Header) addresses(family byte, b []byte) (rest []byte, ok bool) {
	size, width := 0, 0
	switch family {
	case familyIP4:
		size, width = addressesIP4, 4
	case familyIP6:
		size, width = addressesIP6, 16
	case familyUnix:
		size = addressesUnix
	}
	if len(b) < size {
		return nil, false
	}
	if width > 0 {
		from, _ := netip.AddrFromSlice(b[:width])
		to, _ := netip.AddrFromSlice(b[width : 2*width])
		h.Source = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[2*width:]))
		h.Destination = netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2*width+2:]))
	}
	return b[size:], true
}

// intact reports whether the header b has no checksum among the TLVs in its last n bytes, or
// the right one. The checksum is that of b with zeros in place of the checksum.
func intact(b []byte, n int) bool {
	begin, end, ok := find(b[len(b)-n:], kindChecksum)
	if !ok {
		return true
	}
	if end-begin != crc32.Size {
		return false
	}
	begin, end = begin+len(b)-n, end+len(b)-n
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:begin])
	sum = crc32.Update(sum, table, make([]byte, crc32.Size))
	return crc32.Update(sum, table, b[end:]) == binary.BigEndian.Uint32(b[begin:])
}
