package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"alicorn/proxy/websocket/framestest"
)

// openSocket is the command "socket PATH [FIELD ...] [ACTION ...]". It asks for a WebSocket,
// with further fields "Name: value", prints the answer's head, and then does the actions:
//
//	text=TEXT   sends a message, N*TEXT one in which TEXT occurs N times
//	packed=TEXT sends it compressed
//	ping=TEXT   sends a ping
//	close=CODE  sends a close
//	signal=HUP  sends the server a signal
//	write=FILE  writes the file over alicorn.conf
//	await       waits for a message or control frame, and prints it
//	await=TEXT  waits for one that has TEXT, and prints what comes until then
//
// Then it prints what comes until the server closes, and answers the server's close.
func openSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: socket PATH [FIELD ...] [ACTION ...]")
	}
	nc, err := net.Dial("tcp4", "127.0.0.1:"+serverOf(ts).ports[0])
	ts.Check(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(serverOf(ts).patience))
	request := "GET " + args[0] + " HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for args = args[1:]; len(args) > 0 && strings.Contains(args[0], ": "); args = args[1:] {
		request += args[0] + "\r\n"
	}
	io.WriteString(nc, request+"\r\n")
	c := &scriptSocket{ts: ts, nc: nc, r: bufio.NewReader(nc)}
	if !c.head() {
		return
	}
	for _, a := range args {
		c.act(a)
	}
	for c.next() {
	}
}

// scriptSocket is the WebSocket of a script.
type scriptSocket struct {
	ts      *testscript.TestScript
	nc      net.Conn
	r       *bufio.Reader
	answers framestest.Answers
	got     []framestest.Answer
	last    string // the text that was printed for the last frame
}

// head prints the head of the answer. It returns false if there is no WebSocket.
func (c *scriptSocket) head() bool {
	opened := false
	for line := ""; line != "\r\n"; {
		var err error
		line, err = c.r.ReadString('\n')
		c.ts.Check(err)
		opened = opened || strings.HasPrefix(line, "HTTP/1.1 101 ")
		fmt.Fprintln(c.ts.Stdout(), strings.TrimSpace(line))
	}
	return opened
}

// act does an action.
func (c *scriptSocket) act(action string) {
	word, text, _ := strings.Cut(action, "=")
	if times, of, ok := strings.Cut(text, "*"); ok {
		n, err := strconv.Atoi(times)
		c.ts.Check(err)
		text = strings.Repeat(of, n)
	}
	var frame []byte
	switch word {
	case "text":
		frame = framestest.Frame(framestest.Fin|framestest.Text, text)
	case "packed":
		frame = framestest.Frame(framestest.Fin|framestest.Rsv1|framestest.Text, framestest.Deflated(text))
	case "ping":
		frame = framestest.Frame(framestest.Fin|framestest.Ping, text)
	case "close":
		code, err := strconv.Atoi(text)
		c.ts.Check(err)
		frame = framestest.Frame(framestest.Fin|framestest.Close, framestest.Code(uint16(code), ""))
	case "signal":
		signalServer(c.ts, false, []string{text})
	case "write":
		c.ts.Check(os.WriteFile(c.ts.MkAbs("alicorn.conf"), []byte(c.ts.ReadFile(text)), 0o644))
	case "await":
		for c.next() && !strings.Contains(c.last, text) {
		}
	default:
		c.ts.Fatalf("unknown action %q of socket", action)
	}
	c.nc.Write(frame)
}

// next prints the server's next message or control frame. It returns false at the end.
func (c *scriptSocket) next() bool {
	for len(c.got) == 0 {
		buf := make([]byte, 16<<10)
		n, err := c.r.Read(buf)
		more, failed := c.answers.Read(buf[:n])
		c.ts.Check(failed)
		if c.got = more; err != nil && len(more) == 0 {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.ts.Fatalf("socket: the server neither sends nor closes")
			}
			return false
		}
	}
	c.last = fmt.Sprint(c.got[0])
	fmt.Fprintln(c.ts.Stdout(), c.last)
	if c.got[0].Op == framestest.Close { // which is answered, or was an answer
		c.nc.Write(framestest.Frame(framestest.Fin|framestest.Close, c.got[0].Payload))
	}
	c.got = c.got[1:]
	return true
}
