package pool_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
)

// talk is the owner's end of a WebSocket without a client. It notes the calls of its methods.
type talk struct {
	r     *request    // whose part ends with serve
	waker proxy.Waker // as that of the Job, which is used again while a call may still run

	mu   sync.Mutex
	said []string
}

func newTalk(r *request, x *proxy.Exchange) *talk { return &talk{r: r, waker: x.Waker()} }

func (k *talk) note(what string) {
	k.mu.Lock()
	k.said = append(k.said, what)
	k.mu.Unlock()
	k.waker.Wake()
}

// Message implements pool.Socket.
func (k *talk) Message(_ *eventloop.Turn, part []byte, text, last bool) {
	k.note(fmt.Sprintf("message %s %v %v", part, text, last))
}

// Grant implements pool.Socket.
func (k *talk) Grant(_ *eventloop.Turn, n int) { k.note(fmt.Sprintf("grant %d", n)) }

// Close implements pool.Socket.
func (k *talk) Close(_ *eventloop.Turn, code uint16, reason string) {
	k.note(fmt.Sprintf("close %d %s", code, reason))
}

// told returns the calls, and whether the last one is Close.
func (k *talk) told() (all string, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.said, ", "), len(k.said) > 0 && strings.HasPrefix(k.said[len(k.said)-1], "close ")
}

// serve sends "hello" to the application, and answers the request with the calls up to Close.
func (k *talk) serve(x *proxy.Exchange) error {
	p := k.r.site.pool
	p.Message(nil, &k.r.Job, []byte("hello"), true, true)
	all, closed := k.told()
	for ; !closed; all, closed = k.told() {
		x.Await()
	}
	p.Hangup(nil, &k.r.Job, 1000, "bye")
	return x.Res.Reply(200, "text/plain", []byte(all+" "+k.r.Subprotocol))
}

// startAll starts each request that comes, and sends its id to a channel.
func startAll(f *pooltest.Fake, ids chan<- uint32) {
	for id, ok := f.Next(); ok; id, ok = f.Next() {
		f.StartStream(id)
		ids <- id
	}
}

func TestAStreamWorkerRunsManyRequestsAtATime(t *testing.T) {
	ids := make(chan uint32, 16)
	var worker *pooltest.Fake
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 3}, func(f *pooltest.Fake) {
		worker = f
		startAll(f, ids)
	})
	var clients sync.WaitGroup
	for i := range 5 {
		clients.Go(func() { expect(t, s.Get(fmt.Sprintf("/%d", i)), 200, "hello") })
	}
	var running []uint32
	for range 3 {
		running = append(running, <-ids)
	}
	proxytest.Eventually(t, func() bool { return s.pool.Status().Queue == 2 }, "the others do not wait in the queue")
	answer := func(id uint32) []byte {
		return worker.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "hello"...))
	}
	worker.Batch(answer(running[2]), answer(running[0])) // in an order of its own
	running = append(running[1:2], <-ids, <-ids)
	worker.Batch(answer(running[0]), answer(running[1]), answer(running[2]))
	clients.Wait()
	if n := s.pool.Status().Requests; n != 5 {
		t.Errorf("%d requests were answered, want 5", n)
	}
}

// An answer in parts has its own credit, which it gets back as the client takes the parts.
func TestAStreamIsAnsweredByParts(t *testing.T) {
	const parts = 40
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHead, 0, id, wiretest.Head("200 OK")))
			left := pool.Window
			for range parts {
				part := make([]byte, 60000)
				for left < len(part) {
					heard, ok := f.Heard()
					if !ok {
						return
					}
					if heard.Kind == wire.KindCredit && heard.ID == id {
						left += int(binary.LittleEndian.Uint32(heard.Payload))
					}
				}
				left -= len(part)
				f.Batch(f.Stream(wire.KindData, 0, id, part))
			}
			f.Batch(f.Stream(wire.KindData, 0, id, []byte("last")), f.Stream(wire.KindData, wire.FlagEnd, id, nil))
		}
	})
	for range 3 { // the next one begins with all its credit
		r := s.Get("/")
		if want := parts*60000 + len("last"); r.Status != 200 || len(r.Text()) != want {
			t.Errorf("got %d with %d bytes, want 200 with %d", r.Status, len(r.Text()), want)
		}
	}
}

