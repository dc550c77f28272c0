package proxyproto

import (
	"encoding/binary"
	"strconv"
	"strings"
)

const (
	kindChecksum = 0x03
	kindSSL      = 0x20
	tlvHead      = 3 // kind and length
	sslHead      = 5 // bytes of the ssl TLV before its own TLVs: client and verify
)

// tlvLength returns the length of the value of the first TLV in b.
func tlvLength(b []byte) int { return int(binary.BigEndian.Uint16(b[1:])) }

// wellFormed reports whether b consists of whole TLVs.
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < tlvHead || len(b) < tlvHead+tlvLength(b) {
			return false
		}
		b = b[tlvHead+tlvLength(b):]
	}
	return true
}

// find returns where the value of the first TLV of this kind begins and ends in b, which must
// be wellFormed.
func find(b []byte, kind byte) (begin, end int, ok bool) {
	for begin = tlvHead; begin <= len(b); begin = end + tlvHead {
		end = begin + tlvLength(b[begin-tlvHead:])
		if b[begin-tlvHead] == kind {
			return begin, end, true
		}
	}
	return 0, 0, false
}

// lookup returns the value of the first TLV of that kind.
func lookup(b []byte, kind byte) (value []byte, ok bool) {
	begin, end, ok := find(b, kind)
	return b[begin:end], ok
}

// TLV names a value that a header of version 2 may have besides the addresses.
type TLV struct {
	kind   byte
	ssl    bool // it is inside the ssl TLV
	verify bool // it is the result of verifying the client's certificate
}

// names returns the kinds that have a name in nginx.
func names(ssl bool) map[string]byte {
	if ssl {
		return map[string]byte{"version": 0x21, "cn": 0x22, "cipher": 0x23, "sig_alg": 0x24, "key_alg": 0x25}
	}
	return map[string]byte{"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "ssl": kindSSL, "netns": 0x30}
}

// TLVOf returns the TLV of nginx's $proxy_protocol_tlv_NAME. NAME is alpn, authority,
// unique_id, ssl, netns or a number such as 0x2a; after ssl_ it is verify, version, cn,
// cipher, sig_alg, key_alg or a number.
func TLVOf(name string) (t TLV, ok bool) {
	name, t.ssl = strings.CutPrefix(name, "ssl_")
	if t.ssl && name == "verify" {
		t.verify = true
		return t, true
	}
	if digits, hex := strings.CutPrefix(name, "0x"); hex {
		n, err := strconv.ParseUint(digits, 16, 8)
		t.kind = byte(n)
		return t, err == nil
	}
	t.kind, ok = names(t.ssl)[name]
	return t, ok
}

// Append appends the value of t in h to dst. It returns false if h has none; h may be nil.
func (t TLV) Append(h *Header, dst []byte) ([]byte, bool) {
	if h == nil {
		return dst, false
	}
	tlvs := h.tlvs
	if t.ssl {
		ssl, ok := lookup(tlvs, kindSSL)
		if !ok || len(ssl) < sslHead {
			return dst, false
		}
		if t.verify {
			return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(ssl[1:])), 10), true
		}
		if tlvs = ssl[sslHead:]; !wellFormed(tlvs) {
			return dst, false
		}
	}
	value, ok := lookup(tlvs, t.kind)
	return append(dst, value...), ok
}
