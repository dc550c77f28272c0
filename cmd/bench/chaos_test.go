package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	tests := []struct {
		name     string
		kind     string
		actions  int
		errors   []error
		failures map[string]int
		workers  int
		answered int
		holds    bool
	}{
		{"reload without failures", "reload", 3, nil, nil, 8, 100, true},
		{"reload with one failure", "reload", 3, nil, map[string]int{"status 502": 1}, 8, 100, false},
		{"reload refused", "reload", 3, []error{errors.New("no")}, nil, 8, 100, false},
		{"never reloaded", "reload", 0, nil, nil, 2, 100, false},
		{"reload that replaced nobody", "reload", 3, nil, nil, 2, 100, false},
		{"recycling without failures", "recycle", 0, nil, nil, 50, 100, true},
		{"recycling that replaced nobody", "recycle", 0, nil, nil, 2, 100, false},
		{"recycling with a failure", "recycle", 0, nil, map[string]int{"answer: reset": 1}, 50, 100, false},
		{"a 502 for each thread of each kill", "kill", 3, nil, map[string]int{"status 502": 6}, 5, 100, true},
		{"one 502 too many", "kill", 3, nil, map[string]int{"status 502": 7}, 5, 100, false},
		{"a kill that reset a connection", "kill", 3, nil, map[string]int{"answer: reset": 1}, 5, 100, false},
		{"nothing answered", "kill", 3, nil, nil, 0, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			kind, err := disturbanceNamed(test.kind)
			if err != nil {
				t.Fatal(err)
			}
			c := chaos{kind: kind, threads: 2, workers: 2}
			tally := newTally()
			tally.latencies = make([]time.Duration, test.answered)
			for i := range test.workers {
				tally.bodies[string(rune('a'+i))]++
			}
			for reason, n := range test.failures {
				tally.failures[reason] = n
			}
			err = c.verdict(tally, disruption{count: test.actions, errors: test.errors})
			if held := err == nil; held != test.holds {
				t.Errorf("verdict = %v, want the rule to hold: %v", err, test.holds)
			}
			if err != nil && !errors.Is(err, errBroken) {
				t.Errorf("verdict = %v, which is not errBroken", err)
			}
		})
	}
}

func TestReadyWorkers(t *testing.T) {
	tests := []struct {
		name, status string
		want         []int
		fails        bool
	}{
		{"none", `{"generation":1,"apps":[]}`, nil, false},
		{"only the ready ones", `{"generation":2,"apps":[{"name":"a","workers":[{"pid":7,"state":"ready"},{"pid":8,"state":"starting"}]}]}`, []int{7}, false},
		{"of all applications", `{"apps":[{"workers":[{"pid":7,"state":"ready"}]},{"workers":[{"pid":9,"state":"ready"}]}]}`, []int{7, 9}, false},
		{"not JSON", `status`, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pids, err := readyWorkers([]byte(test.status))
			if (err != nil) != test.fails || !slices.Equal(pids, test.want) {
				t.Errorf("readyWorkers = %v, %v, want %v", pids, err, test.want)
			}
		})
	}
}

func TestLoadClientCountsFailuresByReason(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		reason  string
	}{
		{"a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "status 502"},
		{"another body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") }, "wrong body"},
		{"a close without an answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "answer on a new connection: closed"},
		{"a body that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "pid")
		}, "body: closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tally := loadUntil(t, test.handler, 1)
			if tally.done == 0 || tally.failures[test.reason] != tally.done {
				t.Errorf("%d requests failed with %v, want all with %q", tally.done, tally.failures, test.reason)
			}
		})
	}
}

func TestLoadClientKeepsConnectionsAndHonoursClose(t *testing.T) {
	for _, close := range []bool{false, true} {
		tally := loadUntil(t, func(w http.ResponseWriter, _ *http.Request) {
			if close {
				w.Header().Set("Connection", "close")
			}
			io.WriteString(w, "pid 1\n")
		}, 3)
		if tally.failed() > 0 || tally.bodies["pid 1\n"] != tally.done || len(tally.latencies) != tally.done {
			t.Errorf("close %v: %d done, failures %v, bodies %v; want failed 0", close, tally.done, tally.failures, tally.bodies)
		}
	}
}

// loadUntil drives one connection until the handler was called n times.
func loadUntil(t *testing.T, handler http.HandlerFunc, n int64) *tally {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == n {
			cancel()
		}
		handler(w, r)
	}))
	defer server.Close()
	client := &loadClient{addr: server.Listener.Addr().String(), path: "/", prefix: []byte("pid "), report: io.Discard}
	return client.run(ctx, 1)
}

func TestAConnectionClosedBetweenRequestsIsAFailure(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := &keptConn{conn: client, reader: bufio.NewReader(client), head: []byte("GET / HTTP/1.1\r\n\r\n")}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer server.Close()
		if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
			io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\npid")
		}
	}()
	if _, err := c.request([]byte("pid")); err != nil {
		t.Fatal(err)
	}
	<-closed
	_, err := c.request([]byte("pid"))
	if err == nil {
		t.Fatal("the second request succeeded on a closed connection")
	}
	if got, want := failureReason(err), "write on a kept connection"; got != want {
		t.Errorf("reason is %q, want %q", got, want)
	}
}
