package keeper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	appwire "alicorn/appserver/wire"
	"alicorn/proxy/proxytest"
)

// started returns how many workers the keeper has started that live.
func (f *fixture) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.workers)
}

// listener returns a socket of packets that listens without a name.
func listener(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { f.Close() })
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	return f
}

// A front that was taken over by somebody lies in what it orders. Each lie is
// refused, and the keeper goes on.
func TestAnOrderThatLiesStartsNothing(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(secret, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, byteStream := socketEnds(t, unix.SOCK_STREAM)
	_, packets := socketEnds(t, unix.SOCK_SEQPACKET)
	listening := listener(t)
	reading, writing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	defer writing.Close()
	const sealed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	type order = pool.Order
	put := func(at int, file *os.File) func(o *order) { return func(o *order) { o.Files[at] = file } }
	for _, lie := range []struct {
		name string
		app  string
		tell func(o *order)
	}{
		{"another app", "other", func(o *order) {}},
		{"an app's name with a path", "../web", func(o *order) {}},
		{"no app", "", func(o *order) {}},
		{"number 0", "web", func(o *order) { o.Number = 0 }},
		{"a negative number", "web", func(o *order) { o.Number = -1 }},
		{"a huge number", "web", func(o *order) { o.Number = 1 << 40 }},
		{"no descriptors", "web", func(o *order) { o.Files = nil }},
		{"one too few", "web", func(o *order) { o.Files = o.Files[:6] }},
		{"one too many", "web", func(o *order) { o.Files = append(o.Files, o.Files[6]) }},
		{"many too many", "web", func(o *order) {
			for range 1000 {
				o.Files = append(o.Files, o.Files[6])
			}
		}},
		{"a file as standard output", "web", put(0, file)},
		{"the reading end of a pipe as standard error", "web", put(1, reading)},
		{"a file as the channel", "web", put(2, file)},
		{"a stream as the channel", "web", put(2, byteStream)},
		{"a pipe as the channel", "web", put(2, writing)},
		{"a file as the status page", "web", put(3, file)},
		{"a status page that can shrink", "web", put(3, memory(t, 64, 0))},
		{"a short status page", "web", put(3, memory(t, 8, sealed))},
		{"a long status page", "web", put(3, memory(t, 1<<20, sealed))},
		{"a file as diagnostics", "web", put(4, file)},
		{"a file as the log", "web", put(5, file)},
		{"a socket that listens as the channel", "web", put(2, listening)},
		{"a file as a bell", "web", put(6, file)},
		{"memory as a bell", "web", put(6, memory(t, 64, sealed))},
		{"a socket of packets as a bell", "web", put(6, packets)},
		{"a lane without its memory", "web", func(o *order) { o.Lane = appwire.Geometry{Requests: 64, Responses: 64, Entry: 16384} }},
		{"a lane of negative size", "web", func(o *order) { o.Lane = appwire.Geometry{Requests: -64, Responses: 64, Entry: 16384} }},
		{"a lane of odd size", "web", func(o *order) { o.Lane = appwire.Geometry{Requests: 63, Responses: 64, Entry: 16384} }},
		{"a lane without end", "web", func(o *order) { o.Lane = appwire.Geometry{Requests: 1 << 62, Responses: 1 << 62, Entry: 16384} }},
		{"entries without end", "web", func(o *order) { o.Lane = appwire.Geometry{Requests: 64, Responses: 64, Entry: 1 << 62} }},
		{"a lane of another size than its memory", "web", func(o *order) {
			o.Lane = appwire.Geometry{Requests: 64, Responses: 64, Entry: 16384}
			o.Files = append(o.Files, memory(t, 4096, sealed))
		}},
		{"a key of another size", "web", func(o *order) { o.Key += "00" }},
		{"a key that is none", "web", func(o *order) { o.Key = strings.Repeat("xy", 16) }},
		{"bodies of negative size", "web", func(o *order) { o.Bodies = -1 }},
		{"bodies without end", "web", func(o *order) { o.Bodies = 1 << 62 }},
		{"a file for bodies", "web", func(o *order) { o.Bodies = 6; o.Files = append(o.Files, file) }},
	} {
		t.Run(lie.name, func(t *testing.T) {
			f := newLauncher(t, "open(__file__ + '.ran', 'w')")
			files, _ := orderFiles(t)
			o := order{Number: 1, Files: files, Key: strings.Repeat("a1", 16)}
			lie.tell(&o)
			p, err := f.client.For(lie.app)(o)
			if err == nil {
				t.Fatalf("process %d was started", p.Pid())
			}
			if n := f.started(); n != 0 {
				t.Errorf("%d workers run, want 0", n)
			}
			if _, err := os.Stat(filepath.Join(f.dir, "app.py.ran")); err == nil {
				t.Error("the application was imported")
			}
			var told string
			if _, err := f.client.Read(nil, &told); err != nil {
				t.Errorf("the keeper does not answer any more: %v", err)
			}
		})
	}
}

// What the front writes about code, folder, user or environment of a worker has
// no place in an order: the keeper's own reading counts.
func TestAnOrderSaysNothingOfWhatRuns(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, `
import os, sys
settled = sorted(k for k in os.environ if k.startswith(("EVIL", "GOOD")))
open(os.path.join(os.path.dirname(__file__), "open", "seen"), "w").write(repr((settled, os.getcwd(), os.getuid(), sys.argv)))
os._exit(0)
`)
	f.configure(t, strings.Replace(launchText, "python ", "env GOOD=1; python ", 1))
	if err := os.Mkdir(filepath.Join(f.dir, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(f.dir, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	var told string
	if _, err := f.client.Read(nil, &told); err != nil { // the first reading
		t.Fatal(err)
	}
	if _, err := f.client.Read(nil, &told); err != nil { // with GOOD
		t.Fatal(err)
	}
	f.client.Settle(true)
	files, front := orderFiles(t)
	// A request ahead of all, and the frame that once told a worker what it is.
	for _, frame := range []string{"I\x00\x00\x00\x00\x00\x00\x00{u\x03\x00\x00\x00appu\x04\x00\x00\x00evil0", "R\x00\x00\x00\x01\x00\x00\x00"} {
		if err := unix.Sendto(front, []byte(frame), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	raw := string(firstPart|lastPart) + fmt.Sprintf(`{"id":4711,"files":7,"kind":"launch","app":"web","reading":2,"order":{"number":1,"kind":"wsgi","key":"00112233445566778899aabbccddeeff","args":["-c","evil"],"env":["EVIL=1"]},`+
		`"worker":"-c","user":"root","uid":0,"dir":"/","path":"/bin/sh","pid":%d}`, os.Getpid())
	w := f.client.w
	ch := make(chan reply, 1)
	f.client.mu.Lock()
	f.client.calls[4711] = ch
	f.client.mu.Unlock()
	if err := w.datagram([]byte(raw), files); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-ch:
		if err := r.m.Failure.err(); err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the order is not answered")
	}
	var seen []byte
	proxytest.Eventually(t, func() bool {
		seen, _ = os.ReadFile(filepath.Join(f.dir, "open", "seen"))
		return strings.HasSuffix(string(seen), ")")
	}, "the worker has said what it sees")
	uid := os.Getuid()
	if uid == 0 {
		uid = 65534 // the owner is root: nobody
	}
	if want := fmt.Sprintf("(['GOOD'], '%s', %d, ['alicorn'])", f.dir, uid); string(seen) != want {
		t.Errorf("the worker saw %s, want %s", seen, want)
	}
}

// A front that asks and asks, and reads no answer, holds nothing up: its wire
// ends, and the keeper serves the next one.
func TestAFrontThatReadsNoAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, sleeper)
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newWire(x)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := newWire(y)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours.idle = 50 * time.Millisecond
	served := make(chan struct{})
	go func() { defer close(served); f.serve(ours) }()
	files, _ := orderFiles(t)
	var sent error
	for id := uint64(1); sent == nil && id < 1<<20; id++ {
		kinds := []kind{askFile, askListen, askLaunch, askControl, "format disks"}
		sent = theirs.write(&message{ID: id, Kind: kinds[id%5], App: "other", Address: "/etc/shadow"}, files...)
		if len(f.asked) > maxAsked {
			t.Fatal("questions have no bound")
		}
	}
	if sent == nil {
		t.Error("a million questions were taken and no answer was read")
	}
	select {
	case <-served:
	case <-time.After(patience):
		t.Fatal("the wire does not end")
	}
	if n := f.started(); n != 0 {
		t.Errorf("%d workers run, want 0", n)
	}
	var told string
	if _, err := f.client.Read(nil, &told); err != nil {
		t.Errorf("the keeper does not answer the next front: %v", err)
	}
}

// Signals go to workers by the number of their process, and only to those.
func TestASignalThatLiesReachesNobody(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, sleeper)
	p := f.launch(t)
	for _, lie := range []message{
		{PID: os.Getpid(), Number: int(syscall.SIGKILL)},
		{PID: 1, Number: int(syscall.SIGKILL)},
		{PID: 0, Number: int(syscall.SIGKILL)},
		{PID: -1, Number: int(syscall.SIGKILL)},
		{PID: -p.Pid(), Number: int(syscall.SIGKILL)},
		{PID: p.Pid() | 1<<40, Number: int(syscall.SIGKILL)},
		{PID: p.Pid(), Number: 0},
		{PID: p.Pid(), Number: int(syscall.SIGQUIT)},
		{PID: p.Pid(), Number: -9},
		{PID: p.Pid(), Number: 1 << 40},
		{PID: p.Pid(), Number: 1<<32 | 9},
	} {
		lie.Kind = askSignal
		f.client.tell(&lie)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := awaitExit(t, p); e.Signal != syscall.SIGTERM {
		t.Errorf("exit %v, want SIGTERM", e)
	}
}
