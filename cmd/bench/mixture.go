package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const asgiChaosApp = "asgichaos:app"

// asgiChaosSettings are short, so that a run sees all of them pass.
const asgiChaosSettings = `    timeout 5s;
    stall_timeout 1s;
    graceful_timeout 1s;
    drain_timeout 2s;
`

// silence is how long a stream or WebSocket may be silent before it counts as forgotten.
const silence = 10 * time.Second

// The clients of a mixture, each of which does one thing again and again.
const (
	streamClients = 8
	socketClients = 8
	leavers       = 4
)

// mixture is the clients beside the requests while an ASGI application is disturbed: event
// streams, WebSockets, and clients that leave without a word.
type mixture struct {
	addr string
	kind disturbance

	mu       sync.Mutex
	seen     map[string]int // events, messages and ends that are as they should be
	held     int            // streams and WebSockets that a dying worker held before they were open
	failures map[string]int // by reason
}

// newMixture returns the clients of the server at addr, which kind disturbs.
func newMixture(addr string, kind disturbance) *mixture {
	return &mixture{addr: addr, kind: kind, seen: make(map[string]int), failures: make(map[string]int)}
}

// run drives the clients until ctx ends.
func (m *mixture) run(ctx context.Context) {
	var wg sync.WaitGroup
	again := func(clients int, once func(context.Context, int) error) {
		for n := range clients {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := once(ctx, n); err != nil {
						m.fail(err)
					}
					sleep(ctx, 10*time.Millisecond)
				}
			})
		}
	}
	again(streamClients, m.stream)
	again(socketClients, m.socket)
	again(leavers, m.leave)
	wg.Wait()
}

func (m *mixture) count(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[what]++
}

func (m *mixture) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures[failureReason(err)]++
}

// verdict prints what the clients saw, and returns an error if the kind does not allow it
// after so many acts.
func (m *mixture) verdict(acts int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(m.seen)) {
		fmt.Printf("beside: %s: %d\n", what, m.seen[what])
	}
	var err error
	for _, reason := range slices.Sorted(maps.Keys(m.failures)) {
		err = errors.Join(err, fmt.Errorf("%w: beside: %s: %d", errBroken, reason, m.failures[reason]))
	}
	if most := acts * (streamClients + socketClients); m.held > most {
		err = errors.Join(err, fmt.Errorf("%w: beside: %d streams and WebSockets were not opened, %d may", errBroken, m.held, most))
	}
	for _, what := range []string{"events", "messages", "clients that left"} {
		if m.seen[what] == 0 {
			err = errors.Join(err, fmt.Errorf("%w: beside: there were no %s", errBroken, what))
		}
	}
	return err
}

// until closes conn when ctx ends. The function that it returns undoes that.
func until(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.Close() })
}

// stream reads an event stream to its end.
func (m *mixture) stream(ctx context.Context, n int) error {
	conn, err := dialFrom(n, m.addr)
	if err != nil {
		return &requestError{stage: "stream: connect", err: err}
	}
	defer conn.Close()
	defer until(ctx, conn)()
	response, err := request(conn, m.addr, "/events")
	if err == nil && response.StatusCode != http.StatusOK {
		err = &requestError{status: response.StatusCode, err: errors.New("stream")}
	}
	if err != nil {
		return m.opening(ctx, "stream", err)
	}
	events := bufio.NewReader(response.Body)
	for {
		conn.SetDeadline(time.Now().Add(silence))
		line, err := events.ReadBytes('\n')
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return m.ended("stream", err)
		case len(line) > 1 && !bytes.HasPrefix(line, []byte("data: pid ")):
			return &requestError{stage: "stream: malformed event", err: fmt.Errorf("%.60q", line)}
		case len(line) > 1:
			m.count("events")
		}
	}
}

// socket sends messages until the WebSocket ends.
func (m *mixture) socket(ctx context.Context, n int) error {
	w, err := openWebSocket(n, m.addr, "/")
	if err != nil {
		return m.opening(ctx, "WebSocket", err)
	}
	defer w.conn.Close()
	for ctx.Err() == nil {
		if err := w.echo(opText, []byte("hello")); err != nil {
			var closed *closedError
			if errors.As(err, &closed) && closed.code == 1012 && m.kind.endsWorkers() {
				m.count("WebSockets closed with 1012")
				return nil
			}
			return m.ended("WebSocket", err)
		}
		m.count("messages")
		sleep(ctx, 20*time.Millisecond)
	}
	return w.close()
}

// opening returns err unless it ends with ctx, or a worker that died may have held the
// request.
func (m *mixture) opening(ctx context.Context, what string, err error) error {
	var failure *requestError
	if ctx.Err() != nil {
		return nil
	}
	if errors.As(err, &failure) && m.kind.killsWorkers && (failure.status == http.StatusBadGateway || failure.status == http.StatusGatewayTimeout) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.held++
		return nil
	}
	if failure == nil || failure.status == 0 {
		return &requestError{stage: what + " is not opened: " + failureReason(err), err: err}
	}
	return &requestError{stage: fmt.Sprintf("%s is answered with %d", what, failure.status), err: err}
}

// ended returns err unless the kind allows that what is open ends: workers that end, or
// that die, take streams with them; but a WebSocket of a worker that ends is closed as
// such.
func (m *mixture) ended(what string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{stage: what + " is silent", err: err}
	case m.kind.killsWorkers, what == "stream" && m.kind.endsWorkers():
		m.count(what + "s cut or ended")
		return nil
	}
	return &requestError{stage: what + " ended", err: err}
}

// endsWorkers reports whether workers end while streams and WebSockets are open.
func (d disturbance) endsWorkers() bool { return d.replaces }

// leave is a client that goes away at a bad moment.
func (m *mixture) leave(ctx context.Context, n int) error {
	conn, err := dialFrom(n, m.addr)
	if err != nil {
		return &requestError{stage: "leaver: connect", err: err}
	}
	defer conn.Close()
	defer until(ctx, conn)()
	conn.SetDeadline(time.Now().Add(silence))
	text := partings(m.addr)[rand.N(len(partings(m.addr)))]
	if _, err := io.WriteString(conn, text); err == nil && rand.N(2) == 0 {
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		conn.Read(make([]byte, 1))
	}
	if tcp, ok := conn.(*net.TCPConn); ok && rand.N(2) == 0 {
		tcp.SetLinger(0) // a reset
	}
	sleep(ctx, rand.N(20*time.Millisecond))
	m.count("clients that left")
	return nil
}

// partings are what clients send before they leave.
func partings(addr string) []string {
	host := "Host: " + addr + "\r\n"
	shake := "GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	return []string{
		"GET /wait HTTP/1.1\r\n" + host + "\r\n",
		"GET /events HTTP/1.1\r\n" + host + "\r\n",
		"POST /upload HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\npart",
		"POST /upload HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		shake,
		shake + "\r\n",
		shake + "\r\n\x01\x84\x00\x00\x00\x00part",
		shake + "\r\n\x81\x90\x00\x00\x00\x00half",
	}
}
