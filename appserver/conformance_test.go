//go:build linux

package appserver

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/upstream/upstreamtest"
)

func TestTheWorkerProtocolConforms(t *testing.T) {
	t.Parallel()
	upstreamtest.Run(t, func(t *testing.T, script func(c upstreamtest.Call)) *proxytest.Server {
		l := &pooltest.Fakes{Script: func(f *pooltest.Fake) { playCalls(f, script) }}
		t.Cleanup(l.Wait) // after the server's own
		text := strings.Replace(configText(t, "workers 1;"), "app_buffers 4 32k;", "app_buffers 1 32k; app_max_temp_file_size 0;", 1)
		return proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(NewRuntime(Options{Launcher: l}), nil)}, Serve: http1.Serve})
	})
}

// playCalls has a fake worker run script for each request.
func playCalls(f *pooltest.Fake, script func(c upstreamtest.Call)) {
	c := &fakeCall{Fake: f}
	for !c.over {
		id, ok := f.Receive()
		if !ok {
			return
		}
		c.id, c.head = id, nil
		script(c)
	}
}

// fakeCall is a request that a fake worker has.
type fakeCall struct {
	*pooltest.Fake
	id   uint32
	head []byte // until something follows it
	sent uint32 // bytes of all answers
	over bool   // the worker ends
}

func (c *fakeCall) Peer() int { return c.Number }
func (c *fakeCall) Refuse()   { c.over = true }
func (c *fakeCall) Break()    { c.over = true }

func (c *fakeCall) Begin() { c.Start(c.id) }

func (c *fakeCall) Head(status string, fields ...string) {
	c.Begin()
	c.head = wiretest.Head(status, fields...)
}

// Body sends frames of data, each within the credit.
func (c *fakeCall) Body(data string) bool {
	for len(data) > 0 {
		n := min(len(data), wire.MaxFrame/2)
		if !c.waits(func() bool { return c.granted()+pool.Window-c.sent >= uint32(n) }) {
			return false
		}
		c.sent += uint32(n)
		c.frame(0, data[:n])
		data = data[n:]
	}
	return true
}

func (c *fakeCall) End() { c.frame(wire.FlagEnd, "") }

func (c *fakeCall) Left() {
	c.waits(func() bool { return c.Page.Word(0, wire.PageCancelled).Load() == c.id })
}

func (c *fakeCall) granted() uint32 { return c.Page.Word(0, wire.PageGranted).Load() }

// frame sends a part of the answer, the first of them with the head.
func (c *fakeCall) frame(flags byte, data string) {
	kind, rest := byte(wire.KindData), []byte(data)
	if c.head != nil {
		kind, rest = wire.KindHead, append(c.head, data...)
		c.head = nil
	}
	b := append(wire.AppendHeader(nil, kind, flags, c.id), rest...)
	c.waits(func() bool { return unix.Sendto(c.Channel, b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) != unix.EAGAIN })
}

// waits waits for done; it is false where the worker is killed before.
func (c *fakeCall) waits(done func() bool) bool {
	for !done() {
		select {
		case <-c.Killed:
			c.over = true
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// Worker and client see the same where each phase waits.
func TestTheWorkerProtocolConformsWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, "TestTheWorkerProtocolConforms|TestAClientThatHalfCloses", "Waits")
}
