package proxypass

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// front is a server between a client and an origin.
type front struct {
	name string
	dial func() net.Conn
}

// fronts starts nginx and this program with the same configuration. The latter also
// speaks TLS.
func fronts(t *testing.T, http, server string) []front {
	t.Helper()
	dir := proxytest.NginxDir(t)
	server = "client_max_body_size 0; proxy_http_version 1.1; proxy_set_header Connection ''; " + server
	proxytest.StartNginx(t, dir, "access_log off; "+http+" server { listen unix:DIR/s; "+server+" }")
	certificates := proxy.Module{Name: "certificates", Generation: proxytest.SecureSites(t)}
	s := site(t, proxytest.Config{Text: http + " server { listen 127.0.0.1:80; " + server + " } server { listen 127.0.0.1:443 ssl; " + server + " }", Modules: []proxy.Module{certificates}})
	return []front{
		{"nginx", func() net.Conn {
			nc, err := net.Dial("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(patience))
			t.Cleanup(func() { nc.Close() })
			return nc
		}},
		{"a loop", func() net.Conn { return s.Dial("127.0.0.1:80") }},
		{"TLS", func() net.Conn { return tls.Client(s.Dial("127.0.0.1:443"), &tls.Config{InsecureSkipVerify: true}) }},
	}
}

// inAllFronts runs test for each front.
func inAllFronts(t *testing.T, http, server string, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	for _, f := range fronts(t, http, server) {
		t.Run(f.name, func(t *testing.T) { test(t, f.dial) })
	}
}

const feeding = "proxy_request_buffering off; proxy_buffering off; "

// echoParts answers with each five bytes of a body as soon as they are there.
func echoParts(pc *peerConn) {
	for {
		r, err := http.ReadRequest(pc.r)
		if err != nil {
			return
		}
		fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Seen: %d %v %q\r\n\r\n", r.ContentLength, r.TransferEncoding, r.Header["Expect"])
		part := make([]byte, 5)
		for err == nil {
			if _, err = io.ReadFull(r.Body, part); err == nil {
				fmt.Fprintf(pc, "5\r\n%s\r\n", part)
			}
		}
		io.WriteString(pc, "0\r\n\r\n")
	}
}

// Each part of a body comes back before the client sends the next.
func TestABodyIsPassedOnWhileItComes(t *testing.T) {
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) { testPassingOn(t, startOrigin(t, network, echoParts)) })
	}
}

func testPassingOn(t *testing.T, o *origin) {
	inAllFronts(t, "", "location / { proxy_pass "+o.url+"; "+feeding+"}", func(t *testing.T, dial func() net.Conn) {
		nc := dial()
		r := bufio.NewReader(nc)
		for _, c := range []struct{ head, part, end, seen string }{
			{"Content-Length: 15\r\n\r\n", "part%d", "", "15 [] []"},
			{"Transfer-Encoding: chunked\r\n\r\n", "5\r\npart%d\r\n", "0\r\n\r\n", "-1 [chunked] []"},
			{"Expect: 100-continue\r\nContent-Length: 15\r\n\r\n", "part%d", "", "15 [] []"},
		} {
			io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\n"+c.head)
			if strings.HasPrefix(c.head, "Expect") {
				if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 100 {
					t.Fatalf("%v, %v; want 100", res, err)
				}
			}
			fmt.Fprintf(nc, c.part, 1)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 200 || res.Header.Get("X-Seen") != c.seen {
				t.Fatalf("%q: %v, %v; want X-Seen %q", c.head, res, err, c.seen)
			}
			for i := 1; i <= 3; i++ {
				got := make([]byte, 5)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != fmt.Sprintf("part%d", i) {
					t.Fatalf("%q: part %d: got %q, %v, want part%d", c.head, i, got, err, i)
				}
				if i < 3 {
					fmt.Fprintf(nc, c.part, i+1)
				}
			}
			io.WriteString(nc, c.end)
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
				t.Fatalf("%q: got %q, %v behind the parts, want the end", c.head, rest, err)
			}
		}
	})
}

