package framestest

import (
	"fmt"
	"slices"
)

// valid are texts in UTF-8 (RFC 3629).
var valid = []string{
	"Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff",
	"\U00010000", "\U0010ffff", "𝄞 and ☃", "\ufeff",
}

// invalid are texts that are not UTF-8.
var invalid = []string{
	"\x80", "\xbf", "\xc0", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc3\x28", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x28\xa1", "\xe2\x82\x28",
	"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf0\x28\x8c\xbc", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
	"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff", "abcdefgh\xff", "abcdefghijklmnop\xc3", "ok\xed\xa0\x80ok",
}

// texts are the cases of section 8.1 and of 5.6.
func texts() (all []Case) {
	add := func(name, text, want string) {
		all = append(all, Case{Section: "8.1 UTF-8", Name: fmt.Sprintf("%+q %s", text, name), Want: want, Send: Frame(Fin|Text, text)},
			Case{Section: "8.1 UTF-8", Name: fmt.Sprintf("%+q %s, a fragment for each byte", text, name), Want: want, Send: slices.Concat(bytewise(text)...)})
	}
	for _, text := range valid {
		add("is valid", text, Answer{Text, text}.String()+"; close 1000")
	}
	for _, text := range invalid {
		add("is invalid", text, "close 1007")
	}
	return append(all,
		Case{Section: "8.1 UTF-8", Name: "invalid as binary", Send: Frame(Fin|Binary, "\xff\xfe"), Want: `binary "\xff\xfe"; close 1000`},
		Case{Section: "8.1 UTF-8", Name: "half a character in each of two messages", Send: join(Frame(Fin|Text, "\xc3"), Frame(Fin|Text, "\xa4")), Want: "close 1007"},
		Case{Section: "8.1 UTF-8", Name: "a ping inside of a character", Send: join(Frame(Text, "\xc3"), Frame(Fin|Ping, "\xff"), Frame(Fin, "\xa4")), Want: `pong "\xff"; text ä; close 1000`},
		Case{Section: "8.1 UTF-8", Name: "invalid before the end of the message", Send: Frame(Text, "\xff"), Want: "close 1007"},
		Case{Section: "8.1 UTF-8", Name: "invalid before the end of the frame", Send: Frame(Fin|Text, "\xf4\x90aaaaaa")[:8], Want: "close 1007",
			Websockets: "eof", Why: "RFC 6455 section 8.1 says that the connection fails, not when; websockets looks at whole frames"})
}

// bytewise returns text as a message with a fragment for each byte.
func bytewise(text string) [][]byte {
	frames := [][]byte{Frame(Text, "")}
	for i := range len(text) {
		frames = append(frames, Frame(0, text[i:i+1]))
	}
	return append(frames, Frame(Fin, ""))
}
