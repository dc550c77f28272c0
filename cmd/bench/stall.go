package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// runStall measures light load on two workers while one request after the other
// sleeps for two seconds on one of them.
func runStall(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stall", flag.ContinueOnError)
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	duration := flags.Duration("duration", 10*time.Second, "how long the measurement takes")
	rate := flags.Int("rate", 20, "`number` of light requests a second")
	limit := flags.Duration("limit", 100*time.Millisecond, "how long each of alicorn's light requests may take")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	return withServers(ctx, *serverList, func(s *site) { s.app = slowApp }, func(s *server) error {
		if err := s.answersPid(ctx); err != nil {
			return err
		}
		return stall(ctx, s, *duration, *rate, *limit)
	})
}

// answersPid waits until the slow application answers.
func (s *server) answersPid(ctx context.Context) error {
	deadline := time.Now().Add(startDeadline)
	for {
		err := askPid(ctx, http.DefaultClient, s.url("/"))
		if err == nil || ctx.Err() != nil {
			return err
		}
		if time.Now().After(deadline) || s.processes[len(s.processes)-1].exited() {
			return fmt.Errorf("%s: not ready: %w\n%s", s.name, err, s.logs())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// askPid makes one request and expects the slow application's answer.
func askPid(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	body, err := fetch(client, request)
	if err != nil {
		return fmt.Errorf("%w: %.60q", err, body)
	}
	if !bytes.HasPrefix(body, []byte("pid ")) {
		return fmt.Errorf("the answer is %.60q, which does not begin with \"pid \"", body)
	}
	return nil
}

// stall sends light requests at fixed times, whether or not earlier ones were
// answered, so that a wait counts for every request that it delays.
func stall(ctx context.Context, s *server, duration time.Duration, rate int, limit time.Duration) error {
	client := &http.Client{Timeout: requestDeadline, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var (
		wg        sync.WaitGroup
		mu        sync.Mutex
		latencies []time.Duration
		errs      []error
		slept     int
	)
	wg.Go(func() {
		for ctx.Err() == nil {
			err := askPid(context.WithoutCancel(ctx), client, s.url("/sleep"))
			mu.Lock()
			slept++
			errs = append(errs, err)
			mu.Unlock()
		}
	})
	light := func() {
		started := time.Now()
		err := askPid(context.WithoutCancel(ctx), client, s.url("/"))
		mu.Lock()
		defer mu.Unlock()
		latencies = append(latencies, time.Since(started))
		errs = append(errs, err)
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			wg.Go(light)
		}
	}
	wg.Wait()
	fmt.Printf("%-15s %d light requests beside %d of 2 s: %s\n", s.name, len(latencies), slept, distribution(latencies))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.name == "alicorn" && latencies[len(latencies)-1] > limit {
		return fmt.Errorf("%w: a light request took %s, limit %v", errBroken, milliseconds(latencies[len(latencies)-1]), limit)
	}
	return nil
}