// Bodies of all sizes come through, and the connection to the origin is kept.
func TestBodiesOfAllSizesArePassedOnWhileTheyCome(t *testing.T) {
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) { testPassingOnSizes(t, startOrigin(t, network, echo)) })
	}
}

func testPassingOnSizes(t *testing.T, o *origin) {
	s := newSite(t, "server { listen 127.0.0.1:80; client_max_body_size 0; location / { proxy_pass "+o.url+"; proxy_request_buffering off; } }")
	nc := s.Dial("")
	r := bufio.NewReader(nc)
	for _, size := range []int{0, 1, 65503, 65504, 65505, 65536, 300_000, 3 << 20} {
		body := strings.Repeat("0123456789", size/10+1)[:size]
		for _, request := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", max(size, 1), body+strings.Repeat("x", max(1-size, 0))),
		} {
			res, got := exchange(t, nc, r, "POST / HTTP/1.1\r\nHost: a\r\n"+request)
			if want := body; res.StatusCode != 200 || !strings.HasSuffix(got, want) || len(got) > len(want)+300 {
				t.Errorf("%d bytes: got %d, %d bytes back, want 200 and all", size, res.StatusCode, len(got))
			}
		}
	}
	if o.accepted() != 1 {
		t.Errorf("%d connections to the origin, want 1", o.accepted())
	}
}

// An answer that comes before the end of a body reaches the client. The connection to the
// origin ends then.
func TestAnAnswerComesBeforeTheEndOfABody(t *testing.T) {
	ended := make(chan int64, 1)
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		r, err := http.ReadRequest(pc.r)
		if err != nil {
			return
		}
		io.ReadFull(r.Body, make([]byte, 3))
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
		n, _ := io.Copy(io.Discard, pc.r)
		ended <- n
	})
	inAllFronts(t, "", "lingering_time 1s; location / { proxy_pass http://"+o.addr+"; "+feeding+"}", func(t *testing.T, dial func() net.Conn) {
		for _, size := range []int{10, 100_000_000} {
			if got := seen(t, dial(), fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc", size)); got != `200 ["Content-Length: 5"] length 5 "early" <nil>` {
				t.Errorf("a body of %d bytes: got %s, want the early answer", size, got)
			}
			if n := <-ended; n != 0 {
				t.Errorf("got %d more bytes at the origin, want none", n)
			}
		}
	})
}

