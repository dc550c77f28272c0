package h1

import (
	"encoding/binary"
	"unsafe"
)

// byteClass says what a byte may be part of.
type byteClass uint8

const (
	// inName: a field name that nginx takes; underscores are judged apart.
	inName byteClass = 1 << iota
	// inOddName: any other field name: visible ASCII.
	inOddName
	// inHost: a reg-name without escapes, RFC 3986 section 3.2.2.
	inHost
	// inValue: a field value, RFC 9110 section 5.5.
	inValue
	// inTarget: a request target; nginx takes bytes above ASCII in one too.
	inTarget
)

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// classes gives the classes of each byte.
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

// view returns b as a string without a copy. It is valid as long as b's bytes
// are left alone.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// IsValue reports whether s may be the value of a header field: RFC 9110 section
// 5.5.
func IsValue(s string) bool {
	return consistsOf(unsafe.Slice(unsafe.StringData(s), len(s)), inValue, ' ')
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// consistsOf reports whether each byte of b is of class, which has every byte
// from below, at least, to 0x7e and from 0x80 on. Eight bytes at a time are
// compared with the two bounds; only what is outside is looked up.
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
