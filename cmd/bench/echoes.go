package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// echoSize is the size of the messages of the echo case.
const echoSize = 64

// echoes drives a server with WebSockets, each of which sends a message when the one
// before has come back.
type echoes struct {
	addr, path  string
	connections int
	duration    time.Duration
}

// run counts messages that came back. Opening the WebSockets is no part of the duration.
func (e echoes) run(ctx context.Context) (wrkResult, error) {
	sockets, err := openWebSockets(ctx, e.connections, e.addr, e.path)
	defer closeAll(sockets)
	if err != nil {
		return wrkResult{}, err
	}
	ring, err := newEchoRing(sockets)
	if err != nil {
		return wrkResult{}, err
	}
	defer ring.giveBack(sockets)
	start := time.Now()
	latencies, err := ring.run(ctx, start.Add(e.duration))
	if err != nil {
		return wrkResult{}, err
	}
	took := time.Since(start)
	slices.Sort(latencies)
	r := wrkResult{requests: len(latencies), rate: float64(len(latencies)) / took.Seconds(),
		p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99)}
	for i := range ring.ends {
		if err := ring.ends[i].failed; err != nil {
			r.errors = append(r.errors, fmt.Sprintf("WebSocket %d: %s (%v)", i, failureReason(err), err))
		}
	}
	return r, nil
}

// openWebSockets opens n WebSockets. On error it returns those that are open: the caller
// closes them in any case.
func openWebSockets(ctx context.Context, n int, addr, path string) ([]*webSocket, error) {
	const openers = 16
	sockets := make([]*webSocket, n)
	errs := make([]error, openers)
	var wg sync.WaitGroup
	for o := range openers {
		wg.Go(func() {
			for i := o; i < n && ctx.Err() == nil; i += openers {
				if sockets[i], errs[o] = openWebSocket(i, addr, path); errs[o] != nil {
					errs[o] = fmt.Errorf("cannot open WebSocket %d: %w", i, errs[o])
					return
				}
			}
		})
	}
	wg.Wait()
	opened := slices.DeleteFunc(sockets, func(w *webSocket) bool { return w == nil })
	return opened, errors.Join(append(errs, ctx.Err())...)
}

// closeAll closes the WebSockets, and waits for the server's answers.
func closeAll(sockets []*webSocket) {
	var wg sync.WaitGroup
	for _, w := range sockets {
		wg.Go(func() { w.close() })
	}
	wg.Wait()
}
