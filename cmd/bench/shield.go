package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// occupation is the application's record of its last request.
type occupation struct {
	Kind    string  `json:"kind"`
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
}

// transfer is an upload or download at a bounded rate.
type transfer struct {
	size int64
	rate int64 // bytes a second
}

// runShield measures for how long a slow upload and a slow download occupy a worker.
func runShield(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("shield", flag.ContinueOnError)
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	size := flags.Int64("size", 100<<20, "`bytes` of each transfer")
	rate := flags.Int64("rate", 10<<20, "how many `bytes` a second the client sends or reads")
	limit := flags.Duration("limit", time.Second, "how long a transfer may occupy alicorn's worker")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	t := transfer{size: *size, rate: *rate}
	return withServers(ctx, *serverList, func(s *site) { s.app = occupiedApp }, func(s *server) error {
		if err := s.ready(ctx, benchCase{name: "shield", path: "/", want: func() []byte { return []byte("hello") }}); err != nil {
			return err
		}
		return shield(ctx, s, t, *limit)
	})
}

func shield(ctx context.Context, s *server, t transfer, limit time.Duration) error {
	var slow []error
	for _, kind := range []struct {
		name string
		run  func(context.Context, string) error
	}{{"upload", t.upload}, {"download", t.download}} {
		started := time.Now()
		if err := kind.run(ctx, s.addr); err != nil {
			return fmt.Errorf("cannot finish the %s: %w", kind.name, err)
		}
		client := time.Since(started)
		o, err := lastOccupation(ctx, s, kind.name, t.size)
		if err != nil {
			return err
		}
		fmt.Printf("%-15s %-8s of %d MiB at %d MiB/s: client %.2f s, worker occupied %.3f s\n",
			s.name, kind.name, t.size>>20, t.rate>>20, client.Seconds(), o.Seconds)
		if s.name == "alicorn" && o.Seconds >= limit.Seconds() {
			slow = append(slow, fmt.Errorf("%w: the %s occupied a worker for %.3f s, limit %v", errBroken, kind.name, o.Seconds, limit))
		}
	}
	return errors.Join(slow...)
}

// lastOccupation asks the application for its record, which appears once the
// server has closed the response's iterable.
func lastOccupation(ctx context.Context, s *server, kind string, size int64) (occupation, error) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		o, err := askOccupation(ctx, s)
		if err != nil {
			return o, err
		}
		if o.Kind == kind {
			if o.Bytes != size {
				return o, fmt.Errorf("the application saw %d bytes of the %s, not %d", o.Bytes, kind, size)
			}
			return o, nil
		}
		if time.Now().After(deadline) {
			return o, fmt.Errorf("the application has no record of the %s: close() was not called", kind)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func askOccupation(ctx context.Context, s *server) (o occupation, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/last"), nil)
	if err != nil {
		return o, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return o, err
	}
	defer response.Body.Close()
	return o, json.NewDecoder(response.Body).Decode(&o)
}

// upload posts size bytes and expects 200.
func (t transfer) upload(ctx context.Context, addr string) error {
	conn, err := dialContext(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", addr, t.size)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	err = t.paced(ctx, func(n int64) (int64, error) {
		written, err := conn.Write(block[:min(n, int64(len(block)))])
		return int64(written), err
	})
	if err != nil {
		return err
	}
	return readOK(bufio.NewReader(conn), func(body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return err
	})
}

// download reads size bytes with a small receive buffer, so that the kernel does
// not take in advance what the client has not read.
func (t transfer) download(ctx context.Context, addr string) error {
	conn, err := dialContext(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "GET /download?%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", t.size, addr)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	return readOK(bufio.NewReaderSize(conn, len(block)), func(body io.Reader) error {
		return t.paced(ctx, func(n int64) (int64, error) {
			read, err := io.ReadFull(body, block[:min(n, int64(len(block)))])
			return int64(read), err
		})
	})
}

// paced calls move, with the number of bytes that are left, until size bytes were moved, at
// most rate bytes a second.
func (t transfer) paced(ctx context.Context, move func(left int64) (int64, error)) error {
	started := time.Now()
	for moved := int64(0); moved < t.size; {
		n, err := move(t.size - moved)
		moved += n
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", moved, err)
		}
		due := started.Add(time.Duration(float64(moved) / float64(t.rate) * float64(time.Second)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(due)):
		}
	}
	return nil
}

func readOK(r *bufio.Reader, read func(io.Reader) error) error {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, 300))
		return errors.Join(fmt.Errorf("status %s: %s", response.Status, body), err)
	}
	return read(response.Body)
}

func dialContext(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}