func TestAStreamWhoseClientLeavesIsCancelled(t *testing.T) {
	told := make(chan pooltest.StreamFrame)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "part"...)))
			heard, ok := f.Heard()
			if !ok {
				return
			}
			f.Batch(f.Stream(wire.KindAborted, 0, id, wire.AppendValue(nil, "the client has left")))
			heard.ID -= id
			told <- heard
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
		if got := <-told; got.Kind != wire.KindCancel || got.ID != 0 || string(got.Payload) != "\x00" {
			t.Errorf("the worker is told %+v, want C 0 for the request", got)
		}
	}
	proxytest.Eventually(t, func() bool { return s.pool.Status().Workers[0].Outstanding == 0 }, "a request is left")
}

// The answer to requests that have waited too long names the concurrency if that is the reason.
func TestTheBoundOfStreamsIsNamed(t *testing.T) {
	started := make(chan uint32, 1)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 1, QueueTimeout: 100 * time.Millisecond}, func(f *pooltest.Fake) {
		startAll(f, started)
	})
	go s.Get("/")
	<-started
	expect(t, s.Get("/second"), 503, "503")
	if log := s.Log.String(); !strings.Contains(log, "each has 1 request, WebSockets included, which is its concurrency") {
		t.Errorf(`the log says %q, want "each has 1 request, WebSockets included, which is its concurrency" in it`, log)
	}
}

// A request that takes longer than timeout gets 504, whatever its worker then sends.
func TestAStreamPastItsTimeoutKeepsIts504(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10, Timeout: 100 * time.Millisecond}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Heard()
			f.Batch(f.Stream(wire.KindAborted, 0, id, wire.AppendValue(nil, "cancelled")))
		}
	})
	s.hold = make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() { expect(t, s.Get("/"), 504, "504") })
	proxytest.Eventually(t, func() bool { return s.pool.Status().Requests == 1 }, "the worker has not ended the request")
	close(s.hold)
	client.Wait()
}

// A request that takes longer than timeout ends alone: the worker and its other requests go on.
func TestAStreamPastItsTimeoutEndsAlone(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10, Timeout: time.Second}, func(f *pooltest.Fake) {
		slow, ok := f.Next()
		if !ok {
			return
		}
		f.StartStream(slow)
		begun, ok := f.Next()
		if !ok {
			return
		}
		f.StartStream(begun)
		f.Batch(f.Stream(wire.KindHead, 0, begun, append(wiretest.Head("200 OK"), "a"...)))
		heard, _ := f.Heard()
		if heard.Kind != wire.KindCancel || heard.ID != slow || string(heard.Payload) != "\x01" {
			t.Errorf("the worker is told %+v, want C 1 for the slow request", heard)
		}
		f.Batch(f.Stream(wire.KindAborted, 0, slow, wire.AppendValue(nil, "cancelled")), f.Stream(wire.KindData, wire.FlagEnd, begun, []byte("b")))
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "next"...)))
		}
	})
	var clients sync.WaitGroup
	clients.Go(func() { expect(t, s.Get("/slow"), 504, "504") })
	proxytest.Eventually(t, func() bool { return s.pool.Status().Workers[0].Outstanding == 1 }, "the worker does not have the request")
	clients.Go(func() { expect(t, s.Get("/begun"), 200, "ab") })
	clients.Wait()
	expect(t, s.Get("/"), 200, "next")
	if n := s.fakes.Started(); n != 1 {
		t.Errorf("%d workers were started, want 1", n)
	}
}

func TestAWorkerWhoseLoopStandsStillIsReplaced(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10, Heartbeat: 200 * time.Millisecond}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			if f.Number == 0 {
				<-f.Killed
				return
			}
			f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "next"...)))
		}
	})
	expect(t, s.Get("/"), 504, "504")
	s.Log.Wait(t, "event loop that stood still")
	expect(t, s.Get("/"), 200, "next")
}

// accepts accepts a WebSocket.
func accepts(f *pooltest.Fake) (id uint32, ok bool) {
	if id, ok = f.Next(); !ok {
		return 0, false
	}
	f.StartStream(id)
	f.Batch(f.Stream(wire.KindAccept, 0, id, wiretest.Accept("chat", "x-a", "b")))
	return id, true
}

