//go:build linux

package appserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// fetch sends a request with a body of size bytes and returns the answer.
func fetch(t *testing.T, nc net.Conn, r *bufio.Reader, target string, size int) (status int, body string, err error) {
	t.Helper()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", target, size, strings.Repeat("b", size))
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// A real application behind connections and workers of one loop: answers of
// all kinds by one connection, which goes on after each.
func TestSuspendedRequestsGetAnswersOfAllKinds(t *testing.T) {
	s := newLoopSite(t, "workers 2;", Options{})
	nc := s.Dial("127.0.0.1:8080")
	r := bufio.NewReader(nc)
	for range 3 {
		for _, c := range []struct {
			target         string
			size           int
			status, length int
		}{
			{"/", 0, 200, 5}, {"/whole?0", 0, 200, 0}, {"/whole?5000", 0, 200, 5000}, {"/whole?300000", 0, 200, 300000},
			{"/echo", 10, 200, 10}, {"/echo", 30000, 200, 30000}, {"/echo", 300000, 200, 300000},
			{"/big?20", 0, 200, 20 << 16}, {"/none", 0, 204, 0}, {"/generate", 0, 200, 6}, {"/raise", 0, 500, 22}, {"/sleep?0.02", 0, 200, 5},
		} {
			status, body, err := fetch(t, nc, r, c.target, c.size)
			if status != c.status || len(body) != c.length || err != nil {
				t.Errorf("%s: %d, %d bytes, %v; want %d, %d bytes", c.target, status, len(body), err, c.status, c.length)
			}
		}
	}
}

func TestSuspendedRequestsThatFail(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout string
		script  func(f *pooltest.Fake, id uint32)
		status  int
		log     string
	}{
		{"a death", "60s", func(f *pooltest.Fake, id uint32) { f.Start(id) }, 502, "ended while it ran the request"},
		{"no end in time", "1s", func(f *pooltest.Fake, id uint32) { f.Start(id); <-f.Killed }, 504, "1s"},
		{"an abortion before the head", "60s", func(f *pooltest.Fake, id uint32) {
			f.Start(id)
			f.Send(wire.KindAborted, 0, id, wire.AppendValue(nil, "gave up"))
			<-f.Killed
		}, 502, "out of order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newLaneSite(t, "workers 1; timeout "+c.timeout+"; graceful_timeout 50ms;", func(f *pooltest.Fake) {
				if f.Number > 0 {
					f.Work()
					return
				}
				if id, ok := f.Next(); ok {
					c.script(f, id)
				}
			})
			nc := s.Dial("127.0.0.1:8080")
			r := bufio.NewReader(nc)
			status, _, err := fetch(t, nc, r, "/", 0)
			if status != c.status || err != nil {
				t.Errorf("%d, %v; want %d", status, err, c.status)
			}
			s.Log.Wait(t, c.log)
			if status, body, err := fetch(t, nc, r, "/", 0); status != 200 || err != nil {
				t.Errorf("then by the same connection %d %q, %v; want 200", status, body, err)
			}
		})
	}
}

// A streamed response makes the suspended request a goroutine's.
func TestAStreamAfterSuspension(t *testing.T) {
	parts := make(chan string)
	s := newLaneSite(t, "workers 1;", func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			f.Send(wire.KindHead, 0, id, wiretest.Head("200 OK"))
			for p := range parts {
				if p == "" {
					f.Send(wire.KindData, wire.FlagEnd, id, nil)
					break
				}
				f.Send(wire.KindData, 0, id, []byte(p))
			}
		}
	})
	nc, other := s.Dial("127.0.0.1:8080"), s.Dial("127.0.0.1:8080")
	r := bufio.NewReader(nc)
	for range 3 {
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"one", "two", strings.Repeat("3", 50000)} {
			parts <- p
			got := make([]byte, len(p))
			if _, err := io.ReadFull(res.Body, got); string(got) != p || err != nil {
				t.Fatalf("%.20q, %v; want %.20q", got, err, p)
			}
		}
		// Nobody waits for the stream: the loop refuses others' nonsense meanwhile.
		fmt.Fprint(other, "GET / HTTP/1.1\r\n\r\n")
		if b := make([]byte, 12); func() bool { _, err := io.ReadFull(other, b); return err != nil }() || string(b) != "HTTP/1.1 400" {
			t.Errorf("beside the stream: got %q, want HTTP/1.1 400", b)
		}
		other = s.Dial("127.0.0.1:8080")
		parts <- ""
		if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v; want nothing", rest, err)
		}
	}
	close(parts)
}

