package framestest

import (
	"fmt"
	"strings"
)

// framing are the cases of single frames and of fragments: RFC 6455 sections 5.2 to 5.4
// and 5.6.
func framing() []Case {
	return append(append(append(lengths(), reserved()...), masks()...), fragments()...)
}

// unsigned is the reason why websockets differs.
const unsigned = "RFC 6455 section 5.2: the most significant bit MUST be 0; websockets compares with its largest message first"

// lengths are the cases of payload lengths (section 5.2).
func lengths() (all []Case) {
	for _, op := range []byte{Text, Binary} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 65535, 65536, Limit} {
			text := strings.Repeat("*", n)
			want := Answer{op, text}.String() + "; close 1000"
			all = append(all, Case{Section: "5.2 length", Name: fmt.Sprintf("opcode %d, %d bytes", op, n), Send: Frame(Fin|op, text), Want: want})
		}
	}
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"0 in 2 bytes", Long(Fin|Text, 2, 0, "")},
		{"125 in 2 bytes", Long(Fin|Text, 2, 125, strings.Repeat("*", 125))},
		{"0 in 8 bytes", Long(Fin|Binary, 8, 0, "")},
		{"126 in 8 bytes", Long(Fin|Binary, 8, 126, strings.Repeat("*", 126))},
		{"65535 in 8 bytes", Long(Fin|Text, 8, 65535, strings.Repeat("*", 65535))},
		{"5 in 2 bytes, of a ping", Long(Fin|Ping, 2, 5, "hello")},
	} {
		all = append(all, Case{Section: "5.2 length", Name: "longer form: " + c.name, Send: c.frame, Want: "close 1002",
			Websockets: "eof", Why: "RFC 6455 section 5.2: the minimal number of bytes MUST be used; websockets does not check it"})
	}
	for _, c := range []struct {
		name         string
		n            uint64
		want         string
		theirs, whys string
	}{
		{"2^63", 1 << 63, "close 1002", "close 1009", unsigned},
		{"2^64-1", 1<<64 - 1, "close 1002", "close 1009", unsigned},
		{"2^63-1", 1<<63 - 1, "close 1009", "", ""},
		{"2^32", 1 << 32, "close 1009", "", ""},
	} {
		all = append(all, Case{Section: "5.2 length", Name: "announced: " + c.name, Send: Long(Fin|Binary, 8, c.n, ""), Want: c.want,
			Websockets: c.theirs, Why: c.whys})
	}
	return all
}