// A request of which a part was sent goes to no other server; one that was not sent does.
func TestABodyThatWasBegunIsNotSentToAnotherServer(t *testing.T) {
	after := func(answer string) func(pc *peerConn) {
		return func(pc *peerConn) {
			if r, err := http.ReadRequest(pc.r); err == nil {
				io.ReadFull(r.Body, make([]byte, 3))
				io.WriteString(pc, answer)
			}
		}
	}
	closing, busy := startOrigin(t, "tcp", after("")), startOrigin(t, "tcp", after("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
	good := startOrigin(t, "tcp", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	upstreams, locations := "", ""
	for i, addr := range []string{"127.0.0.1:1", closing.addr, busy.addr} {
		upstreams += fmt.Sprintf("upstream u%d { server %s max_fails=0; server %s backup; } ", i, addr, good.addr)
		locations += fmt.Sprintf("location /u%d { proxy_pass http://u%d; proxy_next_upstream error http_503 non_idempotent; %s} ", i, i, feeding)
	}
	inAllFronts(t, upstreams, locations, func(t *testing.T, dial func() net.Conn) {
		for _, c := range []struct {
			length int // of a body of which three bytes are sent
			status [3]int
		}{{3, [3]int{200, 200, 200}}, {10, [3]int{200, 502, 503}}} {
			for i, want := range c.status {
				for _, method := range []string{"PUT", "POST"} {
					nc := dial()
					fmt.Fprintf(nc, "%s /u%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc", method, i, c.length)
					if want == 200 && c.length > 3 {
						io.WriteString(nc, "defghij")
					}
					if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != want {
						t.Errorf("%s of %d bytes to the upstream %d: %v, %v; want %d", method, c.length, i, res, err, want)
					}
				}
			}
		}
	})
}

// A mistake in a body ends its request, and the connection to the origin.
func TestAMistakeInABodyThatIsPassedOnIsAnswered(t *testing.T) {
	var begun atomic.Int32
	ended := make(chan error, 1)
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		r, err := http.ReadRequest(pc.r)
		if err != nil {
			return
		}
		io.ReadFull(r.Body, make([]byte, 3))
		begun.Add(1)
		_, err = io.Copy(io.Discard, r.Body)
		ended <- err
	})
	inAllFronts(t, "", "lingering_time 1s; location / { proxy_pass http://"+o.addr+"; client_max_body_size 5; "+feeding+"}", func(t *testing.T, dial func() net.Conn) {
		for _, c := range []struct {
			more   string
			status int
		}{{"nonsense\r\n", 400}, {"3\r\ndef\r\n", 413}} {
			nc := dial()
			before := begun.Load()
			io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			proxytest.Eventually(t, func() bool { return begun.Load() > before }, "the origin has no body")
			io.WriteString(nc, c.more)
			if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != c.status {
				t.Errorf("%q: %v, %v; want %d", c.more, res, err, c.status)
			}
			if err := <-ended; err == nil {
				t.Errorf("%q: got the end of the body at the origin, want an error", c.more)
			}
		}
	})
}

// client_body_timeout ends a request whose client sends nothing more, proxy_send_timeout one
// whose server reads nothing more.
func TestNobodyWaitsForeverForABodyThatIsPassedOn(t *testing.T) {
	gate := make(chan bool)
	o := startOrigin(t, "unix", func(pc *peerConn) {
		http.ReadRequest(pc.r)
		<-gate
	})
	defer close(gate)
	for _, c := range []struct {
		name, settings string
		sent           int // of a body of a megabyte
		status         int
	}{
		{"the client", "client_body_timeout 100ms;", 3, 408},
		{"the server", "proxy_send_timeout 100ms;", 1 << 20, 504},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_request_buffering off; "+c.settings+" } }")
			nc := s.Dial("")
			go fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", 1<<20, make([]byte, c.sent))
			if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != c.status {
				t.Errorf("%v, %v; want %d\n%s", res, err, c.status, s.Log)
			}
		})
	}
}

