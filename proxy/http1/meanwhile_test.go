package http1_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// An event that comes while a write waits for the client calls the function of Meanwhile,
// and still ends the wait that comes after the write.
func TestAnEventThatComesWhileAWriteWaitsIsNotLost(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure %v", secure), func(t *testing.T) {
			waits, taken, wakers := make(chan bool, 100), make(chan bool, 100), make(chan proxy.Waker, 1)
			after := &errand{then: func(x *proxy.Exchange) error {
				taken <- true
				return x.Res.Finish()
			}}
			nc := dialContent(t, secure, func(x *proxy.Exchange) error {
				x.Res.Status, x.Res.Length = 200, largeBody
				if err := x.Res.Send(); err != nil {
					return err
				}
				wakers <- x.Waker()
				x.Meanwhile(func() { waits <- true })
				defer x.Meanwhile(nil)
				if _, err := x.Res.Write(bytes.Repeat([]byte("x"), largeBody)); err != nil {
					return err
				}
				after.done.Store(true) // what it waits for has come with the event
				return x.Suspend(after)
			})
			io.WriteString(nc, get+"\r\n")
			waker := <-wakers
			<-waits
			for len(waits) > 0 {
				<-waits
			}
			waker.Wake()
			<-waits
			read := make(chan error, 1)
			go func() {
				_, err := io.CopyN(io.Discard, nc, largeBody)
				read <- err
			}()
			proxytest.Eventually(t, func() bool { return len(taken) > 0 }, "the exchange waits for an event that has come")
			if err := <-read; err != nil {
				t.Errorf("reading the body: %v; want all of it", err)
			}
		})
	}
}

// dialContent returns a connection to a server whose content is handle, in a loop.
func dialContent(t *testing.T, secure bool, handle func(x *proxy.Exchange) error) net.Conn {
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(handle))
		return nil
	}}
	listen := "127.0.0.1:8000"
	if secure {
		listen += " ssl"
		content.Generation = proxytest.SecureSites(t)
	}
	s := proxytest.New(t, proxytest.Config{Text: "server { listen " + listen + "; lingering_timeout 50ms; }", Modules: []proxy.Module{content}, Serve: http1.Serve})
	nc := s.Dial("127.0.0.1:8000")
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	return nc
}
