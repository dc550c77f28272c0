//go:build linux

package pool_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy/proxytest"
)

// A worker is told that the client of a stream has left. That is revoked when the request ends,
// as ids are used again.
func TestTheWordOfACancelledRequestIsTakenBack(t *testing.T) {
	told := make(chan bool)
	s := newSite(t, 1, func(f *pooltest.Fake) {
		word := f.Page.Word(0, wire.PageCancelled)
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			f.Send(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "part"...))
			proxytest.Eventually(t, func() bool { return word.Load() == id }, "the worker is not told")
			f.Send(wire.KindAborted, 0, id, wire.AppendValue(nil, "the client has left"))
			proxytest.Eventually(t, func() bool { return word.Load() == 0 }, "the word is not 0 again")
			told <- true
		}
	})
	for range 3 {
		nc := s.Dial("127.0.0.1:8080").(*net.TCPConn)
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := io.ReadFull(nc, make([]byte, len("HTTP/1.1 200 OK"))); err != nil {
			t.Fatal(err)
		}
		nc.SetLinger(0)
		nc.Close()
		<-told
	}
}
