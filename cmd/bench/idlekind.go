package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// idleKind is what the idle connections are.
type idleKind struct {
	name string
	asgi bool   // the server runs the ASGI application, and no files are asked for
	path string // what an idle connection asks for
	load string // the name of the case that the active connections ask for
	most int64  // MiB (PSS) that alicorn's front may hold beside crowd connections; 0: any
	// crowd is the default of how many there are.
	crowd int
	// begin makes a connection one that idles, and served returns an error if the server
	// has forgotten it.
	begin, served func(conn net.Conn, addr, path string) error
}

// idleKinds returns every kind, in the order of the help.
func idleKinds() []idleKind {
	return []idleKind{
		{name: "connections", path: "/static/1k", load: "static-1k", crowd: 20000, begin: askOnce, served: askOnce},
		{name: "websockets", asgi: true, path: "/", load: "asgi-hello", crowd: 10000, most: 300, begin: shakeOnce, served: echoOnce},
		{name: "streams", asgi: true, path: "/idle", load: "asgi-hello", crowd: 5000, most: 200, begin: listenOnce, served: stillOpen},
	}
}

func idleKindNamed(name string) (idleKind, error) {
	all := idleKinds()
	i := slices.IndexFunc(all, func(k idleKind) bool { return k.name == name })
	if i < 0 {
		return idleKind{}, fmt.Errorf("unknown kind %q; there are %s", name, names(all, func(k idleKind) string { return k.name }))
	}
	return all[i], nil
}

// askOnce makes one request, of which nothing stays in this process.
func askOnce(conn net.Conn, addr, path string) error {
	response, err := request(conn, addr, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.Close {
		return fmt.Errorf("status %s, to be closed: %v", response.Status, response.Close)
	}
	return nil
}

// request sends a request and returns its answer's head.
func request(conn net.Conn, addr, path string) (*http.Response, error) {
	if err := conn.SetDeadline(time.Now().Add(requestDeadline)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// listenOnce asks for an event stream, and waits for its first event.
func listenOnce(conn net.Conn, addr, path string) error {
	response, err := request(conn, addr, path)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	event := make([]byte, len(firstEvent))
	if _, err := io.ReadFull(response.Body, event); err != nil || string(event) != firstEvent {
		return fmt.Errorf("the first event is %q, not %q: %v", event, firstEvent, err)
	}
	return nil
}

// firstEvent is what apps/asgiapp.py sends at /idle, before it waits for the client to
// leave.
const firstEvent = "data: 0\n\n"

// stillOpen reads for a moment, and expects nothing: a server that has forgotten the
// connection has closed it.
func stillOpen(conn net.Conn, _, _ string) error {
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	n, err := conn.Read(make([]byte, 1))
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read %d bytes, %v", n, err)
	}
	return nil
}

// shakeOnce shakes hands.
func shakeOnce(conn net.Conn, addr, path string) error { return newWebSocket(conn).shake(addr, path) }

// echoOnce sends a message and compares what comes back.
func echoOnce(conn net.Conn, _, _ string) error {
	return newWebSocket(conn).echo(opText, []byte("there?"))
}