// reserved are the cases of reserved bits and opcodes (section 5.2).
func reserved() (all []Case) {
	for _, bits := range []byte{0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70} {
		for _, op := range []byte{Text, Binary, Ping, Close} {
			all = append(all, Case{Section: "5.2 reserved bits", Name: fmt.Sprintf("%#x with opcode %d", bits, op),
				Send: Frame(Fin|bits|op, "x"), Want: "close 1002"})
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		for _, payload := range []string{"", "hello"} {
			all = append(all, Case{Section: "5.2 opcodes", Name: fmt.Sprintf("%#x with %d bytes", op, len(payload)),
				Send: Frame(Fin|op, payload), Want: "close 1002"})
		}
	}
	return append(all,
		Case{Section: "5.2 opcodes", Name: "unknown after a message", Send: join(Frame(Fin|Text, "a"), Frame(Fin|3, "")), Want: "text a; close 1002"},
		Case{Section: "5.2 reserved bits", Name: "in a continuation", Send: join(Frame(Text, "a"), Frame(Fin|Rsv1, "b")), Want: "close 1002"})
}

// masks are the cases of masks (section 5.3 and 5.1).
func masks() (all []Case) {
	for _, key := range [][4]byte{{}, {0xFF, 0xFF, 0xFF, 0xFF}, {1, 0, 0, 0}, {0, 0, 0, 1}, {0x80, 0x40, 0x20, 0x10}} {
		all = append(all, Case{Section: "5.3 masking", Name: fmt.Sprintf("key %x", key), Send: MaskedBy(key, Fin|Text, "The mask is of four bytes"),
			Want: "text The mask is of four bytes; close 1000"})
	}
	for _, op := range []byte{Text, Binary, Ping, Pong, Close} {
		all = append(all, Case{Section: "5.1 mask required", Name: fmt.Sprintf("opcode %d", op), Send: Bare(Fin|op, "hello"), Want: "close 1002"})
	}
	return append(all, Case{Section: "5.1 mask required", Name: "of the second fragment", Send: join(Frame(Text, "a"), Bare(Fin, "b")), Want: "close 1002"})
}

// fragments are the cases of section 5.4.
func fragments() []Case {
	s := "5.4 fragmentation"
	all := []Case{
		{Section: s, Name: "two", Send: join(Frame(Text, "frag"), Frame(Fin, "ment")), Want: "text fragment; close 1000"},
		{Section: s, Name: "three", Send: join(Frame(Binary, "a"), Frame(0, "b"), Frame(Fin, "c")), Want: `binary "abc"; close 1000`},
		{Section: s, Name: "empty ones", Send: join(Frame(Text, ""), Frame(0, ""), Frame(Fin, "")), Want: "text ; close 1000"},
		{Section: s, Name: "the first empty", Send: join(Frame(Text, ""), Frame(Fin, "x")), Want: "text x; close 1000"},
		{Section: s, Name: "the last empty", Send: join(Frame(Text, "x"), Frame(Fin, "")), Want: "text x; close 1000"},
		{Section: s, Name: "one in the middle empty", Send: join(Frame(Text, "x"), Frame(0, ""), Frame(Fin, "y")), Want: "text xy; close 1000"},
		{Section: s, Name: "two messages", Send: join(Frame(Text, "a"), Frame(Fin, "b"), Frame(Text, "c"), Frame(Fin, "d")), Want: "text ab; text cd; close 1000"},
		{Section: s, Name: "a ping between", Send: join(Frame(Text, "a"), Frame(Fin|Ping, "p"), Frame(Fin, "b")), Want: `pong "p"; text ab; close 1000`},
		{Section: s, Name: "pings between all", Send: join(Frame(Fin|Ping, "1"), Frame(Text, "a"), Frame(Fin|Ping, "2"), Frame(0, "b"), Frame(Fin|Ping, "3"), Frame(Fin, "c")),
			Want: `pong "1"; pong "2"; pong "3"; text abc; close 1000`},
		{Section: s, Name: "a pong between", Send: join(Frame(Text, "a"), Frame(Fin|Pong, "p"), Frame(Fin, "b")), Want: "text ab; close 1000"},
		{Section: s, Name: "a close between", Send: join(Frame(Text, "a"), Frame(Fin|Close, Code(1001, ""))), Want: "close 1001"},
		{Section: s, Name: "a continuation of nothing", Send: Frame(Fin, "x"), Want: "close 1002"},
		{Section: s, Name: "an unfinished continuation of nothing", Send: Frame(0, "x"), Want: "close 1002"},
		{Section: s, Name: "a continuation after the end", Send: join(Frame(Text, "a"), Frame(Fin, "b"), Frame(Fin, "c")), Want: "text ab; close 1002"},
		{Section: s, Name: "a text inside of a text", Send: join(Frame(Text, "a"), Frame(Fin|Text, "b")), Want: "close 1002"},
		{Section: s, Name: "a binary inside of a text", Send: join(Frame(Text, "a"), Frame(Fin|Binary, "b")), Want: "close 1002"},
		{Section: s, Name: "a text inside of a binary", Send: join(Frame(Binary, "a"), Frame(Text, "b"), Frame(Fin, "c")), Want: "close 1002"},
		{Section: s, Name: "an unfinished message and the end", Send: Frame(Text, "a"), Want: "eof"},
		{Section: s, Name: "half a frame and the end", Send: Frame(Fin|Text, "hello")[:8], Want: "eof"},
		{Section: s, Name: "half a head and the end", Send: Frame(Fin|Text, "hello")[:1], Want: "eof"},
		{Section: s, Name: "nothing and the end", Want: "eof"},
	}
	var many [][]byte
	for range 500 {
		many = append(many, Frame(0, "x"))
	}
	return append(all, Case{Section: s, Name: "500 of one byte", Send: join(Frame(Binary, "x"), join(many...), Frame(Fin, "x")), Want: "binary of 502 bytes; close 1000"})
}