func TestShutdownAnswersSuspendedRequests(t *testing.T) {
	hold := make(chan bool)
	s := newLaneSite(t, "workers 1;", func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.Start(id)
			<-hold
			f.Reply(id, "late")
		}
	})
	nc := s.Dial("127.0.0.1:8080")
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	proxytest.Eventually(t, func() bool { return s.outstanding(t) == 1 }, "no request")
	ended := make(chan error, 1)
	go func() { ended <- s.Engine.Shutdown(t.Context(), time.Second) }()
	proxytest.Eventually(t, s.Engine.Draining, "not draining")
	close(hold)
	answer, err := io.ReadAll(nc)
	if !bytes.HasSuffix(answer, []byte("late")) || !bytes.Contains(answer, []byte("Connection: close")) || err != nil {
		t.Errorf("%q, %v; want %q at its end and %q in it", answer, err, []byte("late"), []byte("Connection: close"))
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Many connections with bodies of all sizes, all at once; workers are read in
// the connections' loop, or in others.
func TestManySuspendedRequestsAtOnce(t *testing.T) {
	t.Run("one loop", func(t *testing.T) { manyAtOnce(t, newLoopSite(t, "workers 2; threads 2;", Options{})) })
	t.Run("several", func(t *testing.T) {
		g, err := eventloop.New(3)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		rt := NewRuntime(Options{Loops: g})
		manyAtOnce(t, &site{Server: proxytest.New(t, proxytest.Config{Text: configText(t, "workers 3;"), Modules: []proxy.Module{Module(rt, nil)}, Serve: http1.Serve}), rt: rt})
	})
}

func manyAtOnce(t *testing.T, s *site) {
	var wg sync.WaitGroup
	for i := range 16 {
		nc := s.Dial("127.0.0.1:8080")
		nc.SetDeadline(time.Now().Add(60 * time.Second))
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 2))
			r := bufio.NewReader(nc)
			for range 60 {
				size := rnd.IntN(1 << rnd.IntN(18))
				status, body, err := fetch(t, nc, r, "/echo", size)
				if status != 200 || len(body) != size || err != nil {
					t.Errorf("a body of %d bytes: %d, %d bytes back, %v; want 200", size, status, len(body), err)
					return
				}
			}
		})
	}
	if wg.Wait(); t.Failed() {
		t.Log(s.Log)
	}
}

// From the first byte of a request to the last of its answer, by real sockets
// and the lane, the front allocates nothing.
func TestARequestByTheLaneDoesNotAllocate(t *testing.T) {
	s := newLoopSite(t, "workers 1;", Options{})
	nc := s.Dial("127.0.0.1:8080")
	nc.SetDeadline(time.Time{})
	request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")
	answer := make([]byte, 4096)
	once := func() {
		nc.Write(request)
		for n := 0; ; {
			m, err := nc.Read(answer[n:])
			if err != nil {
				t.Fatal(err)
			}
			if n += m; bytes.HasSuffix(answer[:n], []byte("hello")) {
				return
			}
		}
	}
	for range 300 {
		once()
	}
	if n := testing.AllocsPerRun(600, once); n > mostAllocations {
		t.Errorf("%.2f allocations a request, want at most %d", n, mostAllocations)
	}
}
