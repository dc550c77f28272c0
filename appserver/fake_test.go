package appserver

import (
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func newFakeSite(t testing.TB, settings string, script func(f *pooltest.Fake)) *site {
	t.Helper()
	l := &pooltest.Fakes{Script: script}
	rt := NewRuntime(Options{Launcher: l})
	t.Cleanup(l.Wait) // after the server's own
	return &site{Server: proxytest.New(t, proxytest.Config{Text: configText(t, settings), Modules: []proxy.Module{Module(rt, nil)}}), rt: rt}
}

func TestADeathBeforeTheStartCostsNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(f *pooltest.Fake)
	}{
		{"unread", func(f *pooltest.Fake) { time.Sleep(300 * time.Millisecond) }},
		{"read, not started", func(f *pooltest.Fake) { f.Receive() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFakeSite(t, "workers 1;", func(f *pooltest.Fake) {
				if f.Number == 0 {
					c.first(f)
					return
				}
				f.Serve()
			})
			expect(t, s.Get("/"), 200, "1")
		})
	}
}

func TestARequestIsNotTriedForEver(t *testing.T) {
	s := newFakeSite(t, "workers 1;", func(f *pooltest.Fake) { f.Receive() })
	expect(t, s.Get("/"), 502, "502")
	s.Log.Wait(t, "died before the request was started")
}

func TestWhatIsQueuedBehindALongRequestIsTakenBack(t *testing.T) {
	release := make(chan struct{})
	s := newFakeSite(t, "workers 2;", func(f *pooltest.Fake) {
		if f.Number != 0 {
			id, ok := f.Receive() // worker 1 holds its first request until the test says so
			if ok {
				f.Start(id)
				<-release
				f.Answer(id, "held")
			}
		}
		f.Serve()
	})
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() { s.Get("/") })
	}
	proxytest.Eventually(t, func() bool { return s.pool(t).Status().Requests == 11 }, "all others are answered")
	close(release)
	wg.Wait()
}

func TestABreachOfTheProtocolCostsTheWorker(t *testing.T) {
	head := wiretest.Head("200 OK")
	for _, c := range []struct {
		name string
		send func(f *pooltest.Fake, id uint32)
	}{
		{"short", func(f *pooltest.Fake, id uint32) { f.Raw([]byte("abc")) }},
		{"unknown type", func(f *pooltest.Fake, id uint32) { f.Send('?', 0, id, []byte("x")) }},
		{"unknown id", func(f *pooltest.Fake, id uint32) { f.Send(wire.KindHead, wire.FlagEnd, id+1, head) }},
		{"slot", func(f *pooltest.Fake, id uint32) {
			b := append(wire.AppendHeader(nil, wire.KindHead, wire.FlagEnd, id), head...)
			b[2] = 9
			f.Raw(b)
		}},
		{"length past the frame", func(f *pooltest.Fake, id uint32) { f.Send(wire.KindHead, wire.FlagEnd, id, []byte{255, 255, 255, 255}) }},
		{"not marshal", func(f *pooltest.Fake, id uint32) {
			f.Send(wire.KindHead, wire.FlagEnd, id, []byte("\x03\x00\x00\x00abc"))
		}},
		{"data before the head", func(f *pooltest.Fake, id uint32) { f.Send(wire.KindData, wire.FlagEnd, id, []byte("x")) }},
		{"split response", func(f *pooltest.Fake, id uint32) {
			f.Send(wire.KindHead, wire.FlagEnd, id, wiretest.Head("200 OK", "X", "a\r\nB: c"))
		}},
		{"interim status", func(f *pooltest.Fake, id uint32) {
			f.Send(wire.KindHead, wire.FlagEnd, id, wiretest.Head("101 Switching"))
		}},
		{"file without a descriptor", func(f *pooltest.Fake, id uint32) { f.Send(wire.KindHead, wire.FlagEnd|wire.FlagFile, id, head) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFakeSite(t, "workers 1; ", func(f *pooltest.Fake) {
				if f.Number > 0 {
					f.Serve()
					return
				}
				if id, ok := f.Receive(); ok {
					f.Start(id)
					c.send(f, id)
					<-f.Killed
				}
			})
			r := s.Do(proxytest.Request{})
			if r.Status != 502 && !r.Aborted {
				t.Errorf("status %d, aborted %v; want 502, or aborted", r.Status, r.Aborted)
			}
			s.Log.Wait(t, "broke the worker protocol")
			if r := s.Get("/"); r.Status != 200 || !strings.Contains("123456789", r.Text()) {
				t.Errorf("then %d %q; want 200 and a part of 123456789", r.Status, r.Text())
			}
		})
	}
}
