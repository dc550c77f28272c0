package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Opcodes of frames (RFC 6455, section 5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// finalFrame is the bit of a frame's first byte that ends a message.
const finalFrame = 0x80

// maxMessage is the longest message that the client takes.
const maxMessage = 1 << 20

// closedError is returned when the server has closed the WebSocket.
type closedError struct {
	code   int // 1005: the frame had none
	reason string
}

func (e *closedError) Error() string {
	return fmt.Sprintf("closed by the server with %d %q", e.code, e.reason)
}

// webSocket is a client's end of a WebSocket, without extensions. It judges servers, and
// therefore shares no code with alicorn's.
type webSocket struct {
	conn   net.Conn
	reader *bufio.Reader

	mu    sync.Mutex // of what is sent: receive answers control frames
	frame []byte     // the last frame that was sent, to be used again
}

// openWebSocket connects from the n-th address of the clients, and shakes hands.
func openWebSocket(n int, addr, path string) (*webSocket, error) {
	conn, err := dialFrom(n, addr)
	if err != nil {
		return nil, &requestError{stage: "connect", err: err}
	}
	w := newWebSocket(conn)
	if err := w.shake(addr, path); err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

// newWebSocket returns the client's end of a WebSocket over conn, whose handshake was made
// or is to be made by shake.
func newWebSocket(conn net.Conn) *webSocket {
	return &webSocket{conn: conn, reader: bufio.NewReaderSize(conn, 512)}
}

// shake sends the handshake and checks the answer (RFC 6455, section 4.1).
func (w *webSocket) shake(addr, path string) error {
	var nonce [16]byte
	rand.Read(nonce[:])
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if err := w.extend(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, addr, key)
	if err != nil {
		return &requestError{stage: "handshake", err: err}
	}
	response, err := http.ReadResponse(w.reader, nil)
	if err != nil {
		return &requestError{stage: "handshake", err: err}
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return &requestError{status: response.StatusCode, err: errors.New(response.Status)}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if want := base64.StdEncoding.EncodeToString(sum[:]); response.Header.Get("Sec-WebSocket-Accept") != want {
		return &requestError{stage: "handshake", err: fmt.Errorf("Sec-WebSocket-Accept is %q, not %q", response.Header.Get("Sec-WebSocket-Accept"), want)}
	}
	return nil
}

// extend sets the deadline of the next exchange.
func (w *webSocket) extend() error { return w.conn.SetDeadline(time.Now().Add(requestDeadline)) }

// send sends a message or a control frame in one frame. The payload has 65,535 bytes at
// most.
func (w *webSocket) send(opcode byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := append(w.frame[:0], finalFrame|opcode)
	if len(payload) < 126 {
		f = append(f, 0x80|byte(len(payload)))
	} else {
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(len(payload)))
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], uint32(time.Now().UnixNano()))
	f = append(f, mask[:]...)
	for i, b := range payload {
		f = append(f, b^mask[i&3])
	}
	w.frame = f
	_, err := w.conn.Write(f)
	return err
}

// receive returns the next message. It answers pings, and the server's close with one of
// its own, after which it returns a closedError. The message is valid until the next call
// of receive if it came in one frame.
func (w *webSocket) receive() (opcode byte, message []byte, err error) {
	for {
		first, payload, err := w.receiveFrame()
		if err != nil {
			return 0, nil, err
		}
		switch op := first & 0x0f; {
		case op == opPing:
			if err := w.send(opPong, payload); err != nil {
				return 0, nil, err
			}
			continue
		case op == opPong:
			continue
		case op == opClose:
			return 0, nil, w.answerClose(payload)
		case (op == opContinuation) != (opcode != 0), op > opBinary:
			return 0, nil, fmt.Errorf("unexpected frame with opcode %d", op)
		case op != opContinuation:
			opcode = op
		}
		if len(message)+len(payload) > maxMessage {
			return 0, nil, fmt.Errorf("message is longer than %d bytes", maxMessage)
		}
		if message == nil {
			message = payload
		} else {
			message = append(message, payload...)
		}
		if first&finalFrame != 0 {
			return opcode, message, nil
		}
	}
}

// receiveFrame returns the first byte and the payload of the next frame.
func (w *webSocket) receiveFrame() (first byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(w.reader, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	if first&0x70 != 0 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("malformed frame: it begins with %#x", head[:2])
	}
	size := uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(w.reader, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(w.reader, head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, nil, err
	}
	if size > maxMessage {
		return 0, nil, fmt.Errorf("frame has %d bytes, more than %d", size, maxMessage)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(w.reader, payload)
	return first, payload, err
}

// answerClose answers the server's close frame and returns what it said.
func (w *webSocket) answerClose(payload []byte) error {
	closed := &closedError{code: 1005}
	if len(payload) >= 2 {
		closed.code = int(binary.BigEndian.Uint16(payload))
		closed.reason = string(payload[2:])
	}
	if err := w.send(opClose, payload); err != nil {
		return errors.Join(closed, err)
	}
	return closed
}

// echo sends a message and compares the answer.
func (w *webSocket) echo(opcode byte, message []byte) error {
	if err := w.extend(); err != nil {
		return err
	}
	if err := w.send(opcode, message); err != nil {
		return &requestError{stage: "message", err: err}
	}
	op, answer, err := w.receive()
	if err != nil {
		return &requestError{stage: "echo", err: err}
	}
	if op != opcode || !bytes.Equal(answer, message) {
		return &requestError{stage: "wrong echo", err: fmt.Errorf("opcode %d, %.60q", op, answer)}
	}
	return nil
}

// close closes the WebSocket with 1000 and waits until the server has answered.
func (w *webSocket) close() error {
	defer w.conn.Close()
	if err := w.extend(); err != nil {
		return err
	}
	if err := w.send(opClose, []byte{1000 >> 8, 1000 & 0xff}); err != nil {
		return err
	}
	for {
		_, _, err := w.receive()
		var closed *closedError
		switch {
		case errors.As(err, &closed) && closed.code == 1000:
			return nil
		case err != nil:
			return fmt.Errorf("closed with 1000: %w", err)
		}
	}
}
