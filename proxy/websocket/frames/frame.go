package frames

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcode is the kind of a frame (RFC 6455 section 5.2).
type Opcode byte

// The opcodes. CloseFrame and those after it are of control frames.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	CloseFrame   Opcode = 0x8
	PingFrame    Opcode = 0x9
	PongFrame    Opcode = 0xA
)

// Bits of a frame's first two bytes.
const (
	finBit   = 0x80
	rsv1Bit  = 0x40
	rsvBits  = 0x70
	opcodes  = 0x0F
	maskBit  = 0x80
	lengths  = 0x7F
	length16 = 126 // the length follows in 2 bytes
	length64 = 127 // the length follows in 8 bytes
)

// MaxControl is the largest payload of a control frame.
const MaxControl = 125

// MaxReason is the longest reason of a close, in bytes.
const MaxReason = MaxControl - 2

// Codes of a close (RFC 6455 section 7.4.1 and its registry).
const (
	Normal         uint16 = 1000
	GoingAway      uint16 = 1001
	ProtocolError  uint16 = 1002
	NoStatus       uint16 = 1005 // never sent: the close had no code
	Abnormal       uint16 = 1006 // never sent: the connection was lost
	InvalidPayload uint16 = 1007
	PolicyBroken   uint16 = 1008
	TooBig         uint16 = 1009
	InternalError  uint16 = 1011
	ServiceRestart uint16 = 1012
)

// ValidCode reports whether a close may be sent with code.
func ValidCode(code uint16) bool {
	switch {
	case code < 1000, code > 4999:
		return false
	case code >= 3000:
		return true
	}
	return code <= 1003 || code >= 1007 && code <= 1014
}

// Fault is a rule that the client has broken. Code and Reason are for the close that ends
// the connection.
type Fault struct {
	Code   uint16
	Reason string
}

// appendHead appends the head of an unmasked frame with n bytes of payload.
func appendHead(b []byte, first byte, n int) []byte {
	switch {
	case n < length16:
		return append(b, first, byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(b, first, length16), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, first, length64), uint64(n))
}

// AppendControl appends a ping or a pong. payload must have at most MaxControl bytes.
func AppendControl(b []byte, op Opcode, payload []byte) []byte {
	return append(appendHead(b, finBit|byte(op), len(payload)), payload...)
}

// AppendClose appends a close with the code and Reason(reason). If code may not be sent, the
// close has neither.
func AppendClose(b []byte, code uint16, reason string) []byte {
	if !ValidCode(code) {
		return appendHead(b, finBit|byte(CloseFrame), 0)
	}
	reason = Reason(reason)
	b = appendHead(b, finBit|byte(CloseFrame), 2+len(reason))
	return append(binary.BigEndian.AppendUint16(b, code), reason...)
}

// Reason returns text as the reason of a close: cut to MaxReason bytes, with invalid UTF-8
// replaced by U+FFFD.
func Reason(text string) string {
	for i, r := range text {
		if r == utf8.RuneError || i+utf8.RuneLen(r) > MaxReason {
			return replaced(text)
		}
	}
	return text
}

// replaced is Reason for a text that it changes.
func replaced(text string) string {
	var out []byte
	for _, r := range text {
		if len(out)+utf8.RuneLen(r) > MaxReason {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
