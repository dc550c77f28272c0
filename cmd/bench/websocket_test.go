package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// frames is a server that shakes hands and then, for each message of a client, sends
// what answer returns. It answers a close frame with the same.
func frames(t *testing.T, accept func(key string) string, answer func(n int, payload []byte) string) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			accept(r.Header.Get("Sec-WebSocket-Key")))
		for n := 0; ; n++ {
			opcode, payload, err := clientFrame(buffered.Reader)
			if err != nil {
				return
			}
			if opcode == opClose {
				io.WriteString(conn, "\x88\x02"+string(payload))
				return
			}
			if _, err := io.WriteString(conn, answer(n, payload)); err != nil {
				return
			}
		}
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// clientFrame returns a masked frame of fewer than 126 bytes.
func clientFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [6]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, head[1]&0x7f)
	_, err = io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= head[2+i%4]
	}
	return head[0] & 0x0f, payload, err
}

func rightAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestWebSocketClientChecksEchoes(t *testing.T) {
	tests := []struct {
		name, answer string
		reason       string // of the failure; empty: none
	}{
		{"whole", "\x81\x05hello", ""},
		{"in parts, with a ping between", "\x01\x02he\x89\x01p\x80\x03llo", ""},
		{"with a pong before", "\x8a\x00\x81\x05hello", ""},
		{"another text", "\x81\x05jello", "wrong echo"},
		{"another type", "\x82\x05hello", "wrong echo"},
		{"cut", "\x81\x04hell", "wrong echo"},
		{"masked", "\x81\x85\x00\x00\x00\x00hello", "echo"},
		{"reserved bit", "\xc1\x05hello", "echo"},
		{"continues nothing", "\x80\x05hello", "echo"},
		{"begins within a message", "\x01\x02he\x81\x03llo", "echo"},
		{"reserved opcode", "\x83\x05hello", "echo"},
		{"too long", "\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00", "echo"},
		{"closed", "\x88\x05\x03\xe9bye", "echo"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := frames(t, rightAccept, func(n int, payload []byte) string {
				if n == 0 && string(payload) != "hello" {
					t.Errorf("sent %q, want hello", payload)
				}
				return map[bool]string{true: test.answer}[n == 0]
			})
			w, err := openWebSocket(0, addr, "/")
			if err != nil {
				t.Fatal(err)
			}
			defer w.conn.Close()
			err = w.echo(opText, []byte("hello"))
			if reason := ""; err != nil {
				reason = failureReason(err)
				if reason != test.reason {
					t.Errorf("failed with %q (%v), want %q", reason, err, test.reason)
				}
			} else if test.reason != "" {
				t.Errorf("echo succeeded, want failure %q", test.reason)
			}
		})
	}
}

func TestWebSocketClientTellsTheCodeOfAClose(t *testing.T) {
	addr := frames(t, rightAccept, func(int, []byte) string { return "\x88\x05\x03\xf4bye" })
	w, err := openWebSocket(0, addr, "/")
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.Close()
	var closed *closedError
	if err := w.echo(opText, nil); !errors.As(err, &closed) || closed.code != 1012 || closed.reason != "bye" {
		t.Errorf("echo = %v, want a close with 1012 and bye", err)
	}
}

func TestWebSocketClientChecksTheHandshake(t *testing.T) {
	addr := frames(t, func(string) string { return "none" }, nil)
	if _, err := openWebSocket(0, addr, "/"); err == nil || !strings.Contains(err.Error(), "Sec-WebSocket-Accept") {
		t.Errorf("openWebSocket = %v, want an error about Sec-WebSocket-Accept", err)
	}
}

func TestEchoesCountAndReport(t *testing.T) {
	var fails atomic.Bool
	addr := frames(t, rightAccept, func(_ int, payload []byte) string {
		if fails.Load() {
			return "\x81\x01x"
		}
		return "\x81" + string(rune(len(payload))) + string(payload)
	})
	e := echoes{addr: addr, path: "/", connections: 2, duration: time.Millisecond}
	if r, err := e.run(context.Background()); err != nil || r.requests < 1 || len(r.errors) > 0 {
		t.Errorf("run = %+v, %v, want messages without errors", r, err)
	}
	fails.Store(true)
	if r, err := e.run(context.Background()); err != nil || len(r.errors) != 2 || r.requests > 0 {
		t.Errorf("run = %+v, %v, want an error of each WebSocket", r, err)
	}
}
