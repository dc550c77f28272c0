package h1

import (
	"encoding/binary"
	"unsafe"
)

// byteClass is a set of the parts of a message in which a byte may stand.
type byteClass uint8

const (
	inName    byteClass = 1 << iota // a field name of letters, digits and hyphens
	inOddName                       // any other field name: visible ASCII but the colon
	inHost                          // a reg-name without escapes, RFC 3986 section 3.2.2
	inValue                         // a field value, RFC 9110 section 5.5
	inTarget                        // a request target; as in nginx also bytes above ASCII
)

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// classes has the classes of each byte.
var classes = func() (t [256]byteClass) {
	set := func(c byteClass, bytes string) {
		for i := range len(bytes) {
			t[bytes[i]] |= c
		}
	}
	set(inName, alphanumeric+"-")
	set(inHost, alphanumeric+"-._~!$&'()*+,;=")
	for c := range 256 {
		if c > ' ' && c < 0x7f && c != ':' {
			t[c] |= inOddName
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= inValue
		}
		if c > ' ' && c != 0x7f {
			t[c] |= inTarget
		}
	}
	return t
}()

// view returns b as a string without a copy. The string is valid until b's bytes change.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// IsValue reports whether s may be the value of a header field (RFC 9110 section 5.5):
// it has no control character but tabs.
func IsValue(s string) bool {
	return consistsOf(unsafe.Slice(unsafe.StringData(s), len(s)), inValue, ' ')
}

// Constants of arithmetic on eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// consistsOf reports whether each byte of b is of class. class must contain the bytes from
// below to 0x7e and those from 0x80 on. consistsOf tests eight bytes at a time for bytes
// below below and for 0x7f. Only eight that have one are looked up byte by byte.
func consistsOf(b []byte, class byteClass, below uint64) bool {
	if len(b) < 8 {
		return allOf(b, class)
	}
	for i := 0; ; i += 8 {
		if i > len(b)-8 {
			i = len(b) - 8 // the last eight, some of them again
		}
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		if ((x-below*ones)&^x|(del-ones)&^del)&highs != 0 && !allOf(b[i:i+8], class) {
			return false
		}
		if i == len(b)-8 {
			return true
		}
	}
}

func allOf(b []byte, class byteClass) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}