// A chunked body for a server of HTTP/1.0 is read first: it needs a length.
func TestAChunkedBodyIsReadFirstForHTTP10(t *testing.T) {
	o := startOrigin(t, "tcp", echo)
	inAllFronts(t, "", "location / { proxy_pass http://"+o.addr+"; proxy_http_version 1.0; proxy_set_header Host a; proxy_set_header Connection close; "+feeding+"}", func(t *testing.T, dial func() net.Conn) {
		got := seen(t, dial(), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		if !strings.Contains(got, `length 3\nabc"`) {
			t.Errorf("got %s, want a body of 3 bytes", got)
		}
	})
}

// If a server reads nothing, the client cannot send more.
func TestAServerThatReadsNothingHoldsItsClientBack(t *testing.T) {
	const size = 64 << 20
	gate := make(chan bool)
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		r, err := http.ReadRequest(pc.r)
		if err != nil {
			return
		}
		<-gate
		n, _ := io.Copy(io.Discard, r.Body)
		text := fmt.Sprint(n)
		fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
	inAllFronts(t, "", "location / { proxy_pass http://"+o.addr+"; "+feeding+"}", func(t *testing.T, dial func() net.Conn) {
		nc := dial()
		var sent atomic.Int64
		done := make(chan error, 1)
		go func() {
			_, err := fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
			for block := make([]byte, 64<<10); err == nil && sent.Load() < size; sent.Add(int64(len(block))) {
				_, err = nc.Write(block)
			}
			done <- err
		}()
		still, last := 0, int64(-1)
		proxytest.Eventually(t, func() bool {
			if n := sent.Load(); n != last {
				still, last = 0, n
			}
			still++
			return still > 50 && last > 0
		}, "the client goes on sending")
		if last == size {
			t.Errorf("got all %d bytes from the client, want that it is held back", last)
		}
		select {
		case gate <- true:
		case err := <-done:
			t.Fatalf("got the end of the upload after %d bytes, %v, before the origin has read any, want that it waits", sent.Load(), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(res.Body); string(got) != fmt.Sprint(size) || err != nil {
			t.Errorf("got %q, %v at the origin, want %d bytes", got, err, size)
		}
	})
}

// Slow uploads hold no goroutines.
func TestSlowUploadsHoldNoGoroutines(t *testing.T) {
	const uploads = 100
	var begun atomic.Int32
	o := startOrigin(t, "unix", func(pc *peerConn) {
		if r, err := http.ReadRequest(pc.r); err == nil {
			io.ReadFull(r.Body, make([]byte, 3))
			begun.Add(1)
			io.Copy(io.Discard, r.Body)
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_request_buffering off; } }")
	before := runtime.NumGoroutine()
	var clients []net.Conn
	for range uploads {
		nc := s.Dial("")
		io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
		clients = append(clients, nc)
	}
	proxytest.Eventually(t, func() bool { return begun.Load() == uploads }, "not all of %d uploads have begun", uploads)
	if n := runtime.NumGoroutine() - before - uploads; n > uploads/4 { // the origin has one for each
		t.Errorf("got %d goroutines for %d uploads, want at most %d", n, uploads, uploads/4)
	}
	for _, nc := range clients {
		io.WriteString(nc, "def")
		if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != 200 {
			t.Fatalf("got %v, %v, want 200", res, err)
		}
	}
}

// A client that reads nothing before it has sent its whole body gets its answer: the answer
// waits here while the body is passed on. (nginx succeeds most times.)
func TestABodyIsPassedOnForAClientThatDoesNotRead(t *testing.T) {
	const size = 16 << 20
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, err := http.ReadRequest(pc.r); err == nil; r, err = http.ReadRequest(pc.r) {
			fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			io.Copy(pc, r.Body)
		}
	})
	for _, settings := range []string{"", "proxy_buffers 8 8m; proxy_max_temp_file_size 0;"} {
		for _, f := range fronts(t, "", "location / { proxy_pass http://"+o.addr+"; proxy_request_buffering off; "+settings+" }")[1:] {
			t.Run(f.name+", "+settings, func(t *testing.T) {
				nc := f.dial()
				body := strings.Repeat("0123456789abcdef", size/16)
				if _, err := fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
					t.Errorf("got %d, %d bytes, %v, want 200, %d bytes", res.StatusCode, len(got), err, size)
				}
			})
		}
	}
}

// A client that breaks TLS while it takes nothing of its answer ends its request.
func TestBrokenRecordsEndARequestWhoseAnswerWaits(t *testing.T) {
	ended := make(chan bool, 1)
	o := startOrigin(t, "unix", func(pc *peerConn) {
		http.ReadRequest(pc.r)
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
		for block := make([]byte, 64<<10); ; {
			if _, err := pc.Write(block); err != nil {
				ended <- true
				return
			}
		}
	})
	s := site(t, proxytest.Config{Text: "server { listen 127.0.0.1:443 ssl; location / { proxy_pass http://" + o.addr + "; proxy_request_buffering off; proxy_max_temp_file_size 0; send_timeout 1h; } }",
		Modules: []proxy.Module{{Name: "certificates", Generation: proxytest.SecureSites(t)}, endings()}})
	tcp := s.Dial("").(*net.TCPConn)
	tcp.SetReadBuffer(64 << 10)
	nc := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
	if _, err := io.ReadFull(nc, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	tcp.Write(make([]byte, 100))
	tcp.CloseWrite()
	<-ended
	s.Log.Wait(t, "the exchange has ended")
}
