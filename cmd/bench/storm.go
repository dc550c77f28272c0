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

// The kind storm: reloads in quick succession, each with new code, while slow readers and
// slow uploads are in progress. Every pool that was replaced must end nevertheless.
const (
	stormSlow   = 4        // slow clients of each kind
	stormBody   = 2 << 20  // bytes that a slow reader gets
	stormUpload = 48 << 10 // bytes that a slow upload sends
	stormPiece  = 2 << 10  // bytes of an upload at once
	stormPause  = 20 * time.Millisecond
)

// slowClients reads and sends slowly until ctx ends. Transfers in progress are
// finished; one that fails is an error.
func slowClients(ctx context.Context, _ *chaos, s *server) error {
	var (
		wg sync.WaitGroup
		f  faults
	)
	for _, transfer := range []func(net.Conn, *bufio.Reader) error{readSlowly, uploadSlowly} {
		for range stormSlow {
			wg.Go(func() {
				for ctx.Err() == nil {
					f.add(slowTransfer(s.addr, transfer))
				}
			})
		}
	}
	wg.Wait()
	return f.verdict("slow transfers")
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