func TestAWebSocketOfAnApplication(t *testing.T) {
	closed := []byte{0xe8, 0x03, 'd', 'o', 'n', 'e'}
	for _, c := range []struct {
		name, want string
		script     func(f *pooltest.Fake, id uint32)
	}{
		{"messages and a close", "message hi true true, message  false false, message x false true, grant 69, close 1000 done chat", func(f *pooltest.Fake, id uint32) {
			heard, _ := f.Heard()
			if heard.Kind != wire.KindMessage || heard.Flags != wire.FlagEnd|wire.FlagText || string(heard.Payload) != "hello" {
				t.Errorf("the worker hears %+v, want the message", heard)
			}
			f.Batch(f.Stream(wire.KindMessage, wire.FlagEnd|wire.FlagText, id, []byte("hi")), f.Stream(wire.KindMessage, 0, id, nil),
				f.Stream(wire.KindMessage, wire.FlagEnd, id, []byte("x")), f.Stream(wire.KindCredit, 0, id, []byte{69, 0, 0, 0}), f.Stream(wire.KindClose, 0, id, closed))
			if heard, _ = f.Heard(); heard.Kind != wire.KindClose || string(heard.Payload) != "\xe8\x03bye" {
				t.Errorf("the worker hears %+v, want the close", heard)
			}
			f.Batch(f.Stream(wire.KindMessage, wire.FlagEnd, id, []byte("late")), f.Stream(wire.KindClose, 0, id, closed)) // dropped
		}},
		{"the application fails", "close 1011  chat", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindAborted, 0, id, wire.AppendValue(nil, "it has failed")))
		}},
		{"the worker gives credit that was not spent", "close 1011  chat", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindCredit, 0, id, []byte{0, 0, 1, 0}))
			<-f.Killed
		}},
		{"the worker dies", "close 1011  chat", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
				id, ok := accepts(f)
				if !ok || c.script == nil {
					return
				}
				c.script(f, id)
				for _, ok := f.Next(); ok; _, ok = f.Next() {
				}
			})
			expect(t, s.Get("/socket"), 200, c.want)
			proxytest.Eventually(t, func() bool { return s.pool.Status().Requests == 1 || s.fakes.Started() > 1 }, "the pool has not ended the request")
		})
	}
}

// The requests of a worker that leaves end in steps.
func TestAStreamWorkerLeavesInSteps(t *testing.T) {
	heard, started := make(chan pooltest.StreamFrame, 4), make(chan bool, 1)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10, GracefulTimeout: 50 * time.Millisecond, DrainTimeout: 300 * time.Millisecond}, func(f *pooltest.Fake) {
		if f.Number > 0 {
			f.Next()
			return
		}
		accepts(f)
		id, ok := f.Next()
		if !ok {
			return
		}
		f.StartStream(id)
		f.Batch(f.Stream(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "a"...)))
		f.Heard() // the greeting
		started <- true
		for range 2 {
			h, ok := f.Heard()
			if !ok {
				break
			}
			heard <- h
		}
		f.Batch(f.Stream(wire.KindData, wire.FlagEnd, id, []byte("b")))
		f.Next()
	})
	var clients sync.WaitGroup
	clients.Go(func() { expect(t, s.Get("/socket"), 200, "close 1012") })
	proxytest.Eventually(t, func() bool { return s.pool.Status().Workers[0].Outstanding == 1 }, "the worker does not have the request")
	clients.Go(func() { expect(t, s.Get("/"), 200, "ab") })
	<-started
	s.pool.Succeed()
	if h := <-heard; h.Kind != wire.KindClose {
		t.Errorf("first the worker hears %+v, want the end of the WebSocket", h)
	}
	if h := <-heard; h.Kind != wire.KindCancel || string(h.Payload) != "\x02" {
		t.Errorf("then it hears %+v, want C 2", h)
	}
	clients.Wait()
	<-s.pool.Done()
}

