package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// asgiPatience bounds each wait for a server.
const asgiPatience = 60 * time.Second

// asgiClient is one connection to a server. It notes what is wrong in faults, and goes on.
type asgiClient struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
	faults  []string
	closed  bool // it has sent a close frame
}

// dialASGI connects to a server.
func dialASGI(t *testing.T, address string) *asgiClient {
	t.Helper()
	c := &asgiClient{address: address}
	if err := c.redial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *asgiClient) redial() error {
	conn, err := net.DialTimeout("tcp", c.address, asgiPatience)
	if err != nil {
		return err
	}
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	return conn.SetDeadline(time.Now().Add(asgiPatience))
}

func (c *asgiClient) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// send sends text as it is.
func (c *asgiClient) send(text string) {
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.fault("cannot send: %v", err)
	}
}

// sendClose sends a close frame.
func (c *asgiClient) sendClose(payload string) {
	c.closed = true
	c.send(clientFrame(0x88, payload))
}

// asgiAnswer is an answer, or as much of it as came.
type asgiAnswer struct {
	status   int
	header   http.Header
	trailer  http.Header
	length   int64 // -1: not said
	chunked  bool
	body     string
	cut      bool // the connection ended within it
	complete bool
}

// read returns the next answer, to a request of the method.
func (c *asgiClient) read(method string) asgiAnswer {
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		c.fault("no answer: %v", err)
		return asgiAnswer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return asgiAnswer{status: response.StatusCode, header: response.Header, trailer: response.Trailer, length: response.ContentLength,
		chunked: slices.Contains(response.TransferEncoding, "chunked"), body: string(body), cut: err != nil, complete: err == nil}
}

// readUntil reads until text has come.
func (c *asgiClient) readUntil(text string) string {
	var got strings.Builder
	for !strings.HasSuffix(got.String(), text) {
		b, err := c.reader.ReadByte()
		if err != nil {
			c.fault("%q does not come after %q: %v", text, got.String(), err)
			break
		}
		got.WriteByte(b)
	}
	return got.String()
}

// same notes a fault unless got is want.
func (c *asgiClient) same(got, want any, what string) {
	if got != want {
		c.fault("%s is %.200q, not %.200q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// frame returns the text of the next message or control frame from the server, as in
// "text hello", "close 1000" or "ping x"; "end" at the connection's end. It answers a
// close.
func (c *asgiClient) frame() string {
	var message strings.Builder
	for kind := ""; ; {
		first, payload, err := c.piece()
		switch opcode := first & 0x0f; {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "timeout"
		case err != nil:
			return "end"
		case first&0x70 != 0 || opcode > 2 && first&0x80 == 0 || opcode == 0 && kind == "" || opcode == 1 && kind != "" || opcode == 2 && kind != "":
			return fmt.Sprintf("unexpected frame %#x of %d bytes", first, len(payload))
		case opcode == 8 && !c.closed:
			c.sendClose(payload)
			fallthrough
		case opcode == 8:
			return strings.TrimSpace("close " + closeText(payload))
		case opcode > 2:
			return strings.TrimSpace(map[byte]string{9: "ping ", 10: "pong "}[opcode] + payload)
		case opcode > 0:
			kind = map[byte]string{1: "text ", 2: "binary "}[opcode]
			fallthrough
		default:
			message.WriteString(payload)
		}
		if first&0x80 != 0 {
			return strings.TrimSpace(kind + message.String())
		}
	}
}

// piece returns the first byte and the payload of the next frame.
func (c *asgiClient) piece() (first byte, payload string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.reader, head[:2]); err != nil {
		return 0, "", err
	}
	first, size := head[0], uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(c.reader, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(c.reader, head[:])
		size = binary.BigEndian.Uint64(head[:])
	}
	if err != nil || size > 1<<24 {
		return 0, "", fmt.Errorf("frame of %d bytes: %w", size, err)
	}
	text := make([]byte, size)
	_, err = io.ReadFull(c.reader, text)
	return first, string(text), err
}

// closeText returns a close frame's code and reason.
func closeText(payload string) string {
	if len(payload) < 2 {
		return ""
	}
	return fmt.Sprintf("%d %s", binary.BigEndian.Uint16([]byte(payload)), payload[2:])
}

// clientFrame returns a frame of a client, masked with zeros, which leaves the payload
// as it is. Its first byte has the final bit and the opcode.
func clientFrame(first byte, payload string) string {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return string(head) + "\x00\x00\x00\x00" + payload
}

// closePayload returns the payload of a close frame.
func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}
