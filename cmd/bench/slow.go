package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// slow is one run of the mode slow, with clients that send as little as they can.
type slow struct {
	clients  int // of each kind
	every    time.Duration
	timeout  time.Duration // client_header_timeout and client_body_timeout
	duration time.Duration
}

// slowKind is one way of being slow.
type slowKind struct {
	name string
	head string // sent at once
	drip string // then sent byte by byte, over and over; empty: nothing more comes
	// cut says that the timeout must end the connection. The timeout of a body is from
	// byte to byte, so that a body that goes on is not cut.
	cut bool
}

// slowKinds returns the kinds. The body that comes byte by byte is longer than any run.
func slowKinds() []slowKind {
	const post = "POST /static/1k HTTP/1.1\r\nHost: bench.test\r\nContent-Length: 100000\r\n\r\n"
	return []slowKind{
		{"a head byte by byte", "GET / HTTP/1.1\r\nHost: bench.test\r\nX-Slow: ", "a", true},
		{"half a head", "GET / HTTP/1.1\r\nHost: ben", "", true},
		{"nothing at all", "", "", true},
		{"a body byte by byte", strings.Replace(post, "/static/1k", "/upload", 1), "x", false},
		{"half a body", strings.Replace(post, "/static/1k", "/upload", 1) + "xxx", "", true},
	}
}

// fate is how one slow client has ended.
type fate struct {
	kind   int
	after  time.Duration
	answer string // its status line, or empty
	cut    bool
}

// runSlow measures when slow clients are cut, and how long other clients wait meanwhile.
func runSlow(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("slow", flag.ContinueOnError)
	var c slow
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	flags.IntVar(&c.clients, "clients", 50, "`number` of slow clients of each kind")
	flags.DurationVar(&c.every, "every", time.Second, "time from one byte of a client to the next")
	flags.DurationVar(&c.timeout, "timeout", 5*time.Second, "client_header_timeout and client_body_timeout, in whole seconds")
	flags.DurationVar(&c.duration, "duration", 10*time.Second, "how long the run takes")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if c.clients < 1 {
		return errors.New("-clients must be at least 1")
	}
	if c.timeout < time.Second || c.duration < c.timeout+2*time.Second {
		return errors.New("-timeout must be at least 1s and -duration 2s longer")
	}
	shape := func(s *site) {
		seconds := int(c.timeout.Seconds())
		s.directives = fmt.Sprintf("client_header_timeout %ds;\nclient_body_timeout %ds;\n", seconds, seconds)
	}
	return withServers(ctx, *serverList, shape, func(s *server) error {
		hello, err := chooseCases("hello")
		if err != nil {
			return err
		}
		if err := s.ready(ctx, hello[0]); err != nil {
			return err
		}
		return c.run(ctx, s)
	})
}

// run drives the slow clients, with four ordinary ones beside them, and judges both.
func (c *slow) run(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		fates  []fate
		broken []error
	)
	for kind := range slowKinds() {
		for n := range c.clients {
			wg.Go(func() {
				f, err := c.client(ctx, n, s.addr, kind)
				mu.Lock()
				defer mu.Unlock()
				fates, broken = append(fates, f), append(broken, err)
			})
		}
	}
	others := &loadClient{addr: s.addr, path: "/", prefix: []byte("Hello"), report: &firstLines{w: os.Stderr, left: 20}}
	t := others.run(ctx, 4)
	wg.Wait()
	if err := errors.Join(broken...); err != nil {
		return fmt.Errorf("cannot run the slow clients: %w", err)
	}
	err := c.judge(s.name, fates)
	fmt.Printf("%-15s %d ordinary requests meanwhile, %d failed: %s\n", s.name, t.done, t.failed(), distribution(t.latencies))
	if t.failed() > 0 || len(t.latencies) == 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d of %d ordinary requests failed", errBroken, t.failed(), t.done))
	}
	return err
}

// client is slow until it is cut or ctx ends.
func (c *slow) client(ctx context.Context, n int, addr string, kind int) (fate, error) {
	k := slowKinds()[kind]
	f := fate{kind: kind}
	conn, err := dialFrom(n, addr)
	if err != nil {
		return f, err
	}
	defer conn.Close()
	began := time.Now()
	if _, err := io.WriteString(conn, k.head); err != nil {
		return f, err
	}
	ended := make(chan string, 1)
	go func() { ended <- answerOf(conn) }()
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case f.answer = <-ended:
			f.after, f.cut = time.Since(began), true
			return f, nil
		case <-ctx.Done():
			f.after = time.Since(began)
			conn.Close()
			<-ended
			return f, nil
		case <-tick.C:
			io.WriteString(conn, k.drip) // one that fails is cut, which the reader sees
		}
	}
}

// answerOf reads until the server closes and returns the status line that came,
// if one did.
func answerOf(conn net.Conn) string {
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return ""
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.Status
}

// judge prints how the clients of each kind have ended. A server may close without an
// answer or with 408.
func (c *slow) judge(server string, fates []fate) error {
	var errs []error
	for i, k := range slowKinds() {
		var after []time.Duration
		answers := map[string]int{}
		open := 0
		for _, f := range fates {
			switch {
			case f.kind != i:
			case f.cut:
				after = append(after, f.after)
				answers[f.answer]++
			default:
				open++
			}
		}
		fmt.Printf("%-15s %-20s %3d cut, %3d still open", server, k.name, len(after), open)
		if len(after) > 0 {
			fmt.Printf("; cut %s; answers %v", distribution(after), answers)
		}
		fmt.Println()
		if server == "alicorn" {
			errs = append(errs, c.verdict(k, after, open))
		}
	}
	return errors.Join(errs...)
}

// verdict returns an error if clients of the kind were not cut within two seconds of the
// timeout, or were cut although they must not be.
func (c *slow) verdict(k slowKind, sorted []time.Duration, open int) error {
	switch {
	case k.cut && open > 0:
		return fmt.Errorf("%w: %d clients that send %s were not cut", errBroken, open, k.name)
	case !k.cut && len(sorted) > 0:
		return fmt.Errorf("%w: %d clients that send %s were cut", errBroken, len(sorted), k.name)
	case k.cut && (sorted[0] < c.timeout-time.Second || sorted[len(sorted)-1] > c.timeout+2*time.Second):
		return fmt.Errorf("%w: clients that send %s were cut after %v to %v, not after %v",
			errBroken, k.name, sorted[0], sorted[len(sorted)-1], c.timeout)
	}
	return nil
}
