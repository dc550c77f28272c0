package websocket_test

import (
	"testing"

	"alicorn/proxy/websocket/framestest"
)

// BenchmarkEcho measures a message and its echo, with the client's work.
func BenchmarkEcho(b *testing.B) {
	s := start(b, false, false, "", nil)
	c := s.open(b, "")
	frame := framestest.Frame(text, "thirty-two bytes of some message")
	buf := make([]byte, len(frame)-4)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(frame)
		if n, err := c.Conn.Read(buf); n != len(buf) || err != nil {
			b.Fatalf("got %d bytes, %v, want %d", n, err, len(buf))
		}
	}
}
