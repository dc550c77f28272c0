package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// requestDeadline is how long a request of the load client may take before it
// counts as failed.
const requestDeadline = 30 * time.Second

// tally counts what one connection, or all of them, have seen.
type tally struct {
	done      int
	latencies []time.Duration
	failures  map[string]int // by reason
	bodies    map[string]int // right answers by body, which names the worker
}

func newTally() *tally {
	return &tally{failures: make(map[string]int), bodies: make(map[string]int)}
}

// add adds another tally to this one.
func (t *tally) add(other *tally) {
	t.done += other.done
	t.latencies = append(t.latencies, other.latencies...)
	for reason, n := range other.failures {
		t.failures[reason] += n
	}
	for body, n := range other.bodies {
		t.bodies[body] += n
	}
}

// failed returns the number of failed requests.
func (t *tally) failed() int {
	var n int
	for _, count := range t.failures {
		n += count
	}
	return n
}

// loadClient sends requests over kept connections, each waiting for its answer.
// Unlike a browser it repeats nothing: a request that gets no right answer failed,
// also when the server closed a kept connection just then.
type loadClient struct {
	addr   string
	path   string
	prefix []byte // of every right body
	report io.Writer
	pause  time.Duration // between two requests of a connection
	// connect, if not nil, connects otherwise than by TCP to addr.
	connect func() (net.Conn, error)
	// answered, if not nil, is called with each right body.
	answered func(body []byte)
}

// run drives n connections until ctx ends and lets requests in progress finish.
func (l *loadClient) run(ctx context.Context, n int) *tally {
	tallies := make([]*tally, n)
	var wg sync.WaitGroup
	for i := range tallies {
		tallies[i] = newTally()
		wg.Go(func() { l.drive(ctx, tallies[i]) })
	}
	wg.Wait()
	total := newTally()
	for _, t := range tallies {
		total.add(t)
	}
	return total
}

// drive repeats the request over one connection at a time.
func (l *loadClient) drive(ctx context.Context, t *tally) {
	var c *keptConn
	for ctx.Err() == nil {
		c = l.once(c, time.Now(), t)
		if l.pause > 0 {
			sleep(ctx, l.pause)
		}
	}
	if c != nil {
		c.conn.Close()
	}
}

// once sends one request over c, or over a new connection where that is nil, and
// returns the connection for the next. The answer's time counts from started.
func (l *loadClient) once(c *keptConn, started time.Time, t *tally) *keptConn {
	var err error
	if c == nil {
		c, err = l.dial()
	}
	var body []byte
	if err == nil {
		body, err = c.request(l.prefix)
	}
	t.done++
	if err != nil {
		reason := failureReason(err)
		t.failures[reason]++
		fmt.Fprintf(l.report, "%s failed: %s (%v)\n", time.Now().Format("15:04:05.000"), reason, err)
	} else {
		t.latencies = append(t.latencies, time.Since(started))
		t.bodies[string(body)]++
		if l.answered != nil {
			l.answered(body)
		}
	}
	if c != nil && (err != nil || c.closing) {
		c.conn.Close()
		return nil
	}
	return c
}

func (l *loadClient) dial() (*keptConn, error) {
	connect := l.connect
	if connect == nil {
		connect = func() (net.Conn, error) { return net.DialTimeout("tcp", l.addr, requestDeadline) }
	}
	conn, err := connect()
	if err != nil {
		return nil, &requestError{stage: "connect", err: err}
	}
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", l.path, l.addr)
	return &keptConn{conn: conn, reader: bufio.NewReader(conn), head: []byte(head)}, nil
}

// fetch returns the body of the answer to request. A status other than 200 is
// an error, which comes with the body.
func fetch(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return body, err
}

// keptConn is one connection of the load client.
type keptConn struct {
	conn    net.Conn
	reader  *bufio.Reader
	head    []byte
	used    int  // answers so far
	closing bool // the last answer said that no other will come
}

// request sends one request and returns its answer's body if it is right.
func (c *keptConn) request(prefix []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestDeadline)); err != nil {
		return nil, &requestError{stage: c.stage("write"), err: err}
	}
	if _, err := c.conn.Write(c.head); err != nil {
		return nil, &requestError{stage: c.stage("write"), err: err}
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, &requestError{stage: c.stage("answer"), err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &requestError{stage: "body", err: err}
	}
	c.used++
	c.closing = response.Close
	if response.StatusCode != http.StatusOK {
		return nil, &requestError{status: response.StatusCode, err: errors.New(response.Status)}
	}
	if !bytes.HasPrefix(body, prefix) {
		return nil, &requestError{stage: "wrong body", err: fmt.Errorf("%.60q", body)}
	}
	return body, nil
}

func (c *keptConn) stage(name string) string {
	if c.used > 0 {
		return name + " on a kept connection"
	}
	return name + " on a new connection"
}

// requestError is why a request failed: at a stage, or by its status.
type requestError struct {
	stage  string
	status int
	err    error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// failureReason returns a short text, the same for equal failures.
func failureReason(err error) string {
	var failure *requestError
	if !errors.As(err, &failure) {
		return err.Error()
	}
	if failure.status != 0 {
		return fmt.Sprintf("status %d", failure.status)
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return failure.stage + ": reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failure.stage + ": closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.stage + ": timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure.stage + ": refused"
	case errors.Is(err, syscall.EPIPE):
		return failure.stage + ": broken pipe"
	}
	return failure.stage
}
