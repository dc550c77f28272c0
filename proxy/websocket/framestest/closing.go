package framestest

import (
	"fmt"
	"strings"
)

// control are the cases of pings and pongs: sections 5.5, 5.5.2 and 5.5.3.
func control() (all []Case) {
	for _, n := range []int{0, 1, 4, 124, 125} {
		text := strings.Repeat("p", n)
		all = append(all, Case{Section: "5.5.2 ping", Name: fmt.Sprint(n, " bytes"), Send: Frame(Fin|Ping, text), Want: Answer{Pong, text}.String() + "; close 1000"},
			Case{Section: "5.5.3 pong", Name: fmt.Sprint("unasked, ", n, " bytes"), Send: Frame(Fin|Pong, text), Want: "close 1000"})
	}
	for _, op := range []byte{Ping, Pong, Close} {
		all = append(all,
			Case{Section: "5.5 control frames", Name: fmt.Sprintf("opcode %d, 126 bytes", op), Send: Frame(Fin|op, strings.Repeat("x", 126)), Want: "close 1002"},
			Case{Section: "5.5 control frames", Name: fmt.Sprintf("opcode %d, 65536 bytes", op), Send: Frame(Fin|op, strings.Repeat("x", 65536)), Want: "close 1002"},
			Case{Section: "5.5 control frames", Name: fmt.Sprintf("opcode %d, fragmented", op), Send: Frame(op, "x"), Want: "close 1002"})
	}
	var ten [][]byte
	var pongs string
	for i := range 10 {
		ten = append(ten, Frame(Fin|Ping, fmt.Sprint(i)))
		pongs += fmt.Sprintf("pong \"%d\"; ", i)
	}
	return append(all,
		Case{Section: "5.5.2 ping", Name: "of binary bytes", Send: Frame(Fin|Ping, "\x00\xff\xfe\x80"), Want: `pong "\x00\xff\xfe\x80"; close 1000`},
		Case{Section: "5.5.2 ping", Name: "ten", Send: join(ten...), Want: pongs + "close 1000"},
		Case{Section: "5.5.2 ping", Name: "before and after a message", Send: join(Frame(Fin|Ping, "a"), Frame(Fin|Ping, "b")), Want: `pong "a"; pong "b"; close 1000`})
}

// closing are the cases of closes: sections 5.5.1, 7.1 and 7.4.
func closing() (all []Case) {
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		c := Case{Section: "7.4.1 codes", Name: fmt.Sprint(code), Send: Frame(Fin|Close, Code(code, "")), Want: fmt.Sprint("close ", code)}
		if code == 1014 {
			c.Wsproto, c.Why = "eof", "1014 was registered after RFC 6455 (its section 11.7); wsproto does not know it"
		}
		all = append(all, c)
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535} {
		all = append(all, Case{Section: "7.4.2 codes that are not sent", Name: fmt.Sprint(code), Send: Frame(Fin|Close, Code(code, "")), Want: "close 1002"})
	}
	return append(all, []Case{
		{Section: "5.5.1 close", Name: "without a code", Send: Frame(Fin|Close, ""), Want: "close"},
		{Section: "5.5.1 close", Name: "with half a code", Send: Frame(Fin|Close, "\x03"), Want: "close 1002"},
		{Section: "5.5.1 close", Name: "with a reason", Send: Frame(Fin|Close, Code(1000, "bye")), Want: "close 1000"},
		{Section: "5.5.1 close", Name: "with a reason of 123 bytes", Send: Frame(Fin|Close, Code(1000, strings.Repeat("x", 123))), Want: "close 1000"},
		{Section: "5.5.1 close", Name: "with a reason in UTF-8", Send: Frame(Fin|Close, Code(1000, "Grüße, ☃ and 𝄞")), Want: "close 1000"},
		{Section: "5.5.1 close", Name: "with a reason that is not UTF-8", Send: Frame(Fin|Close, Code(1000, "\xff")), Want: "close 1007"},
		{Section: "5.5.1 close", Name: "with half a character", Send: Frame(Fin|Close, Code(1000, "caf\xc3")), Want: "close 1007"},
		{Section: "5.5.1 close", Name: "a message after it", Send: join(Frame(Fin|Close, Code(1000, "")), Frame(Fin|Text, "late")), Want: "close 1000"},
		{Section: "5.5.1 close", Name: "a ping after it", Send: join(Frame(Fin|Close, Code(1001, "")), Frame(Fin|Ping, "late")), Want: "close 1001"},
		{Section: "5.5.1 close", Name: "a bad frame after it", Send: join(Frame(Fin|Close, Code(1001, "")), Frame(Fin|0x70|Ping, "late")), Want: "close 1001"},
		{Section: "5.5.1 close", Name: "two", Send: join(Frame(Fin|Close, Code(1001, "")), Frame(Fin|Close, Code(1000, ""))), Want: "close 1001"},
		{Section: "5.5.1 close", Name: "after messages", Send: join(Frame(Fin|Text, "a"), Frame(Fin|Binary, "b"), Frame(Fin|Close, Code(4001, ""))), Want: `text a; binary "b"; close 4001`},
	}...)
}

// limits are the cases of sizes beyond Limit (section 10.4).
func limits() []Case {
	s, big := "10.4 limits", strings.Repeat("*", Limit)
	return []Case{
		{Section: s, Name: "a frame with one byte too many", Send: Frame(Fin|Binary, big+"*"), Want: "close 1009"},
		{Section: s, Name: "only announced", Send: Long(Fin|Text, 8, Limit+1, ""), Want: "close 1009"},
		{Section: s, Name: "fragments as large as allowed", Send: join(Frame(Binary, big[:60_000]), Frame(Fin, big[60_000:])), Want: "binary of 100000 bytes; close 1000"},
		{Section: s, Name: "fragments with one byte too many", Send: join(Frame(Binary, big[:60_000]), Frame(Fin, big[59_999:])), Want: "close 1009"},
		{Section: s, Name: "an empty fragment at the limit", Send: join(Frame(Binary, big), Frame(Fin, "")), Want: "binary of 100000 bytes; close 1000"},
		{Section: s, Name: "a message after one as large as allowed", Send: join(Frame(Fin|Binary, big), Frame(Fin|Text, "x")), Want: "binary of 100000 bytes; text x; close 1000"},
	}
}
