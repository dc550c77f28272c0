package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The kind descriptors: the server may have few descriptors, and a crowd of idle
// connections needs more.
const (
	fewDescriptors = 256
	crowdSize      = 2 * fewDescriptors
)

// logFile makes the server keep a log that USR1 reopens.
const logFile = `server {
    listen %[1]s;
    access_log %[2]s;
    location / { return 204; }
}
`

// crowd is clients that keep their connections and ask nothing on them.
type crowd struct {
	served  atomic.Int64 // connections that had an answer
	closed  atomic.Int64 // of them those that the server closed
	signals int          // sent so far
}

func descriptorsShape(_ *chaos, s *site) error {
	logged, err := s.freeAddress()
	if err != nil {
		return err
	}
	s.descriptors = fewDescriptors
	s.apps = fmt.Sprintf(logFile, logged, filepath.Join(s.dir, "logs", "access.log"))
	_, err = raiseDescriptors(4 * crowdSize)
	return err
}

// crowdIn fills the server's descriptors until ctx ends, while a client that
// connects anew each time is served.
func crowdIn(ctx context.Context, c *chaos, s *server) error {
	var (
		wg    sync.WaitGroup
		fresh faults
	)
	wg.Go(func() { c.crowd.gather(ctx, s.addr) })
	for ctx.Err() == nil {
		fresh.add(askAnew(s.url("/")))
		sleep(ctx, 10*time.Millisecond)
	}
	wg.Wait()
	fmt.Printf("idle connections: %d, closed by the server: %d\n", c.crowd.served.Load(), c.crowd.closed.Load())
	return errors.Join(fresh.verdict("requests on new connections"), c.crowd.verdict())
}

// gather opens idle connections, one after the other. It slows down once the server has
// begun to close some: then each has idled for seconds before the server closes it.
func (w *crowd) gather(ctx context.Context, addr string) {
	var wg sync.WaitGroup
	places := make(chan struct{}, crowdSize)
	for sleep(ctx, w.pause()) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		wg.Go(func() {
			w.idle(ctx, addr)
			<-places
		})
	}
	wg.Wait()
}

func (w *crowd) pause() time.Duration {
	if w.closed.Load() > 0 {
		return 20 * time.Millisecond
	}
	return 4 * time.Millisecond
}

// idle gets one answer and then waits until the server closes, or ctx ends. The server
// may refuse or close any connection of the crowd: that is no fault.
func (w *crowd) idle(ctx context.Context, addr string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	reader := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "GET /static/1k HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
		return
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return
	}
	w.served.Add(1)
	if _, err := reader.ReadByte(); err != nil && ctx.Err() == nil {
		w.closed.Add(1)
	}
}

// verdict returns an error if the server has closed no idle connection: then the crowd did
// not use up the descriptors.
func (w *crowd) verdict() error {
	if w.closed.Load() == 0 {
		return fmt.Errorf("%w: %d idle connections did not use up %d descriptors", errBroken, w.served.Load(), fewDescriptors)
	}
	return nil
}

func crowded(c *chaos) bool { return c.crowd.closed.Load() > 0 }

func askAnew(url string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	status, body, err := oneAnswer(request)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("a new connection had status %d with %.60q, %v", status, body, err)
	}
	return nil
}

// signalScarce sends HUP or USR1, in turns, and asks for the status, which must answer. The
// server may refuse a reload for lack of descriptors, and serves on.
func signalScarce(ctx context.Context, c *chaos, s *server) error {
	sig := syscall.SIGHUP
	if c.crowd.signals++; c.crowd.signals%2 == 0 {
		sig = syscall.SIGUSR1
	}
	if err := s.processes[0].signal(sig); err != nil {
		return err
	}
	_, err := s.verbs.status(ctx)
	return err
}