// Workers that are replaced because of max_requests end after graceful_timeout if too many leave.
func TestRecycledStreamWorkersDoNotPileUp(t *testing.T) {
	begun := make(chan bool)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10, MaxRequests: 2, GracefulTimeout: 100 * time.Millisecond, DrainTimeout: time.Hour}, func(f *pooltest.Fake) {
		var streams []uint32 // the first request
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			if len(streams) == 0 {
				streams = append(streams, id)
				f.Batch(f.Stream(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "a"...)))
			} else {
				f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "ab"...)))
			}
			begun <- true
		}
		for _, id := range streams {
			f.Heard() // that the worker leaves
			f.Batch(f.Stream(wire.KindData, wire.FlagEnd, id, []byte("b")))
		}
	})
	var clients sync.WaitGroup
	for s.fakes.Started() < 5 {
		clients.Go(func() { expect(t, s.Get("/"), 200, "ab") })
		<-begun
	}
	proxytest.Eventually(t, func() bool { return len(s.pool.Status().Workers) == 2 }, "there are not two workers, one of which leaves")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.pool.Stop(ctx)
	clients.Wait()
}

func TestEarlyHintsAndTrailersReachTheOwner(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHint, 0, id, wiretest.Fields("link", "v")), f.Stream(wire.KindHead, 0, id, append(wiretest.Head("200 OK"), "a"...)),
				f.Stream(wire.KindData, wire.FlagEnd|wire.FlagTrailers, id, wiretest.Fields("x-sum", "v")))
		}
	})
	expect(t, s.Get("/"), 200, "a")
	if got, want := strings.Join(s.seen, " "), "hint link trailer x-sum"; !strings.EqualFold(got, want) {
		t.Errorf("the owner sees %q, want %q", got, want)
	}
}

// An early hint that comes right before a whole answer is not lost.
func TestAnEarlyHintBeforeAWholeAnswerReachesTheOwner(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHint, 0, id, wiretest.Fields("link", "v")),
				f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "a"...)))
		}
	})
	expect(t, s.Get("/"), 200, "a")
	if got, want := strings.Join(s.seen, " "), "hint link"; !strings.EqualFold(got, want) {
		t.Errorf("the owner sees %q, want %q", got, want)
	}
}

func TestABreachByTheStreamChannelCostsTheWorker(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(f *pooltest.Fake, id uint32)
	}{
		{"no length", func(f *pooltest.Fake, id uint32) { f.RawBatch([]byte("abc")) }},
		{"length past the message", func(f *pooltest.Fake, id uint32) { f.RawBatch([]byte{9, 0, 0, 0, 'D', 0, 0, 0, 1, 0, 0, 0}) }},
		{"unknown type", func(f *pooltest.Fake, id uint32) { f.Batch(f.Stream('?', 0, id, nil)) }},
		{"type of the other channel", func(f *pooltest.Fake, id uint32) { f.Batch(f.Stream(wire.KindReady, 0, id, nil)) }},
		{"another line", func(f *pooltest.Fake, id uint32) {
			b := f.Stream(wire.KindHead, wire.FlagEnd, id, wiretest.Head("200 OK"))
			b[2]++
			f.Batch(b)
		}},
		{"unknown request", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id+1<<20, wiretest.Head("200 OK")))
		}},
		{"data first", func(f *pooltest.Fake, id uint32) { f.Batch(f.Stream(wire.KindData, 0, id, []byte("x"))) }},
		{"message without a WebSocket", func(f *pooltest.Fake, id uint32) { f.Batch(f.Stream(wire.KindMessage, 0, id, []byte("x"))) }},
		{"accept without a WebSocket", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindAccept, 0, id, wiretest.Accept("")))
		}},
		{"more than the credit", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindHead, 0, id, wiretest.Head("200 OK")))
			for range 1000 { // more than the client's socket takes
				select {
				case <-f.Killed:
					return
				default:
					f.Batch(f.Stream(wire.KindData, 0, id, make([]byte, 60000)))
				}
			}
		}},
		{"trailers that are no list", func(f *pooltest.Fake, id uint32) {
			f.Batch(f.Stream(wire.KindHead, 0, id, wiretest.Head("200 OK")), f.Stream(wire.KindData, wire.FlagEnd|wire.FlagTrailers, id, []byte("x")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
				for id, ok := f.Next(); ok; id, ok = f.Next() {
					f.StartStream(id)
					if f.Number == 0 {
						c.send(f, id)
						<-f.Killed
						return
					}
					f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "next"...)))
				}
			})
			slow := s.Dial("127.0.0.1:8080") // reads nothing: no credit comes back
			fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			s.Log.Wait(t, "broke the worker protocol")
			slow.Close()
			expect(t, s.Get("/"), 200, "next")
		})
	}
}

