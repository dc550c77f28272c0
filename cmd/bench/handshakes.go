package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// handshakes drives a server with a new connection and a full handshake for
// each request. wrk would resume its sessions, and a client that verifies
// signatures costs more than the server: see lightTLS.
type handshakes struct {
	addr, path  string
	want        []byte
	connections int // at once
	duration    time.Duration
}

// run counts a request when its whole answer is there. Latencies are from
// connecting to then. Each connection is made once at least.
func (h handshakes) run(ctx context.Context) (wrkResult, error) {
	hello, err := newHello()
	if err != nil {
		return wrkResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.duration)
	defer cancel()
	var (
		wg     sync.WaitGroup
		turn   atomic.Int64
		failed atomic.Int64
		first  atomic.Pointer[error]
		all    = make([][]time.Duration, h.connections)
		start  = time.Now()
	)
	for i := range all {
		wg.Go(func() {
			for once := true; once || ctx.Err() == nil; once = false {
				began := time.Now()
				if err := h.one(hello, int(turn.Add(1))); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
					continue
				}
				all[i] = append(all[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	latencies := slices.Concat(all...)
	slices.Sort(latencies)
	r := wrkResult{requests: len(latencies), rate: float64(len(latencies)) / took.Seconds()}
	if n := len(latencies); n > 0 {
		r.p50, r.p99 = latencies[n/2], latencies[n*99/100]
	}
	if err := first.Load(); err != nil {
		r.errors = append(r.errors, fmt.Sprintf("%d failed, first: %v", failed.Load(), *err))
	}
	return r, nil
}

// one connects, asks and reads until the server ends the connection.
func (h handshakes) one(hello *hello, n int) error {
	nc, err := dialFrom(n, h.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(requestDeadline)); err != nil {
		return err
	}
	request := "GET " + h.path + " HTTP/1.1\r\nHost: " + h.addr + "\r\nConnection: close\r\n\r\n"
	answer, err := lightTLS(nc, hello, []byte(request))
	if err != nil {
		return err
	}
	if _, body, ok := bytes.Cut(answer, []byte("\r\n\r\n")); !ok || !bytes.Equal(body, h.want) {
		return errors.New("wrong body")
	}
	return nil
}
