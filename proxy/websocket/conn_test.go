package websocket_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket/framestest"
)

const (
	text   = framestest.Fin | framestest.Text
	binary = framestest.Fin | framestest.Binary
	ping   = framestest.Fin | framestest.Ping
	pong   = framestest.Fin | framestest.Pong
	closes = framestest.Fin | framestest.Close
)

func TestTheTableOverASocket(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_max_message 100000;", nil)
		cases := framestest.Cases()
		step := 1
		if secure {
			step = 9 // a part of them, for the time that handshakes take
		}
		atOnce(4, func(i int) {
			for at := i * step; at < len(cases); at += 4 * step {
				c := cases[at]
				nc := s.open(t, c.Offer)
				if _, err := nc.Write(c.Send); err != nil && !c.Fails() {
					t.Error(err)
				}
				if strings.HasSuffix(c.Want, "eof") {
					nc.Conn.(interface{ CloseWrite() error }).CloseWrite()
				}
				nc.Write(c.Bye(len(c.Want)))
				if got := nc.outcome(t); got != c.Want {
					t.Errorf("%s: %s: got %q, want %q", c.Section, c.Name, got, c.Want)
				}
				nc.Close()
			}
		})
	})
}
