package framestest

import (
	"fmt"
	"strings"
)

// Offers of permessage-deflate.
const (
	plainOffer  = "permessage-deflate"
	windowOffer = "permessage-deflate; client_max_window_bits"
)

// Names of cases.
const (
	notText    = "text that is not UTF-8"
	pingInside = "a ping inside of a compressed message"
)

// deflate are the cases of RFC 7692.
func deflate() []Case {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // its section 7.2.3.1
	s := "7692 7.2"
	all := []Case{
		{Section: s, Name: "7.2.3.1: one block", Send: Frame(Fin|Rsv1|Text, hello), Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.1: in two fragments", Send: join(Frame(Rsv1|Text, hello[:3]), Frame(Fin, hello[3:])), Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.1: a fragment for each byte", Send: join(Frame(Rsv1|Text, hello[:1]), Frame(0, hello[1:2]), Frame(0, hello[2:3]), Frame(0, hello[3:4]), Frame(0, hello[4:5]), Frame(0, hello[5:6]), Frame(Fin, hello[6:])),
			Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.2: without a reference to the message before", Send: join(Frame(Fin|Rsv1|Text, hello), Frame(Fin|Rsv1|Text, hello)), Want: "text Hello; text Hello; close 1000"},
		{Section: s, Name: "7.2.3.2: with a reference to the message before", Offer: windowOffer, Send: join(Frame(Fin|Rsv1|Text, hello), Frame(Fin|Rsv1|Text, "\xf2\x00\x11\x00\x00")), Want: "text Hello; text Hello; close 1000"},
		{Section: s, Name: "7.2.3.3: a stored block", Send: Frame(Fin|Rsv1|Text, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.4: a last block", Send: Frame(Fin|Rsv1|Text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.5: two blocks", Send: Frame(Fin|Rsv1|Text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), Want: "text Hello; close 1000"},
		{Section: s, Name: "7.2.3.6: an empty message", Send: Frame(Fin|Rsv1|Text, "\x00"), Want: "text ; close 1000"},
		{Section: s, Name: "an empty message without a byte", Send: Frame(Fin|Rsv1|Binary, ""), Want: `binary ""; close 1000`},
		{Section: s, Name: "an empty message in empty fragments", Send: join(Frame(Rsv1|Binary, ""), Frame(0, ""), Frame(Fin, "")), Want: `binary ""; close 1000`},
		{Section: s, Name: "a message that ends with a last block", Send: Frame(Fin|Rsv1|Text, "\xf3\x48\xcd\xc9\xc9\x07\x00"), Want: "text Hello; close 1000"},
		{Section: s, Name: "a message between compressed ones", Send: join(Frame(Fin|Rsv1|Text, hello), Frame(Fin|Text, "plain"), Frame(Fin|Rsv1|Text, hello)), Want: "text Hello; text plain; text Hello; close 1000"},
		{Section: s, Name: pingInside, Send: join(Frame(Rsv1|Text, hello[:4]), Frame(Fin|Ping, "p"), Frame(Fin, hello[4:])), Want: `pong "p"; text Hello; close 1000`},
		{Section: s, Name: "a close inside of a compressed message", Send: join(Frame(Rsv1|Text, hello[:4]), Frame(Fin|Close, Code(1001, ""))), Want: "close 1001"},
		{Section: s, Name: "the end inside of a compressed message", Send: Frame(Rsv1|Text, hello[:4]), Want: "eof"},
		{Section: s, Name: "a reference to the message before, without context", Offer: "permessage-deflate; client_no_context_takeover", Send: join(Frame(Fin|Rsv1|Text, hello), Frame(Fin|Rsv1|Text, "\xf2\x00\x11\x00\x00")), Want: "text Hello; close 1007"},
		{Section: s, Name: "a reference to before the first message", Send: Frame(Fin|Rsv1|Text, "\xf2\x00\x11\x00\x00"), Want: "close 1007"},
		{Section: s, Name: "a block of an unknown type", Send: Frame(Fin|Rsv1|Text, "\x06"), Want: "close 1007"},
		{Section: s, Name: "a stored block with a wrong length", Send: Frame(Fin|Rsv1|Text, "\x00\x05\x00\x00\x00Hello\x00"), Want: "close 1007"},
		{Section: s, Name: "random bytes", Send: Frame(Fin|Rsv1|Binary, "\xff\xff\xff\xff\xff\xff\xff\xff"), Want: "close 1007"},
		{Section: s, Name: notText, Send: Frame(Fin|Rsv1|Text, Deflated("caf\xc3")), Want: "close 1007"},
		{Section: s, Name: "text in UTF-8", Send: Frame(Fin|Rsv1|Text, Deflated("Grüße, ☃ and 𝄞")), Want: "text Grüße, ☃ and 𝄞; close 1000"},
		{Section: s, Name: "binary that is not UTF-8", Send: Frame(Fin|Rsv1|Binary, Deflated("\xff\xfe")), Want: `binary "\xff\xfe"; close 1000`},
		{Section: "7692 6.1", Name: "the bit in a continuation", Send: join(Frame(Rsv1|Text, hello[:3]), Frame(Fin|Rsv1, hello[3:])), Want: "close 1002"},
		{Section: "7692 6.1", Name: "the bit in a ping", Send: Frame(Fin|Rsv1|Ping, hello), Want: "close 1002"},
		{Section: "7692 6.1", Name: "the bit in a close", Send: Frame(Fin|Rsv1|Close, Code(1000, "")), Want: "close 1002"},
		{Section: "7692 6.1", Name: "other reserved bits", Send: Frame(Fin|0x20|Text, "x"), Want: "close 1002"},
		{Section: "7692 10", Name: "a message as large as allowed", Send: Frame(Fin|Rsv1|Binary, Deflated(strings.Repeat("*", Limit))), Want: "binary of 100000 bytes; close 1000"},
		{Section: "7692 10", Name: "a message with one byte too many", Send: Frame(Fin|Rsv1|Binary, Deflated(strings.Repeat("*", Limit+1))), Want: "close 1009"},
		{Section: "7692 10", Name: "a bomb of 2 MB", Send: Frame(Fin|Rsv1|Binary, Deflated(strings.Repeat("*", 2<<20))), Want: "close 1009"},
	}
	for i := range all {
		c := &all[i]
		if c.Offer == "" {
			c.Offer = plainOffer
		}
		if c.Want[max(0, len(c.Want)-4):] == "1007" && c.Name != notText {
			c.Websockets, c.Why = "close 1002", "RFC 7692 names no code for data that cannot be inflated; RFC 6455 section 7.4.1 has 1007 for inconsistent data"
		}
		if c.Name == pingInside {
			c.Wsproto, c.Why = "eof", "RFC 6455 section 5.4 allows control frames between fragments; wsproto inflates them"
		}
	}
	for _, n := range []int{1, 47, 48, 126, 1000, 32767, 32768, 65536, 99999} {
		text := strings.Repeat("All work and no play. ", n/22+1)[:n]
		for _, offer := range []string{plainOffer, windowOffer, plainOffer + "; server_no_context_takeover", plainOffer + "; server_max_window_bits=9"} {
			echoed := Answer{Text, text}.String() + "; "
			all = append(all, Case{Section: "7692 7.1", Name: fmt.Sprintf("%d bytes twice, %s", n, offer), Offer: offer,
				Send: join(Frame(Fin|Rsv1|Text, Deflated(text)), Frame(Fin|Rsv1|Text, Deflated(text))), Want: echoed + echoed + "close 1000"})
		}
	}
	return all
}
