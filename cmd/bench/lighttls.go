package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Record and message types, RFC 8446 sections 4 and 5.1.
const (
	recordChange, recordAlert, recordHandshake, recordData = 20, 21, 22, 23

	messageServerHello, messageFinished = 2, 20
)

// hello is a ClientHello with its private key. All handshakes of a run send the same one,
// which costs a server as much as a new one.
type hello struct {
	record []byte
	key    *ecdh.PrivateKey
}

// newHello offers TLS 1.3 with X25519, AES-128-GCM and ECDSA of P-256, the
// first choices of the servers measured. The psk mode has them send tickets, as
// to browsers; none is ever used.
func newHello() (*hello, error) {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{42}, 32))
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	extensions := joined(
		extension(43, []byte{2, 3, 4}),                                                 // supported_versions
		extension(10, []byte{0, 2, 0, 29}),                                             // supported_groups
		extension(13, []byte{0, 4, 4, 3, 8, 4}),                                        // signature_algorithms
		extension(45, []byte{1, 1}),                                                    // psk_key_exchange_modes
		extension(51, append([]byte{0, 36, 0, 29, 0, 32}, key.PublicKey().Bytes()...)), // key_share
	)
	body := joined([]byte{3, 3}, bytes.Repeat([]byte{7}, 32), []byte{32}, bytes.Repeat([]byte{9}, 32),
		[]byte{0, 2, 0x13, 0x01, 1, 0}, sized(extensions))
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return &hello{record: append([]byte{recordHandshake, 3, 1}, sized(message)...), key: key}, nil
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func extension(kind byte, b []byte) []byte { return append([]byte{0, kind}, sized(b)...) }

// light is one connection of a TLS 1.3 client that trusts every server. It computes one
// shared secret, and verifies neither certificate nor Finished: its handshake costs less
// than half of the server's.
type light struct {
	nc         io.ReadWriter
	in         []byte // read and not yet used
	transcript hash.Hash
	secret     []byte // of the key schedule's present stage
	recv       *sealed
}

// lightTLS does a full handshake on nc, sends request and returns the answer, which ends
// with close_notify.
func lightTLS(nc io.ReadWriter, h *hello, request []byte) ([]byte, error) {
	l := &light{nc: nc, in: make([]byte, 0, 4096), transcript: sha256.New()}
	if _, err := nc.Write(h.record); err != nil {
		return nil, err
	}
	l.transcript.Write(h.record[5:])
	send, finished, err := l.agree(h.key)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if err := l.finish(send, finished, request); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		kind, data, err := l.record()
		switch {
		case err != nil:
			return nil, fmt.Errorf("answer: %w", err)
		case kind == recordData:
			answer = append(answer, data...)
		case kind == recordAlert && len(data) == 2 && data[1] == 0:
			return answer, nil
		case kind == recordAlert:
			return nil, fmt.Errorf("alert %v", data)
		}
	}
}

// agree reads the server's hello and derives the handshake's keys: send seals
// the client's Finished, for which finished is the key.
func (l *light) agree(key *ecdh.PrivateKey) (send *sealed, finished []byte, err error) {
	kind, message, err := l.record()
	if err != nil {
		return nil, nil, err
	}
	if kind != recordHandshake || message[0] != messageServerHello || len(message) < 4+2+32+1+32+3+2 {
		return nil, nil, fmt.Errorf("record of type %d in place of a server's hello", kind)
	}
	share := keyShare(message[4+2+32+1+32+3+2:])
	if share == nil {
		return nil, nil, errors.New("no key share of X25519")
	}
	l.transcript.Write(message)
	public, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		return nil, nil, err
	}
	shared, err := key.ECDH(public)
	if err != nil {
		return nil, nil, err
	}
	zeros, empty := make([]byte, sha256.Size), sha256.Sum256(nil)
	early, err := hkdf.Extract(sha256.New, zeros, nil)
	if err != nil {
		return nil, nil, err
	}
	if l.secret, err = hkdf.Extract(sha256.New, shared, expand(early, "derived", empty[:], 32)); err != nil {
		return nil, nil, err
	}
	seen := l.transcript.Sum(nil)
	client := expand(l.secret, "c hs traffic", seen, 32)
	l.recv = newSealed(expand(l.secret, "s hs traffic", seen, 32))
	return newSealed(client), expand(client, "finished", nil, 32), nil
}