// The stream channel of a worker that does not read keeps the frames for which there is no room.
func TestAWorkerThatHearsNothingKeepsNobodyWaiting(t *testing.T) {
	const sockets = 40
	release := make(chan struct{})
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 100}, func(f *pooltest.Fake) {
		for range sockets {
			accepts(f)
		}
		<-release
		heard := 0
		for heard < sockets {
			h, ok := f.Heard()
			if !ok {
				return
			}
			if h.Kind == wire.KindMessage && h.Flags&wire.FlagEnd != 0 {
				heard++
				f.Batch(f.Stream(wire.KindClose, 0, h.ID, []byte{0xe8, 0x03}))
			}
		}
		f.Next()
	})
	var clients sync.WaitGroup
	for range sockets {
		clients.Go(func() { expect(t, s.Get("/socket"), 200, "close 1000") })
	}
	close(release)
	clients.Wait()
}

// turns counts the turns of a loop.
type turns struct{ n atomic.Int64 }

// Poll implements eventloop.Source.
func (c *turns) Poll(*eventloop.Turn) bool {
	c.n.Add(1)
	return false
}

// Sleep implements eventloop.Source.
func (*turns) Sleep(bool) bool { return false }

// Expects implements eventloop.Source.
func (*turns) Expects() bool { return false }

// A worker whose stream channel has ended is replaced unless it exits. The loop rests meanwhile.
func TestAWorkerThatHasClosedItsStreamChannelIsReplaced(t *testing.T) {
	closed := make(chan bool)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		if f.Number == 0 {
			unix.Close(f.Streams)
			f.Streams = -1
			close(closed)
			<-f.Killed
			return
		}
		for id, ok := f.Next(); ok; id, ok = f.Next() {
			f.StartStream(id)
			f.Batch(f.Stream(wire.KindHead, wire.FlagEnd, id, append(wiretest.Head("200 OK"), "next"...)))
		}
	})
	<-closed
	var c turns
	s.Loops.Next().AddSource(&c)
	time.Sleep(200 * time.Millisecond)
	if n := c.n.Load(); n > 1000 {
		t.Errorf("the loop has turned %d times, and had nothing to do; want at most 1000", n)
	}
	s.Log.Wait(t, "broke the worker protocol: it has closed its stream channel")
	expect(t, s.Get("/"), 200, "next")
}

// A worker that has answered and dies with frames unread has broken no rule.
func TestAWorkerThatDiesWithFramesUnreadHasAnswered(t *testing.T) {
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 10}, func(f *pooltest.Fake) {
		id, ok := f.Next()
		if !ok {
			return
		}
		f.StartStream(id)
		f.Batch(f.Stream(wire.KindHead, 0, id, wiretest.Head("200 OK")))
		for sent := 0; sent < pool.Window/2; sent += 32 << 10 {
			f.Batch(f.Stream(wire.KindData, 0, id, make([]byte, 32<<10)))
		}
		p := []unix.PollFd{{Fd: int32(f.Streams), Events: unix.POLLIN}}
		unix.Poll(p, -1) // the credit that comes back stays unread
		f.Batch(f.Stream(wire.KindData, wire.FlagEnd, id, []byte("the end")))
	})
	r := s.Get("/")
	if r.Status != 200 || !strings.HasSuffix(r.Text(), "the end") {
		t.Errorf(`got %d with %d bytes; want 200 and "the end" at its end`, r.Status, len(r.Text()))
	}
	s.Log.Wait(t, "exited")
	if strings.Contains(s.Log.String(), "broke") {
		t.Errorf(`the log says %s, want no "broke" in it`, s.Log.String())
	}
}

func TestWebSocketsAreToldThatTheServerStops(t *testing.T) {
	open := make(chan bool)
	s := newStreamSite(t, pool.Settings{Workers: 1, Streams: 100}, func(f *pooltest.Fake) {
		for _, ok := accepts(f); ok; _, ok = accepts(f) {
			f.Heard() // the greeting
			open <- true
		}
	})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() { expect(t, s.Get("/socket"), 200, "close 1001 server stops") })
		<-open
	}
	s.pool.Quit(100 * time.Millisecond)
	clients.Wait()
}
