package framestest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy/websocket/framestest"
)

// patience bounds waits for events that must happen.
const patience = 60 * time.Second

// echoApp sends back each message.
const echoApp = `
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
`

// uvicorn starts Debian's uvicorn with one of its implementations of WebSockets, and returns
// the path of its socket.
func uvicorn(t *testing.T, implementation string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "echo.py"), []byte(echoApp), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	c := exec.Command("/usr/bin/python3", "-m", "uvicorn", "echo:app", "--uds", socket, "--ws", implementation,
		"--ws-max-size", fmt.Sprint(framestest.Limit), "--log-level", "critical", "--lifespan", "off")
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if nc, err := net.Dial("unix", socket); err == nil {
			nc.Close()
			return socket
		}
		if time.Now().After(end) {
			t.Fatal("uvicorn has not started; the packages python3-uvicorn, python3-websockets and python3-wsproto are needed")
		}
	}
}

// shakeHands opens a WebSocket.
func shakeHands(w io.Writer, r *bufio.Reader, offer string) error {
	request := framestest.Request
	if offer != "" {
		request += "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	io.WriteString(w, request+"\r\n")
	status, err := r.ReadString('\n')
	if err == nil && !strings.Contains(status, " 101 ") {
		return fmt.Errorf("the handshake: got %q, want 101", status)
	}
	for line := status; err == nil && line != "\r\n"; {
		line, err = r.ReadString('\n')
	}
	return err
}

// status returns the status of the answer to a request; "none" if there is none.
func status(t *testing.T, socket, request string) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, request+"\r\n")
	line, _ := bufio.NewReader(nc).ReadString('\n')
	if words := strings.Fields(line); len(words) > 1 {
		return words[1]
	}
	return "none"
}

// outcome returns the answer to a case of the server at socket.
func outcome(socket string, c framestest.Case) (string, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(nc)
	if err := shakeHands(nc, r, c.Offer); err != nil {
		return "", err
	}
	go func() {
		nc.Write(c.Send)
		nc.Write(c.Bye(0))
		if strings.HasSuffix(c.Want, "eof") || c.Fails() {
			nc.(*net.UnixConn).CloseWrite()
		}
	}()
	var answers framestest.Answers
	var all []framestest.Answer
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		more, failed := answers.Read(buf[:n])
		if failed != nil {
			return "", failed
		}
		if bye := c.Bye(len(all) + len(more)); bye != nil && len(more) > 0 {
			nc.Write(bye)
		}
		all = append(all, more...)
		if got := framestest.Outcome(all); err != nil || !strings.HasSuffix(got, "eof") {
			if err == io.EOF || err == nil || strings.Contains(err.Error(), "reset") {
				return got, nil
			}
			return "", err
		}
	}
}

// Only the end of each answer is compared, as frames before a fault depend on how uvicorn
// reads.
func TestUvicornBesideTheTable(t *testing.T) {
	for name, wants := range map[string]func(c framestest.Case) string{"websockets": websockets, "wsproto": wsproto} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := uvicorn(t, name)
			cases := make(chan framestest.Case)
			var workers sync.WaitGroup
			for range 4 {
				workers.Go(func() {
					for c := range cases {
						got, err := outcome(socket, c)
						if got, want := last(got), wants(c); err != nil || got != want {
							t.Errorf("%s: %s: got %q, %v, want %q", c.Section, c.Name, got, err, want)
						}
					}
				})
			}
			for _, c := range framestest.Cases() {
				if (c.Websockets != "" || c.Wsproto != "") != (c.Why != "") {
					t.Errorf("%s: %s: got the reason %q for a difference %q %q, want both or neither", c.Section, c.Name, c.Why, c.Websockets, c.Wsproto)
				}
				cases <- c
			}
			close(cases)
			workers.Wait()
			compareHandshakes(t, name, socket)
		})
	}
}

// compareHandshakes compares uvicorn's answers to handshakes with the table.
func compareHandshakes(t *testing.T, name, socket string) {
	t.Helper()
	for _, c := range framestest.Handshakes() {
		want := map[string]string{"websockets": c.Websockets, "wsproto": c.Wsproto}[name]
		if (c.Websockets != "" || c.Wsproto != "") != (c.Why != "") {
			t.Errorf("%s: got the reason %q for a difference %q %q, want both or neither", c.Name, c.Why, c.Websockets, c.Wsproto)
		}
		if want == "" {
			want = c.Want[:3]
		}
		if got := status(t, socket, c.Request); got != want {
			t.Errorf("handshake with %s: got %s, want %s", c.Name, got, want)
		}
	}
}

// websockets returns the end of the answer that uvicorn's websockets must give.
func websockets(c framestest.Case) string {
	if c.Websockets != "" {
		return c.Websockets
	}
	return last(c.Want)
}

// wsproto returns the end of the answer that uvicorn's wsproto must give. After a fault wsproto
// sends no close, which an endpoint SHOULD do (RFC 6455 section 7.1.7), and it bounds no
// message.
func wsproto(c framestest.Case) string {
	switch {
	case c.Wsproto != "":
		return c.Wsproto
	case c.Fails():
		return "eof"
	}
	return last(c.Want)
}

// last returns the last part of an outcome.
func last(outcome string) string {
	return strings.TrimPrefix(outcome[max(0, strings.LastIndex(outcome, "; ")):], "; ")
}