// finish reads the rest of the server's flight and sends Finished and the
// request in one write.
func (l *light) finish(send *sealed, finished, request []byte) error {
	for flight := []byte(nil); ; {
		kind, data, err := l.record()
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		if kind != recordHandshake {
			return fmt.Errorf("record of type %d within a handshake", kind)
		}
		flight = append(flight, data...)
		l.transcript.Write(data)
		if endsFlight(flight) {
			break
		}
	}
	empty := sha256.Sum256(nil)
	master, err := hkdf.Extract(sha256.New, make([]byte, sha256.Size), expand(l.secret, "derived", empty[:], 32))
	if err != nil {
		return err
	}
	seen := l.transcript.Sum(nil)
	mac := hmac.New(sha256.New, finished)
	mac.Write(seen)
	out := []byte{recordChange, 3, 3, 0, 1, 1}
	out = send.seal(out, recordHandshake, mac.Sum([]byte{messageFinished, 0, 0, 32}))
	out = newSealed(expand(master, "c ap traffic", seen, 32)).seal(out, recordData, request)
	l.recv = newSealed(expand(master, "s ap traffic", seen, 32))
	_, err = l.nc.Write(out)
	return err
}

// endsFlight reports whether the last of the messages is Finished.
func endsFlight(messages []byte) bool {
	for len(messages) >= 4 {
		n := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
		if len(messages) <= n {
			return len(messages) == n && messages[0] == messageFinished
		}
		messages = messages[n:]
	}
	return false
}

// keyShare finds the server's key among the extensions of its hello.
func keyShare(extensions []byte) []byte {
	for len(extensions) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(extensions[2:]))
		if n > len(extensions) {
			return nil
		}
		if binary.BigEndian.Uint16(extensions) == 51 && n == 4+4+32 {
			return extensions[8:n]
		}
		extensions = extensions[n:]
	}
	return nil
}

// record returns the next record's type and content, opened where keys are
// there. ChangeCipherSpec means nothing.
func (l *light) record() (kind byte, data []byte, err error) {
	for {
		if len(l.in) >= 5 {
			if n := 5 + int(binary.BigEndian.Uint16(l.in[3:])); len(l.in) >= n {
				record := l.in[:n]
				l.in = l.in[n:]
				switch {
				case record[0] == recordChange:
					continue
				case l.recv == nil || record[0] != recordData:
					return record[0], record[5:], nil
				}
				return l.recv.open(record)
			}
		}
		if cap(l.in)-len(l.in) < 2048 {
			l.in = append(make([]byte, 0, max(4096, 2*len(l.in)+2048)), l.in...)
		}
		n, err := l.nc.Read(l.in[len(l.in):cap(l.in)])
		if l.in = l.in[:len(l.in)+n]; n == 0 {
			return 0, nil, err
		}
	}
}

// sealed is one direction's key and counter, RFC 8446 section 5.3.
type sealed struct {
	aead cipher.AEAD
	iv   []byte
	n    uint64
}

func newSealed(secret []byte) *sealed {
	block, err := aes.NewCipher(expand(secret, "key", nil, 16))
	if err != nil {
		panic(err) // the key's length is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &sealed{aead: aead, iv: expand(secret, "iv", nil, 12)}
}

func (s *sealed) nonce() []byte {
	nonce := bytes.Clone(s.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^s.n)
	s.n++
	return nonce
}

func (s *sealed) seal(dst []byte, kind byte, data []byte) []byte {
	header := append([]byte{recordData, 3, 3}, sized(make([]byte, len(data)+1+16))[:2]...)
	return s.aead.Seal(append(dst, header...), s.nonce(), append(bytes.Clone(data), kind), header)
}

func (s *sealed) open(record []byte) (kind byte, data []byte, err error) {
	data, err = s.aead.Open(record[5:5], s.nonce(), record[5:], record[:5])
	if err != nil {
		return 0, nil, err
	}
	data = bytes.TrimRight(data, "\x00") // padding
	if len(data) == 0 {
		return 0, nil, errors.New("empty record")
	}
	return data[len(data)-1], data[:len(data)-1], nil
}

// expand is HKDF-Expand-Label, RFC 8446 section 7.1.
func expand(secret []byte, label string, context []byte, n int) []byte {
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(6+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err) // n is small
	}
	return out
}
