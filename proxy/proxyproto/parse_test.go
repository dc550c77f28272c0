package proxyproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
)

func TestTextHeadersHaveTheirAddresses(t *testing.T) {
	for _, c := range []struct{ header, source, destination string }{
		{"PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\r\n", "192.0.2.1:4711", "198.51.100.7:80"},
		{"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0", "255.255.255.255:65535"},
		{"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "[2001:db8::1]:4711", "[::1]:443"},
		{"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "[::ffff:192.0.2.1]:1", "[::1]:2"},
		{"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	} {
		h, size, err := Parse([]byte(c.header + "GET / HTTP/1.1\r\n"))
		if err != nil || size != len(c.header) || h.Source.String() != c.source || h.Destination.String() != c.destination {
			t.Errorf("%q: got %v, %d, %v; want %d, %q and %q", c.header, h, size, err, len(c.header), c.source, c.destination)
		}
	}
}

func TestHeadersMayHaveNoAddresses(t *testing.T) {
	for _, header := range []string{
		"PROXY UNKNOWN\r\n",
		"PROXY UNKNOWN ffff:f...f:ffff anything at all\r\n",
		binaryHeader(0x20, 0x00, ""),
		binaryHeader(0x20, 0x11, ip4),
		binaryHeader(0x21, 0x00, "any bytes"),
		binaryHeader(0x21, 0x12, ip4), // datagrams
		binaryHeader(0x21, 0x31, strings.Repeat("x", 216)),
	} {
		if h, size, err := Parse([]byte(header + "GET")); h != nil || size != len(header) || err != nil {
			t.Errorf("%q: got %v, %d, %v; want nil and %d", header, h, size, err, len(header))
		}
	}
}

func TestBrokenHeadersAreRefusedWithTheirReason(t *testing.T) {
	for _, c := range []struct{ header, why string }{
		{"GET / HTTP/1.1\r\n", "the signature"},
		{"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "the signature"},
		{"PROXYTCP4", "the signature"},
		{"\r\n\r\n\x01", "the signature"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "CRLF"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX", "CRLF"},
		{"PROXY UNKNOWNS\r\n", "family"},
		{"PROXY\x20\r\n", "family"},
		{"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "family"},
		{"PROXY TCP4\r\n", "two addresses"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "two addresses"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "two addresses"},
		{"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "two addresses"},
		{"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", `"192.0.2.01"`},
		{"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", `"192.0.2"`},
		{"PROXY TCP4 ::1 192.0.2.2 1 2\r\n", `"::1"`},
		{"PROXY TCP6 ::1 192.0.2.2 1 2\r\n", `"192.0.2.2"`},
		{"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "fe80"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", `"65536"`},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n", `"02"`},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", `"+1"`},
		{"PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n", "port"},
		{"PROXY UNKNOWN " + strings.Repeat("x", 107-14-2+1) + "\r\n", "longer than 107"},
		{"PROXY UNKNOWN " + strings.Repeat("x", 200), "longer than 107"},
		{binaryHeader(0x11, 0x11, ip4), "version 1"},
		{binaryHeader(0x22, 0x11, ip4), "command 2"},
		{binaryHeader(0x21, 0x41, ip4), "0x41"},
		{binaryHeader(0x21, 0x13, ip4), "0x13"},
		{binaryHeader(0x21, 0x11, ip4[1:]), "too short"},
		{binaryHeader(0x21, 0x21, ip6[1:]), "too short"},
		{binaryHeader(0x21, 0x11, ""), "too short"},
		{binaryHeader(0x21, 0x11, ip4+strings.Repeat("\x04\x00\x00", 1362)), "too large"},
		{binaryHeader(0x21, 0x11, ip4+"\x01\x00"), "TLV"},
		{binaryHeader(0x21, 0x11, ip4+"\x01\x00\x03h2"), "TLV"},
		{binaryHeader(0x21, 0x11, ip4+"\x03\x00\x04\x00\x00\x00\x00"), "checksum"},
		{binaryHeader(0x21, 0x11, ip4+"\x03\x00\x03\x00\x00\x00"), "checksum"},
	} {
		_, size, err := Parse([]byte(c.header))
		if err == nil || errors.Is(err, ErrShort) || size != 0 || !strings.HasPrefix(err.Error(), "broken header: ") || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: got %d, %v, want an error with %q", c.header, size, err, c.why)
		}
	}
}

func TestBinaryHeadersHaveTheirAddresses(t *testing.T) {
	for _, c := range []struct {
		family              byte
		payload             string
		source, destination string
	}{
		{0x11, ip4, "192.0.2.1:4711", "198.51.100.7:80"},
		{0x21, ip6, "[2001:db8::1]:4711", "[::1]:443"},
		{0x11, ip4 + strings.Repeat("\x04\x00\x01x", 1021), "192.0.2.1:4711", "198.51.100.7:80"}, // 4096 bytes
	} {
		header := binaryHeader(0x21, c.family, c.payload)
		h, size, err := Parse([]byte(header + "GET"))
		if err != nil || size != len(header) || h.Source.String() != c.source || h.Destination.String() != c.destination {
			t.Errorf("%q: got %v, %d, %v; want %d, %q and %q", header, h, size, err, len(header), c.source, c.destination)
		}
	}
}

func TestAPartOfAHeaderIsShort(t *testing.T) {
	for _, header := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\r\n",
		"PROXY UNKNOWN\r\n",
		binaryHeader(0x21, 0x11, ip4+"\x01\x00\x02h2"),
	} {
		for i := range header {
			mark := len(textMark)
			if header[0] == '\r' {
				mark = len(binaryMark)
			}
			_, _, err := Parse([]byte(header[:i]))
			if may, is := Begins([]byte(header[:i])); err != ErrShort || !may || is != (i >= mark) {
				t.Errorf("%q: got %v, %v, %v, want %v", header[:i], err, may, is, ErrShort)
			}
		}
	}
}

func TestTLVsAreFoundByNameAndNumber(t *testing.T) {
	ssl := "\x07\x00\x00\x00\x2a" + "\x21\x00\x07TLSv1.3" + "\x22\x00\x06client" + "\x2f\x00\x01?"
	payload := ip4 + "\x01\x00\x02h2" + "\x02\x00\x0bexample.com" + "\x20\x00" + string(rune(len(ssl))) + ssl + "\xea\x00\x00"
	h, _, err := Parse([]byte(summed(binaryHeader(0x21, 0x11, payload+"\x03\x00\x04\x00\x00\x00\x00"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		found       bool
	}{
		{"alpn", "h2", true}, {"0x01", "h2", true}, {"0x1", "h2", true}, {"authority", "example.com", true},
		{"ssl", ssl, true}, {"0xea", "", true}, {"netns", "", false}, {"0xff", "", false},
		{"ssl_verify", "42", true}, {"ssl_version", "TLSv1.3", true}, {"ssl_cn", "client", true}, {"ssl_0x2f", "?", true}, {"ssl_cipher", "", false},
	} {
		tlv, known := TLVOf(c.name)
		got, found := tlv.Append(h, nil)
		if !known || string(got) != c.value || found != c.found {
			t.Errorf("%s: got %q, %v, %v, want %q, %v", c.name, got, found, known, c.value, c.found)
		}
		if _, found := tlv.Append(nil, nil); found {
			t.Errorf("%s of no header was found", c.name)
		}
	}
	for _, name := range []string{"", "alp", "0x", "0x100", "0xg", "ssl_", "ssl_alpn", "verify", "ssl_0x"} {
		if tlv, known := TLVOf(name); known {
			t.Errorf("%q is known as %v", name, tlv)
		}
	}
}

func TestAMalformedSSLTLVHasNoValues(t *testing.T) {
	for _, ssl := range []string{"", "\x07\x00\x00\x00", "\x07\x00\x00\x00\x00\x21\x00\x07TLS"} {
		h, _, err := Parse([]byte(binaryHeader(0x21, 0x11, ip4+"\x20\x00"+string(rune(len(ssl)))+ssl)))
		if err != nil {
			t.Fatal(err)
		}
		version, _ := TLVOf("ssl_version")
		if got, found := version.Append(h, nil); found {
			t.Errorf("%q: got the version %q", ssl, got)
		}
	}
}

const (
	ip4 = "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x00\x50"
	ip6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
)

func binaryHeader(command, family byte, payload string) string {
	b := append([]byte(binaryMark), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(payload)))) + payload
}

// summed puts the checksum of header into its last four bytes, which are zeros.
func summed(header string) string {
	sum := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return string(binary.BigEndian.AppendUint32([]byte(header[:len(header)-4]), sum))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\r\nGET", "PROXY TCP6 ::1 ::2 1 2\r\n", "PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n",
		binaryHeader(0x21, 0x11, ip4+"\x01\x00\x02h2"), binaryHeader(0x21, 0x21, ip6), binaryHeader(0x20, 0, ""),
		summed(binaryHeader(0x21, 0x11, ip4+"\x20\x00\x05\x01\x00\x00\x00\x00\x03\x00\x04\x00\x00\x00\x00"))} {
		f.Add([]byte(seed))
	}
	all := []string{"alpn", "0x00", "ssl_verify", "ssl_cn"}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := Parse(b)
		switch {
		case err == ErrShort:
			if may, _ := Begins(b); len(b) >= MaxSize || !may || h != nil || size != 0 {
				t.Fatalf("%q is short: %v, %d; want less than %d bytes, may true, nil and 0", b, h, size, MaxSize)
			}
			return
		case err != nil:
			if h != nil || size != 0 {
				t.Fatalf("%q: got %v, %d and %v; want nil and 0", b, h, size, err)
			}
			return
		case size <= 0 || size > len(b) || size > MaxSize:
			t.Fatalf("%q: got the size %d; want more than 0, at most %d and at most %d", b, size, len(b), MaxSize)
		}
		again, n, err := Parse(b[:size])
		if err != nil || n != size || (again == nil) != (h == nil) || h != nil && (again.Source != h.Source || again.Destination != h.Destination) {
			t.Fatalf("%q: got %v, and of the header alone %v, %d, %v", b, h, again, n, err)
		}
		if _, _, err := Parse(b[:size-1]); err != ErrShort {
			t.Fatalf("%q without its last byte: %v; want %v", b[:size], err, ErrShort)
		}
		for _, name := range all {
			tlv, _ := TLVOf(name)
			tlv.Append(h, nil)
		}
	})
}
