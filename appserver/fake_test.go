package appserver

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// fakes is a Launcher whose workers are goroutines that run a script.
type fakes struct {
	script func(f *fake)

	mu  sync.Mutex
	all []*fake
	wg  sync.WaitGroup
}

// fake is a worker's end of the protocol. It ends when its script returns.
type fake struct {
	number  int
	channel int
	page    []byte
	exited  chan Exit
	killed  chan struct{}
	once    sync.Once
	lane    *fakeLane // nil without
}

func (l *fakes) For(string) func(Order) (Process, error) { return l.launch }

func (l *fakes) launch(o Order) (Process, error) {
	if err := o.check(1); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &fake{number: len(l.all), exited: make(chan Exit, 1), killed: make(chan struct{})}
	fd, err := unix.FcntlInt(o.Files[fileChannel].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f.channel = fd
	if f.page, err = unix.Mmap(int(o.Files[filePage].Fd()), 0, wire.PageStride, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	if o.Lane != (wire.Geometry{}) {
		if f.lane, err = newFakeLane(o.Files[fileBell+1], o.Lane); err != nil {
			return nil, err
		}
	}
	l.all = append(l.all, f)
	l.wg.Go(func() {
		f.send(wire.KindReady, 0, 0, wire.AppendValue(nil, map[string]any{"version": "3"}))
		l.script(f)
		unix.Munmap(f.page)
		f.lane.close()
		unix.Close(f.channel)
		f.exited <- Exit{Code: 0}
	})
	return f, nil
}

func (f *fake) Pid() int            { return 1 << 30 }
func (f *fake) User() string        { return "fake" }
func (f *fake) Exited() <-chan Exit { return f.exited }
func (f *fake) Signal(s syscall.Signal) error {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		f.once.Do(func() { close(f.killed) })
	}
	return nil
}

// receive waits for a frame and returns its id; false when retired or killed.
func (f *fake) receive() (uint32, bool) {
	b, ok := f.frame()
	if !ok {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b[4:]), true
}

func (f *fake) frame() ([]byte, bool) {
	b := make([]byte, wire.MaxFrame)
	for {
		p := []unix.PollFd{{Fd: int32(f.channel), Events: unix.POLLIN}}
		unix.Poll(p, 20)
		n, _, _, _, err := unix.Recvmsg(f.channel, b, nil, unix.MSG_DONTWAIT)
		if err == nil && n >= wire.HeaderSize {
			return b[:n], true
		}
		if err == nil && n == 0 {
			return nil, false
		}
		select {
		case <-f.killed:
			return nil, false
		default:
		}
	}
}

func (f *fake) send(kind, flags byte, id uint32, rest []byte) {
	f.raw(append(wire.AppendHeader(nil, kind, flags, id), rest...))
}

func (f *fake) raw(b []byte) { unix.Sendto(f.channel, b, unix.MSG_NOSIGNAL, nil) }

func (f *fake) start(id uint32) { binary.LittleEndian.PutUint32(f.page, id) }

// answer sends a whole response.
func (f *fake) answer(id uint32, body string) {
	f.start(id)
	f.send(wire.KindHead, wire.FlagEnd, id, append(sizedHead("200 OK"), body...))
}

func sizedHead(status string, fields ...string) []byte {
	h := binary.LittleEndian.AppendUint32([]byte{wire.TypeTuple}, 3)
	h = wire.AppendValue(h, status)
	h = binary.LittleEndian.AppendUint32(append(h, wire.TypeList), uint32(len(fields)/2))
	for i := 0; i+1 < len(fields); i += 2 {
		h = binary.LittleEndian.AppendUint32(append(h, wire.TypeTuple), 2)
		h = wire.AppendValue(wire.AppendValue(h, fields[i]), fields[i+1])
	}
	h = append(h, wire.TypeNone)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(h))), h...)
}

// serve answers every request with the worker's number.
func (f *fake) serve() {
	for id, ok := f.receive(); ok; id, ok = f.receive() {
		f.answer(id, fmt.Sprint(f.number))
	}
}

func newFakeSite(t testing.TB, settings string, script func(f *fake)) *site {
	t.Helper()
	l := &fakes{script: script}
	rt := NewRuntime(Options{Launcher: l})
	t.Cleanup(l.wg.Wait) // after the server's own
	return &site{proxytest.New(t, proxytest.Config{Text: configText(t, settings), Modules: []proxy.Module{Module(rt)}}), rt}
}

func TestADeathBeforeTheStartCostsNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(f *fake)
	}{
		{"unread", func(f *fake) { time.Sleep(300 * time.Millisecond) }},
		{"read, not started", func(f *fake) { f.receive() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFakeSite(t, "workers 1;", func(f *fake) {
				if f.number == 0 {
					c.first(f)
					return
				}
				f.serve()
			})
			expect(t, s.Get("/"), 200, "1")
		})
	}
}

func TestARequestIsNotTriedForEver(t *testing.T) {
	s := newFakeSite(t, "workers 1;", func(f *fake) { f.receive() })
	expect(t, s.Get("/"), 502, "502")
	s.Log.Wait(t, "died before they started")
}

func TestWhatIsQueuedBehindALongRequestIsTakenBack(t *testing.T) {
	release := make(chan struct{})
	s := newFakeSite(t, "workers 2;", func(f *fake) {
		if f.number != 0 {
			id, ok := f.receive() // worker 1 holds its first request until the test says so
			if ok {
				f.start(id)
				<-release
				f.answer(id, "held")
			}
		}
		f.serve()
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
	head := sizedHead("200 OK")
	for _, c := range []struct {
		name string
		send func(f *fake, id uint32)
	}{
		{"short", func(f *fake, id uint32) { f.raw([]byte("abc")) }},
		{"unknown type", func(f *fake, id uint32) { f.send('?', 0, id, []byte("x")) }},
		{"unknown id", func(f *fake, id uint32) { f.send(wire.KindHead, wire.FlagEnd, id+1, head) }},
		{"slot", func(f *fake, id uint32) {
			b := append(wire.AppendHeader(nil, wire.KindHead, wire.FlagEnd, id), head...)
			b[2] = 9
			f.raw(b)
		}},
		{"length past the frame", func(f *fake, id uint32) { f.send(wire.KindHead, wire.FlagEnd, id, []byte{255, 255, 255, 255}) }},
		{"not marshal", func(f *fake, id uint32) { f.send(wire.KindHead, wire.FlagEnd, id, []byte("\x03\x00\x00\x00abc")) }},
		{"data before the head", func(f *fake, id uint32) { f.send(wire.KindData, wire.FlagEnd, id, []byte("x")) }},
		{"split response", func(f *fake, id uint32) {
			f.send(wire.KindHead, wire.FlagEnd, id, sizedHead("200 OK", "X", "a\r\nB: c"))
		}},
		{"interim status", func(f *fake, id uint32) { f.send(wire.KindHead, wire.FlagEnd, id, sizedHead("101 Switching")) }},
		{"file without a descriptor", func(f *fake, id uint32) { f.send(wire.KindHead, wire.FlagEnd|wire.FlagFile, id, head) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFakeSite(t, "workers 1; ", func(f *fake) {
				if f.number > 0 {
					f.serve()
					return
				}
				if id, ok := f.receive(); ok {
					f.start(id)
					c.send(f, id)
					<-f.killed
				}
			})
			r := s.Do(proxytest.Request{})
			if r.Status != 502 && !r.Aborted {
				t.Errorf("status %d, aborted %v", r.Status, r.Aborted)
			}
			s.Log.Wait(t, "broke the worker protocol")
			if r := s.Get("/"); r.Status != 200 || !strings.Contains("123456789", r.Text()) {
				t.Errorf("then %d %q", r.Status, r.Text())
			}
		})
	}
}

func TestASlotCannotSendMoreThanItsCredit(t *testing.T) {
	w := &worker{slots: make([]slot, 1)}
	w.slots[0].credit.Store(window)
	r := &request{slot: -1}
	for i, c := range []struct {
		size int
		ok   bool
	}{{60000, true}, {60000, true}, {60000, true}, {60000, true}, {60000, false}} {
		kind := byte(wire.KindData)
		if i == 0 {
			kind = wire.KindHead
		}
		if err := w.accept(r, wire.Frame{Kind: kind, Payload: make([]byte, c.size)}, i == 0); (err == nil) != c.ok {
			t.Errorf("block %d: %v", i, err)
		}
	}
}
