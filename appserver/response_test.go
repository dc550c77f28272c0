package appserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

func newWireSite(t testing.TB, settings string) *site {
	t.Helper()
	rt := NewRuntime(Options{})
	return &site{Server: proxytest.New(t, proxytest.Config{Text: configText(t, settings), Modules: []proxy.Module{Module(rt, nil)}, Serve: http1.Serve}), rt: rt}
}

func (s *site) idle(t testing.TB) bool {
	for _, w := range s.pool(t).Status().Workers {
		if w.Outstanding > 0 {
			return false
		}
	}
	return true
}

func TestASlowReaderDoesNotHoldAWorker(t *testing.T) {
	s := newWireSite(t, "workers 1;")
	nc := s.Dial("127.0.0.1:8080")
	defer nc.Close()
	const blocks = 640 // of 64 KiB
	fmt.Fprintf(nc, "GET /big?%d HTTP/1.1\r\nHost: a\r\n\r\n", blocks)
	in := bufio.NewReader(nc)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Eventually(t, func() bool { return s.idle(t) }, "the worker is free while nothing is read")
	block := make([]byte, 256)
	for i := range blocks * 256 {
		if _, err := io.ReadFull(res.Body, block); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		for j, b := range block {
			if int(b) != j {
				t.Fatalf("got block %d, want %d", b, j)
			}
		}
	}
	if n, err := res.Body.Read(block); n != 0 || err != io.EOF {
		t.Errorf("%d bytes follow, %v; want 0 and %v", n, err, io.EOF)
	}
}

func TestWithoutATemporaryFileTheWorkerWaits(t *testing.T) {
	rt := NewRuntime(Options{})
	text := strings.Replace(configText(t, "workers 1; timeout 3s;"), "app_buffers 4 32k;", "app_buffers 1 32k; app_max_temp_file_size 0;", 1)
	s := &site{Server: proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(rt, nil)}, Serve: http1.Serve}), rt: rt}
	nc := s.Dial("127.0.0.1:8080")
	defer nc.Close()
	fmt.Fprintf(nc, "GET /big?640 HTTP/1.1\r\nHost: a\r\n\r\n")
	in := bufio.NewReader(nc)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3500 * time.Millisecond) // longer than timeout: waiting for a client is not the application's time
	if s.idle(t) {
		t.Error("got a free worker, want one that waits for its client")
	}
	if n, err := io.Copy(io.Discard, res.Body); n != 640<<16 || err != nil {
		t.Errorf("%d bytes, %v; want 640<<16", n, err)
	}
}

func TestAClientThatLeavesDoesNotDisturbTheWorker(t *testing.T) {
	s := newWireSite(t, "workers 1;")
	pid := s.pool(t).Status().Workers[0].PID
	nc := s.Dial("127.0.0.1:8080")
	fmt.Fprintf(nc, "GET /big?3000 HTTP/1.1\r\nHost: a\r\n\r\n")
	bufio.NewReader(nc).ReadByte()
	nc.Close()
	proxytest.Eventually(t, func() bool { return s.idle(t) }, "the worker is free")
	if st := s.pool(t).Status(); len(st.Workers) != 1 || st.Workers[0].PID != pid {
		t.Errorf("the workers are %+v, want pid %d alone", st.Workers, pid)
	}
}

func TestAClientThatLeavesTheQueueIsNeverServed(t *testing.T) {
	s := newWireSite(t, "workers 1;")
	release := s.hold(t)
	nc := s.Dial("127.0.0.1:8080")
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	proxytest.Eventually(t, func() bool { return s.pool(t).Status().Queue == 1 }, "one waits")
	nc.(*net.TCPConn).SetLinger(0) // a reset: an end of its sending alone does not mean that it left
	nc.Close()
	proxytest.Eventually(t, func() bool { return s.pool(t).Status().Queue == 0 }, "none waits")
	release()
	proxytest.Eventually(t, func() bool { return s.idle(t) }, "idle")
	if n := s.pool(t).Status().Requests; n != 1 {
		t.Errorf("%d requests were answered, want 1", n)
	}
}

func TestAnExchangeDoesNotAllocate(t *testing.T) {
	s := newSite(t, "workers 1;")
	run := exchange(s)
	for range 100 {
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n > mostAllocations {
		t.Errorf("%.1f allocations a request, want at most %d", n, mostAllocations)
	}
}

// exchange returns a function that takes one request through the Engine, reusing
// what a connection would.
func exchange(s *site) func() {
	c := &proxy.Conn{Listener: s.Engine.Current().Listeners[0], RemoteAddr: "127.0.0.1", RemotePort: "50000", LocalAddr: "127.0.0.1", LocalPort: "80"}
	x := proxy.NewExchange(c, discard{proxytest.NewRecorder("")})
	return func() {
		x.Reset()
		r := &x.Req
		r.Method, r.Target, r.Proto, r.Scheme, r.Authority = "GET", "/", "HTTP/1.1", "http", "localhost"
		r.Header.Add("User-Agent", "test")
		r.Header.Add("Accept", "*/*")
		if s.Engine.Serve(x); x.Res.Status != 200 {
			panic(fmt.Sprint("status ", x.Res.Status))
		}
	}
}

type discard struct{ *proxytest.Recorder }

func (discard) WriteHead(*proxy.Exchange, bool) error { return nil }
func (discard) Write(p []byte) (int, error)           { return len(p), nil }
func (discard) Finish(*proxy.Header) error            { return nil }

func BenchmarkExchange(b *testing.B) {
	s := newSite(b, fmt.Sprintf("workers %d;", max(runtime.GOMAXPROCS(0), 1)))
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		run := exchange(s)
		for pb.Next() {
			run()
		}
	})
}
