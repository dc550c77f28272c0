package appserver

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// fakeLane is a worker's side of the lane, and how often it was used.
type fakeLane struct {
	*wiretest.Lane
	requests, channels atomic.Int64 // that came by the lane, and by the channel
	wakes              atomic.Int64
	answers            atomic.Int64 // that went by the lane
}

func newFakeLane(memory *os.File, g wire.Geometry) (*fakeLane, error) {
	l, err := wiretest.Map(memory, g)
	return &fakeLane{Lane: l}, err
}

func (l *fakeLane) close() {
	if l != nil {
		l.Lane.Close()
	}
}

// next waits for a request as PROTOCOL.md says.
func (f *fake) next() (id uint32, ok bool) {
	l := f.lane
	for {
		if id, ok := l.Take(); ok {
			l.requests.Add(1)
			return id, true
		}
		l.Word(wire.LaneWaiting).Swap(1)
		if id, ok := l.Take(); ok {
			l.Word(wire.LaneWaiting).Store(0)
			l.requests.Add(1)
			return id, true
		}
		b, ok := f.frame()
		l.Word(wire.LaneWaiting).Store(0)
		switch {
		case !ok:
			return 0, false
		case b[0] == wire.KindRequest:
			l.channels.Add(1)
			return binary.LittleEndian.Uint32(b[4:]), true
		}
		l.wakes.Add(1)
	}
}

func testFrame(kind byte, id uint32) []byte { return wire.AppendHeader(nil, kind, wire.FlagEnd, id) }

func wholeResponse(id uint32, body string) []byte {
	return append(append(wire.AppendHeader(nil, wire.KindHead, wire.FlagEnd, id), sizedHead("200 OK")...), body...)
}

// reply answers as PROTOCOL.md says: by the lane where the front is awake.
func (f *fake) reply(id uint32, body string) {
	l := f.lane
	b := wholeResponse(id, body)
	if l.Asleep() || l.Full() {
		f.raw(b)
		return
	}
	l.Publish(b, uint32(len(b)))
	l.answers.Add(1)
	if l.Asleep() {
		f.wake()
	}
}

func (f *fake) wake() { f.send(wire.KindWake, 0, 0, nil) }

// work serves every request with the worker's number.
func (f *fake) work() {
	for id, ok := f.next(); ok; id, ok = f.next() {
		f.start(id)
		f.reply(id, fmt.Sprint(f.number))
	}
}

// laneSite is a site whose connections and workers share a loop.
type laneSite struct {
	*site
	fakes *fakes
}

func (s *laneSite) fake(n int) *fake {
	s.fakes.mu.Lock()
	defer s.fakes.mu.Unlock()
	return s.fakes.all[n]
}

func newLaneSite(t testing.TB, settings string, script func(f *fake)) *laneSite {
	t.Helper()
	l := &fakes{script: script}
	t.Cleanup(l.wg.Wait) // after the server's own
	return &laneSite{newLoopSite(t, settings, Options{Launcher: l}), l}
}

// newLoopSite starts the app once the server's loop is there to read its workers.
func newLoopSite(t testing.TB, settings string, o Options) *site {
	t.Helper()
	rt := NewRuntime(o)
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8080; }", Modules: []proxy.Module{Module(rt)}, Serve: http1.Serve})
	rt.o.Loops = s.Loops
	if err := s.Reload(configText(t, settings)); err != nil {
		t.Fatal(err)
	}
	return &site{s, rt}
}
