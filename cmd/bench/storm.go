package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The storm is reloads in quick succession, each with new code, while slow
// readers and slow uploads are in progress: every pool of workers that was
// replaced has to end all the same.
const (
	stormSlow   = 4        // slow clients of each kind
	stormBody   = 2 << 20  // bytes that a slow reader gets
	stormUpload = 48 << 10 // bytes that a slow upload sends
	stormPiece  = 2 << 10  // bytes of an upload at once
	stormPause  = 20 * time.Millisecond
	// settleTime is how long what a disturbance has left may take to end.
	settleTime = time.Minute
)

// slowClients reads and sends slowly until ctx ends. Transfers in progress are
// finished; one that fails is an error.
func slowClients(ctx context.Context, _ *chaos, s *server) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		broken []error
		done   int
	)
	for _, transfer := range []func(net.Conn, *bufio.Reader) error{readSlowly, uploadSlowly} {
		for range stormSlow {
			wg.Go(func() {
				for ctx.Err() == nil {
					err := slowTransfer(s.addr, transfer)
					mu.Lock()
					if done++; err != nil && len(broken) < 10 {
						broken = append(broken, err)
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	fmt.Printf("slow transfers: %d, %d failed\n", done, len(broken))
	if len(broken) > 0 {
		return fmt.Errorf("%w: slow transfers failed: %w", errBroken, errors.Join(broken...))
	}
	return nil
}

func slowTransfer(addr string, transfer func(net.Conn, *bufio.Reader) error) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(requestDeadline))
	if err := conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		return err
	}
	return transfer(conn, bufio.NewReader(conn))
}

func readSlowly(conn net.Conn, r *bufio.Reader) error {
	fmt.Fprintf(conn, "GET /big?%d HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", stormBody)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return fmt.Errorf("a slow reader got no answer: %w", err)
	}
	defer response.Body.Close()
	var got int64
	for err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, response.Body, 64<<10)
		got += n
		time.Sleep(stormPause)
	}
	if got != stormBody || !errors.Is(err, io.EOF) || response.StatusCode != http.StatusOK {
		return fmt.Errorf("a slow reader got %s with %d of %d bytes: %w", response.Status, got, stormBody, err)
	}
	return nil
}

func uploadSlowly(conn net.Conn, r *bufio.Reader) error {
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", stormUpload)
	piece := strings.Repeat("x", stormPiece)
	for range stormUpload / stormPiece {
		if _, err := io.WriteString(conn, piece); err != nil {
			return fmt.Errorf("a slow upload was cut: %w", err)
		}
		time.Sleep(stormPause)
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return fmt.Errorf("a slow upload got no answer: %w", err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "pid ") {
		return fmt.Errorf("a slow upload got %s with %q: %v", response.Status, body, err)
	}
	return nil
}

// nothingLeft waits until the server has no more worker processes than its pool
// has workers, and few goroutines.
func nothingLeft(ctx context.Context, c *chaos, s *server) error {
	return onlyWorkers(ctx, s, c.workers)
}

func onlyWorkers(ctx context.Context, s *server, want int) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		pids, err := pythonsBelow(s.processes[0].pid())
		if err != nil {
			return err
		}
		goroutines, err := s.goroutines(ctx)
		if err == nil && len(pids) == want && goroutines < 20+6*want {
			fmt.Printf("left: %d worker processes, %d goroutines\n", len(pids), goroutines)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %d worker processes are left of %d, and %d goroutines", errBroken, len(pids), want, goroutines)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
