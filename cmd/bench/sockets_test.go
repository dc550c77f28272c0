package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// sentBack is a server's frame of a client's message of fewer than 126 bytes. The last
// message of a WebSocket is a text, all others are binary.
func sentBack(payload []byte) string {
	first := "\x82"
	if string(payload) == lastMessage {
		first = "\x81"
	}
	return first + string(rune(len(payload))) + string(payload)
}

func TestSocketsCountWhatIsLost(t *testing.T) {
	tests := []struct {
		name   string
		answer func(n int, payload []byte) string
		failed int
		lost   bool
	}{
		{"none", func(_ int, payload []byte) string { return sentBack(payload) }, 0, false},
		{"the first", func(n int, payload []byte) string {
			if n == 0 {
				return ""
			}
			return sentBack(payload)
		}, 1, true},
		{"all, as the server closes", func(int, []byte) string { return "\x88\x02\x03\xf4" }, 1, true},
		{"another message", func(int, []byte) string { return "\x82\x01x" }, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, err := openWebSocket(0, frames(t, rightAccept, test.answer), "/")
			if err != nil {
				t.Fatal(err)
			}
			defer w.conn.Close()
			m := sockets{count: 1, rate: 1000, duration: 20 * time.Millisecond}
			var tally socketsTally
			m.drive(t.Context(), []*webSocket{w}, &tally)
			if tally.failed.failed != test.failed || tally.failed.done != 1 {
				t.Errorf("%d of %d WebSockets failed, want %d of 1: %v", tally.failed.failed, tally.failed.done, test.failed, tally.failed.first)
			}
			if sent, received := tally.sent.Load(), tally.received.Load(); (received < sent) != test.lost || sent == 0 {
				t.Errorf("received %d of %d messages, want some to be lost: %v", received, sent, test.lost)
			}
		})
	}
}

// Each kind of idle connection is served as long as it is open, and not after.
func TestIdleKinds(t *testing.T) {
	left := make(chan struct{})
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/static/1k" {
			visited(w, r)
			return
		}
		io.WriteString(w, firstEvent)
		w.(http.Flusher).Flush()
		<-left
	}))
	defer events.Close()
	defer close(left)
	addresses := map[string]string{
		"connections": events.Listener.Addr().String(),
		"streams":     events.Listener.Addr().String(),
		"websockets":  frames(t, rightAccept, func(_ int, payload []byte) string { return "\x81" + string(rune(len(payload))) + string(payload) }),
	}
	for _, kind := range idleKinds() {
		t.Run(kind.name, func(t *testing.T) {
			c := &waiters{idleKind: kind, addr: addresses[kind.name]}
			if err := c.open(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			if err := c.stillServed(); err != nil {
				t.Error(err)
			}
			c.close()
			if err := c.stillServed(); err == nil {
				t.Error("closed connections count as served")
			}
		})
	}
	conn, far := net.Pipe()
	far.Close()
	if err := stillOpen(conn, "", ""); err == nil {
		t.Error("a connection that the server closed counts as open")
	}
}
