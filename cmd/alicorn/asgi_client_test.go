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
const asgiPatience = 30 * time.Second

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

// ended notes a fault unless the server ends the connection without another byte.
func (c *asgiClient) ended() {
	rest, err := io.ReadAll(c.reader)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.fault("the server does not close the connection: %.60q, %v", rest, err)
	}
}

// same notes a fault unless got is want.
func (c *asgiClient) same(got, want any, what string) {
	if got != want {
		c.fault("%s is %.200q, not %.200q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// frame returns the text of the next frame from the server, as in "text hello",
// "close 1000" or "ping x"; "end" at the connection's end.
func (c *asgiClient) frame() string {
	var head [8]byte
	if _, err := io.ReadFull(c.reader, head[:2]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "timeout"
		}
		return "end"
	}
	first, size := head[0], uint64(head[1])
	switch size {
	case 126:
		io.ReadFull(c.reader, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		io.ReadFull(c.reader, head[:])
		size = binary.BigEndian.Uint64(head[:])
	}
	payload := make([]byte, min(size, 1<<24))
	if _, err := io.ReadFull(c.reader, payload); err != nil {
		return "end"
	}
	name := map[byte]string{0x81: "text", 0x82: "binary", 0x88: "close", 0x89: "ping", 0x8a: "pong"}[first]
	switch {
	case name == "":
		return fmt.Sprintf("frame %#x of %d bytes", first, size)
	case name == "close" && !c.closed:
		c.sendClose(string(payload))
	}
	if name == "close" && len(payload) >= 2 {
		return strings.TrimSpace(fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(payload), payload[2:]))
	}
	return strings.TrimSpace(name + " " + string(payload))
}

// message returns the next message, whose frames may be many, and its size.
func (c *asgiClient) message() (kind string, size int) {
	for {
		var head [8]byte
		if _, err := io.ReadFull(c.reader, head[:2]); err != nil {
			return "end", size
		}
		first, n := head[0], uint64(head[1])
		switch n {
		case 126:
			io.ReadFull(c.reader, head[:2])
			n = uint64(binary.BigEndian.Uint16(head[:]))
		case 127:
			io.ReadFull(c.reader, head[:])
			n = binary.BigEndian.Uint64(head[:])
		}
		if _, err := c.reader.Discard(int(n)); err != nil {
			return "end", size
		}
		if opcode := first & 0x0f; opcode != 0 {
			kind = map[byte]string{1: "text", 2: "binary", 8: "close"}[opcode]
		}
		if size += int(n); first&0x80 != 0 {
			return kind, size
		}
	}
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
