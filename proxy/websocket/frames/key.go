package frames

import (
	"crypto/sha1"
	"encoding/base64"
)

// keyBytes is the length of a decoded Sec-WebSocket-Key.
const keyBytes = 16

// ValidKey reports whether key is a Sec-WebSocket-Key: 16 bytes in base64 (RFC 6455 section 4.2.1).
func ValidKey(key string) bool {
	var raw [keyBytes + 2]byte
	if len(key) != base64.StdEncoding.EncodedLen(keyBytes) {
		return false
	}
	n, err := base64.StdEncoding.Decode(raw[:], []byte(key))
	return err == nil && n == keyBytes
}

// AcceptKey returns the Sec-WebSocket-Accept that answers key (RFC 6455 section 4.2.2).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
