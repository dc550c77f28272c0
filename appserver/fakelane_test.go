package appserver

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// fakeLane is a worker's side of the lane, for one thread.
type fakeLane struct {
	mem             []byte
	size            uint32
	taken, answered uint32

	requests, channels atomic.Int64 // that came by the lane, and by the channel
	wakes              atomic.Int64
	answers            atomic.Int64 // that went by the lane
}

func newFakeLane(memory *os.File) (l *fakeLane, err error) {
	l = &fakeLane{size: laneLength(1 + ahead)}
	l.mem, err = unix.Mmap(int(memory.Fd()), 0, laneHeader+2*int(l.size)*laneEntry, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return l, err
}

func (l *fakeLane) close() {
	if l != nil {
		unix.Munmap(l.mem)
	}
}

func (l *fakeLane) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.mem[offset]))
}

func (l *fakeLane) asleep() bool { return l.word(laneAsleep).Load() == 1 }

// take takes the oldest request of the lane.
func (l *fakeLane) take() (id uint32, ok bool) {
	if !l.ahead() {
		return 0, false
	}
	l.word(laneTaken).Swap(l.taken + 1)
	if !l.ahead() { // the front takes it back
		l.word(laneTaken).Store(l.taken)
		return 0, false
	}
	e := l.mem[laneHeader+int(l.taken&(l.size-1))*laneEntry:]
	l.taken++
	return binary.LittleEndian.Uint32(e[8:]), true
}

// ahead reports that there is a request to take.
func (l *fakeLane) ahead() bool { return int32(l.word(lanePut).Load()-l.taken) > 0 }

// publish puts a frame among the responses; length is what its entry says.
func (l *fakeLane) publish(frame []byte, length uint32) {
	e := l.mem[laneHeader+int(l.answered&(l.size-1)+l.size)*laneEntry:]
	binary.LittleEndian.PutUint32(e, length)
	copy(e[4:], frame)
	l.answered++
	l.word(laneAnswered).Swap(l.answered)
}

// next waits for a request as PROTOCOL.md says.
func (f *fake) next() (id uint32, ok bool) {
	l := f.lane
	for {
		if id, ok := l.take(); ok {
			l.requests.Add(1)
			return id, true
		}
		l.word(laneWaiting).Swap(1)
		if id, ok := l.take(); ok {
			l.word(laneWaiting).Store(0)
			l.requests.Add(1)
			return id, true
		}
		b, ok := f.frame()
		l.word(laneWaiting).Store(0)
		switch {
		case !ok:
			return 0, false
		case b[0] == frameRequest:
			l.channels.Add(1)
			return binary.LittleEndian.Uint32(b[4:]), true
		}
		l.wakes.Add(1)
	}
}

func wholeResponse(id uint32, body string) []byte {
	return append(append(appendHeader(nil, frameHead, flagEnd, id), sizedHead("200 OK")...), body...)
}

// reply answers as PROTOCOL.md says: by the lane where the front is awake.
func (f *fake) reply(id uint32, body string) {
	l := f.lane
	b := wholeResponse(id, body)
	if l.asleep() || l.answered-l.word(laneRead).Load() >= l.size {
		f.raw(b)
		return
	}
	l.publish(b, uint32(len(b)))
	l.answers.Add(1)
	if l.asleep() {
		f.wake()
	}
}

func (f *fake) wake() { f.send(frameWake, 0, 0, nil) }

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
