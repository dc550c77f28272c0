package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

const asgiStuckConfiguration = `error_log stderr warn;
app stuck {
    asgi stuck:app;
    directory %s;
    python /usr/bin/python3;
    workers 2;
    timeout 1s;
    stall_timeout 4s;
    graceful_timeout 1s;
    drain_timeout 1s;
}
server {
    listen %s;
    location / { app_pass stuck; }
}
`

// TestASGIStuck has a request of each kind that never ends. It is answered with 504, and
// the log shows where it is stuck. A worker is replaced only if its event loop stands
// still, and then it alone: streams of the other go on.
func TestASGIStuck(t *testing.T) {
	t.Parallel()
	dir := asgiDirectory(t, "stuck")
	tests := []struct {
		name  string
		lost  int // streams, of one on each of two workers
		where string
	}{
		{"stuck_in_await", 0, "in stuck_in_await"},
		{"stuck_in_sleep", 1, "in stuck_in_sleep"},
		{"stuck_in_loop", 1, "in stuck_in_loop"},
		{"stuck_in_lock", 1, "in stuck_in_lock"},
		{"stuck_for_a_lock", 0, "in stuck_for_a_lock"},
		{"stuck_for_good", 0, "in stuck_for_good"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			s := startConfigured(t, t.TempDir(), address, fmt.Sprintf(asgiStuckConfiguration, dir, address))
			before := streamsOfTwo(t, address)
			res, err := http.Get("http://" + address + "/" + test.name)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("status %d, want 504", res.StatusCode)
			}
			awaitCondition(t, fmt.Sprintf("the log does not say %q", test.where), func() bool {
				text, err := os.ReadFile(s.log)
				return err == nil && strings.Contains(string(text), test.where)
			})
			awaitCondition(t, fmt.Sprintf("streams do not end as they should: %d of 2", test.lost), func() bool { return ended(before) >= test.lost })
			after := streamsOfTwo(t, address)
			kept := 0
			for pid, stream := range before {
				if stream.ended.Load() {
					continue
				}
				if kept++; after[pid] == nil {
					t.Errorf("worker %s does not serve any more", pid)
				}
				seen := stream.lines.Load()
				awaitCondition(t, "a stream of another worker stands still", func() bool { return stream.lines.Load() > seen+5 || stream.ended.Load() })
			}
			if kept != 2-test.lost || ended(before) != test.lost {
				t.Errorf("%d of 2 streams have ended, want %d", ended(before), test.lost)
			}
			for _, streams := range []map[string]*eventStream{before, after} {
				for _, stream := range streams {
					stream.body.Close()
				}
			}
			s.cmd.Process.Signal(syscall.SIGTERM)
			awaitCondition(t, "the server does not stop", func() bool {
				text, err := os.ReadFile(s.log)
				return err == nil && strings.Contains(string(text), "a second stop ends them")
			})
			s.stop(t) // which does not wait for the task that swallows its cancellation
		})
	}
}

// eventStream is a stream of lines that is read all the time.
type eventStream struct {
	body  io.Closer
	lines atomic.Int64
	ended atomic.Bool
}

// streamsOfTwo opens streams until there is one of each of two workers, by their pids.
func streamsOfTwo(t *testing.T, address string) map[string]*eventStream {
	t.Helper()
	streams := map[string]*eventStream{}
	awaitCondition(t, "all streams are of one worker", func() bool {
		res, err := http.Get("http://" + address + "/")
		if err != nil {
			return false
		}
		lines := bufio.NewScanner(res.Body)
		if res.StatusCode != http.StatusOK || !lines.Scan() || streams[lines.Text()] != nil {
			res.Body.Close()
			return false
		}
		stream := &eventStream{body: res.Body}
		streams[lines.Text()] = stream
		go func() {
			for lines.Scan() {
				stream.lines.Add(1)
			}
			stream.ended.Store(true)
		}()
		return len(streams) == 2
	})
	return streams
}

func ended(streams map[string]*eventStream) (n int) {
	for _, stream := range streams {
		if stream.ended.Load() {
			n++
		}
	}
	return n
}
