package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Leaving is a way in which a client leaves a server.
type Leaving struct {
	Name      string
	Secure    bool // by TLS
	Goroutine bool // no loop calls its connection
	Resets    bool // it resets the connection in place of closing it
}

// Leavings are the ways in which clients leave. Where a goroutine waits, an orderly close
// shows only when something is sent.
func Leavings() []Leaving {
	return []Leaving{
		{"a loop, reset", false, false, true}, {"a loop, closed", false, false, false},
		{"TLS, reset", true, false, true}, {"TLS, closed", true, false, false},
		{"a goroutine, reset", false, true, true},
	}
}

// SendAllThenRead posts a body of size bytes to path and reads nothing before all is sent.
// The answer has to be that body.
func SendAllThenRead(t testing.TB, nc net.Conn, path string, size int) {
	t.Helper()
	body := strings.Repeat("0123456789abcdef", size/16)
	if _, err := fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
		t.Errorf("%d, %d of %d bytes, %v", res.StatusCode, len(got), size, err)
	}
}
