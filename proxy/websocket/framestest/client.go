package framestest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Key is the mask of the frames.
var Key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// The first byte of a frame.
const (
	Fin  = 0x80
	Rsv1 = 0x40

	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

// Frame returns a masked frame whose length is in the shortest form.
func Frame(first byte, payload string) []byte {
	return MaskedBy(Key, first, payload)
}

// MaskedBy is Frame with another mask.
func MaskedBy(key [4]byte, first byte, payload string) []byte {
	var b []byte
	switch n := len(payload); {
	case n < 126:
		b = []byte{first, 0x80 | byte(n)}
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n))
	}
	return mask(append(b, key[:]...), key, payload)
}

// Long is Frame with the length announced in 2 or 8 bytes, even if that is too long a form or
// not the length of payload.
func Long(first byte, bytes int, announced uint64, payload string) []byte {
	var b []byte
	if bytes == 2 {
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(announced))
	} else {
		b = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, announced)
	}
	return mask(append(b, Key[:]...), Key, payload)
}

// mask appends payload to b, masked by key.
func mask(b []byte, key [4]byte, payload string) []byte {
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// Bare returns a frame without a mask.
func Bare(first byte, payload string) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

// Code returns the payload of a close.
func Code(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// Deflated returns text as the payload of a compressed message.
func Deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	w.Write([]byte(text))
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// Answer is a message or a control frame of a server.
type Answer struct {
	Op      byte
	Payload string
}

// Answers reads the frames of a server.
type Answers struct {
	packed  []byte // the payload of the message that is being read
	op      byte   // of that message
	deflate bool   // that message is compressed
	window  []byte // the bytes to which a compressed message may refer
	rest    []byte // the bytes of an incomplete frame
}

// Read reads bytes of the server. It returns the messages and control frames that are
// complete with them.
func (a *Answers) Read(p []byte) (all []Answer, err error) {
	a.rest = append(a.rest, p...)
	for {
		first, payload, n, err := parse(a.rest)
		if n == 0 || err != nil {
			return all, err
		}
		a.rest = a.rest[n:]
		switch op := first & 0xF; {
		case op >= Close:
			all = append(all, Answer{op, payload})
			continue
		case op != Continuation:
			a.op, a.deflate, a.packed = op, first&Rsv1 != 0, nil
		}
		a.packed = append(a.packed, payload...)
		if first&Fin == 0 {
			continue
		}
		whole, err := a.message()
		if err != nil {
			return all, err
		}
		all = append(all, Answer{a.op, whole})
	}
}

// message returns the message that has come, inflated.
func (a *Answers) message() (string, error) {
	if !a.deflate {
		return string(a.packed), nil
	}
	r := flate.NewReaderDict(bytes.NewReader(append(a.packed, "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...)), a.window)
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(r); err != nil {
		return "", fmt.Errorf("cannot inflate a message of %d bytes: %w", len(a.packed), err)
	}
	a.window = append(a.window, plain.Bytes()...)
	a.window = a.window[max(0, len(a.window)-32<<10):]
	return plain.String(), nil
}

// parse reads a frame of a server. n is 0 if the frame is incomplete.
func parse(p []byte) (first byte, payload string, n int, err error) {
	if len(p) < 2 {
		return 0, "", 0, nil
	}
	if p[1]&0x80 != 0 {
		return 0, "", 0, fmt.Errorf("got a masked frame, which a server must not send")
	}
	size, head := uint64(p[1]), 2
	switch {
	case size == 126 && len(p) >= 4:
		size, head = uint64(binary.BigEndian.Uint16(p[2:])), 4
	case size == 127 && len(p) >= 10:
		size, head = binary.BigEndian.Uint64(p[2:]), 10
	case size >= 126:
		return 0, "", 0, nil
	}
	if uint64(len(p)-head) < size {
		return 0, "", 0, nil
	}
	n = head + int(size)
	return p[0], string(p[head:n]), n, nil
}

// String returns the answer as cases have it: a message, a pong, or the code of a close.
func (a Answer) String() string {
	name := map[byte]string{Text: "text", Binary: "binary", Ping: "ping", Pong: "pong"}[a.Op]
	switch {
	case a.Op == Close && len(a.Payload) < 2:
		return "close"
	case a.Op == Close:
		return fmt.Sprint("close ", binary.BigEndian.Uint16([]byte(a.Payload)))
	case len(a.Payload) > 40:
		return fmt.Sprintf("%s of %d bytes", name, len(a.Payload))
	case a.Op == Text && utf8.ValidString(a.Payload):
		return name + " " + a.Payload
	}
	return fmt.Sprintf("%s %q", name, a.Payload)
}

// Outcome returns the answers as Case.Want has them: up to the close, or with "eof" if there
// is none.
func Outcome(all []Answer) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
		if a.Op == Close {
			return strings.Join(words, "; ")
		}
	}
	return strings.Join(append(words, "eof"), "; ")
}
