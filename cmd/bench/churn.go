package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// visit is one request of a mixture.
type visit struct {
	name   string
	weight int
	bytes  []byte // head and body
	status int
	length int64 // of the right body; -1: any
}

// ending is how a connection of the mixture ends.
type ending int

// The endings: politely, after Connection: close, by a reset with the answer
// under way, and in the middle of a head.
const (
	endClosed ending = iota
	endAsked
	endReset
	endCut
	endings
)

var endingNames = [endings]string{"closed", "closed by the server as asked", "reset during an answer", "cut within a head"}

// churn sends a mixture of requests over connections that come and go.
type churn struct {
	addr   string
	visits []visit
	report io.Writer
	left   atomic.Int64
	ended  [endings]atomic.Int64

	mu       sync.Mutex
	failures map[string]int
}

// leakVisits returns the requests of the leak mode. Their Host is not the
// server's, which does not matter to it.
func leakVisits() []visit {
	get := func(name, path string, weight, status int, length int64) visit {
		return visit{name, weight, []byte("GET " + path + " HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: churn\r\n\r\n"), status, length}
	}
	body := strings.Repeat("x", 64<<10)
	return []visit{
		get("static 1 KiB", "/static/1k", 30, 200, 1<<10),
		get("static 100 KiB", "/static/100k", 10, 200, 100<<10),
		get("no such file", "/static/none", 5, 404, -1),
		get("hello", "/?a=1", 40, 200, 13),
		get("10 KiB", "/10k", 10, 200, 10<<10),
		{"upload", 5, fmt.Appendf(nil, "POST /upload HTTP/1.1\r\nHost: bench.test\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 200, 5},
	}
}

// run sends about n requests over so many connections at once, and returns with
// all of them closed. It ends early with ctx.
func (c *churn) run(ctx context.Context, connections, n int) {
	c.left.Store(int64(n))
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			for at := i; c.left.Load() > 0 && ctx.Err() == nil; at++ {
				if err := c.connection(ctx, at); err != nil {
					c.fail(err)
				}
			}
		})
	}
	wg.Wait()
}

func (c *churn) connections() (n int64) {
	for i := range c.ended {
		n += c.ended[i].Load()
	}
	return n
}

func (c *churn) failed() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, count := range c.failures {
		n += count
	}
	return n
}

func (c *churn) fail(err error) {
	reason := failureReason(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == nil {
		c.failures = make(map[string]int)
	}
	c.failures[reason]++
	fmt.Fprintf(c.report, "failed: %s (%v)\n", reason, err)
}

// connection makes up to a hundred requests over one connection and ends it in
// one of the ways.
func (c *churn) connection(ctx context.Context, at int) error {
	conn, err := dialFrom(at, c.addr)
	if err != nil {
		return &requestError{stage: "connect", err: err}
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	how := ending(rand.N(int(endings)))
	for range 1 + rand.N(100) {
		if c.left.Add(-1) < 0 || ctx.Err() != nil {
			return nil
		}
		v := c.choose()
		if err := v.ask(conn, reader, v.bytes, false); err != nil {
			return err
		}
	}
	c.ended[how].Add(1)
	return c.end(how, conn, reader)
}

// choose draws a visit by weight.
func (c *churn) choose() *visit {
	total := 0
	for i := range c.visits {
		total += c.visits[i].weight
	}
	n := rand.N(total)
	for i := range c.visits {
		if n -= c.visits[i].weight; n < 0 {
			return &c.visits[i]
		}
	}
	return &c.visits[0]
}

// ask sends a request and checks its answer.
func (v *visit) ask(conn net.Conn, reader *bufio.Reader, request []byte, last bool) error {
	if err := conn.SetDeadline(time.Now().Add(requestDeadline)); err != nil {
		return &requestError{stage: "write", err: err}
	}
	if _, err := conn.Write(request); err != nil {
		return &requestError{stage: v.name + ": write", err: err}
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return &requestError{stage: v.name + ": answer", err: err}
	}
	n, err := io.Copy(io.Discard, response.Body)
	response.Body.Close()
	switch {
	case err != nil:
		return &requestError{stage: v.name + ": body", err: err}
	case response.StatusCode != v.status:
		return &requestError{status: response.StatusCode, err: fmt.Errorf("%s: %s", v.name, response.Status)}
	case v.length >= 0 && n != v.length:
		return &requestError{stage: "wrong body", err: fmt.Errorf("%s: %d bytes, not %d", v.name, n, v.length)}
	case response.Close != last:
		return &requestError{stage: "connection", err: fmt.Errorf("%s: to be closed: %v", v.name, response.Close)}
	}
	return nil
}

// end ends a connection.
func (c *churn) end(how ending, conn net.Conn, reader *bufio.Reader) error {
	switch how {
	case endAsked:
		v := &c.visits[0]
		request := strings.Replace(string(v.bytes), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
		if err := v.ask(conn, reader, []byte(request), true); err != nil {
			return err
		}
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			return &requestError{stage: "close", err: fmt.Errorf("the server did not close: %v", err)}
		}
	case endReset:
		fmt.Fprint(conn, "GET /static/10m HTTP/1.1\r\nHost: bench.test\r\n\r\n")
		reader.ReadByte()
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	case endCut:
		fmt.Fprint(conn, "GET /static/1k HTTP/1.1\r\nHost: ben")
	}
	return nil
}
