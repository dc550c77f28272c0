//go:build linux

package appserver

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// newLeavingSite is a site whose responses wait in little memory and no file. Its
// second server speaks TLS.
func newLeavingSite(t *testing.T) *site { return newLeavingSiteWith(t, "workers 1;", "") }

// newLeavingSiteWith is newLeavingSite with settings of the app and of its servers.
func newLeavingSiteWith(t *testing.T, appSettings, settings string) *site {
	return newLeavingSiteOn(t, false, appSettings, settings)
}

// newLeavingSiteOn is newLeavingSiteWith whose connections a goroutine each may serve.
func newLeavingSiteOn(t *testing.T, goroutines bool, appSettings, settings string) *site {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	certificates := proxy.Module{Name: "certificates", Generation: func(_ *config.Scope, g *proxy.Generation) error {
		for _, site := range g.Sites() {
			if site.SSL {
				site.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			}
		}
		return nil
	}}
	delays := proxy.Module{Name: "delays", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.OnLog(func(x *proxy.Exchange) { x.Log(proxy.LevelInfo, "the exchange has ended") })
		l.On(proxy.PreAccess, func(x *proxy.Exchange) error {
			if x.Req.Path != "/delayed" {
				return nil
			}
			x.Log(proxy.LevelInfo, "the request is delayed")
			return x.Sleep(time.Hour)
		})
		return nil
	}}
	const servers = "server { listen 127.0.0.1:8080; LOCATION } server { listen 127.0.0.1:8443 ssl; LOCATION }"
	rt := NewRuntime(Options{})
	watched, last := watch(rt)
	s := proxytest.New(t, proxytest.Config{Text: strings.ReplaceAll(servers, "LOCATION", ""), Modules: []proxy.Module{watched, Module(rt, nil), certificates, delays}, Serve: http1.Serve, Goroutines: goroutines})
	rt.o.Loops = s.Loops
	app, _, _ := strings.Cut(configText(t, appSettings), "server {")
	if !strings.Contains(settings, "client_max_body_size") {
		settings += "client_max_body_size 200m; "
	}
	location := "app_buffers 1 32k; app_max_temp_file_size 0; " + settings + "location / { app_pass web; }"
	if err := s.Reload(app + strings.ReplaceAll(servers, "LOCATION", location)); err != nil {
		t.Fatal(err)
	}
	return &site{Server: s, rt: rt, last: last}
}

// leaver is a client that is about to leave.
type leaver struct {
	*site
	t    *testing.T
	nc   *net.TCPConn
	tls  *tls.Conn // over nc; nil in the clear
	r    *bufio.Reader
	gate string // exists once the application may go on
}

// connect returns a client of the site, over TLS where secure is set.
func connect(t *testing.T, s *site, secure bool) *leaver {
	l := &leaver{site: s, t: t, gate: filepath.Join(t.TempDir(), "gate")}
	if secure {
		l.nc = s.Dial("127.0.0.1:8443").(*net.TCPConn)
		l.tls = tls.Client(l.nc, &tls.Config{InsecureSkipVerify: true})
	} else {
		l.nc = s.Dial("127.0.0.1:8080").(*net.TCPConn)
	}
	l.r = bufio.NewReader(l.conn())
	t.Cleanup(func() { l.nc.Close() })
	return l
}

func (l *leaver) conn() net.Conn {
	if l.tls != nil {
		return l.tls
	}
	return l.nc
}

func (l *leaver) send(format string, args ...any) {
	if _, err := fmt.Fprintf(l.conn(), format, args...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *leaver) open() {
	if err := os.WriteFile(l.gate, nil, 0o666); err != nil {
		l.t.Error(err)
	}
}

// readSome reads a response's head and a part of its body.
func (l *leaver) readSome() {
	res, err := http.ReadResponse(l.r, nil)
	if err == nil {
		_, err = io.ReadFull(res.Body, make([]byte, 10))
	}
	if err != nil {
		l.t.Error(err)
	}
}

func (l *leaver) reset() {
	l.nc.SetLinger(0)
	l.nc.Close()
}

// owes reports that so much of the response waits for the client that the worker gets no
// credit for more.
func (l *leaver) owes() bool {
	return l.runs(l.t, func(r *request) bool { return r.Out.Full() })
}

// departure is a state of a request in which its client leaves, and what becomes of it.
type departure struct {
	state    string
	settings string
	reach    func(l *leaver)
	served   uint64 // requests that the application has run in the end, with the one that follows
	closed   int    // responses that it was told to close
	raised   bool   // the application's read of the body
	noPoller bool   // it shows without a loop, too, where the client resets
}

var departures = []departure{
	{"while limit_req would delay it", "", func(l *leaver) {
		l.send("GET /delayed HTTP/1.1\r\nHost: a\r\n\r\n")
		l.Log.Wait(l.t, "the request is delayed")
	}, 1, 0, false, false},
	{"while its body is read into memory", "", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
	}, 1, 0, false, true},
	{"while its chunks are read", "", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	}, 1, 0, false, true},
	{"while its body is spooled", "", func(l *leaver) {
		l.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("b", 200000))
	}, 1, 0, false, true},
	{"while the application reads its body", "app_request_buffering off;", func(l *leaver) {
		l.send("POST /read-on HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
		l.Log.Wait(l.t, "read b'abc'")
	}, 2, 0, true, false},
	{"while it waits for a worker", "", func(l *leaver) {
		l.occupy()
		l.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
		proxytest.Eventually(l.t, func() bool { return l.pool(l.t).Status().Queue == 1 }, "one waits")
	}, 2, 0, false, false},
	{"while it waits for a worker with a body to come", "app_request_buffering off;", func(l *leaver) {
		l.occupy()
		l.send("POST /read-on HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
		proxytest.Eventually(l.t, func() bool { return l.pool(l.t).Status().Queue == 1 }, "one waits")
	}, 2, 0, false, false},
	{"while the application works", "", func(l *leaver) {
		l.send("GET /gate?%s HTTP/1.1\r\nHost: a\r\n\r\n", l.gate)
		l.Log.Wait(l.t, "at the gate")
	}, 2, 0, false, true},
	{"between two parts of a stream", "", func(l *leaver) {
		l.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
		l.readSome()
	}, 2, 1, false, true},
	{"while its stream waits for credit", "", func(l *leaver) {
		l.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
		proxytest.Eventually(l.t, l.owes, "the worker waits for credit")
	}, 2, 1, false, true},
	{"while a whole response waits for it", "", func(l *leaver) {
		l.send("GET /whole?200000 HTTP/1.1\r\nHost: a\r\n\r\n")
		l.readSome()
	}, 2, 0, false, true},
}

// occupy gives the worker a request that ends when the gate opens.
func (l *leaver) occupy() {
	other := connect(l.t, l.site, false)
	other.send("GET /gate?%s HTTP/1.1\r\nHost: a\r\n\r\n", l.gate)
	l.Log.Wait(l.t, "at the gate")
}

func TestAClientThatLeavesFreesItsThread(t *testing.T) {
	for _, way := range proxytest.Leavings() {
		for _, c := range departures {
			if way.Goroutine && !c.noPoller {
				continue // without a poller nobody learns of it before something is sent
			}
			t.Run(c.state+"/"+way.Name, func(t *testing.T) {
				l := connect(t, newLeavingSiteOn(t, way.Goroutine, "workers 1;", c.settings), way.Secure)
				c.reach(l)
				if way.Resets {
					l.reset()
				} else {
					l.conn().Close()
				}
				l.expectDeparture(c)
			})
		}
	}
}

// expectDeparture waits until everything is as c says, and prints how long that takes.
func (l *leaver) expectDeparture(c departure) {
	t, began := l.t, time.Now()
	proxytest.Eventually(t, func() bool { return l.pool(t).Status().Queue == 0 }, "nothing waits")
	if c.raised {
		l.Log.Wait(t, "raised ConnectionResetError")
	}
	l.open()
	proxytest.Eventually(t, func() bool { return l.idle(t) }, "the worker is free")
	l.Log.Wait(t, "the exchange has ended")
	t.Logf("worker and connection are free %s after the client has left", time.Since(began).Round(time.Millisecond))
	expect(t, l.Get("/"), 200, "hello")
	for range c.closed {
		l.Log.Wait(t, "closed the response")
	}
	st := l.pool(t).Status()
	if n := strings.Count(l.Log.String(), "closed the response"); n != c.closed {
		t.Errorf("close() ran %d times, want %d", n, c.closed)
	}
	if st.Requests != c.served || len(st.Workers) != 1 || strings.Contains(l.Log.String(), "Traceback") {
		t.Errorf("%d requests were served, want %d; %d workers\n%s", st.Requests, c.served, len(st.Workers), l.Log)
	}
}

// A client that only ends its sending side is there, and gets all.
func TestAClientThatHalfClosesGetsItsWholeResponse(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"/", "hello"}, {"/sleep?0.1", "slept"}, {"/generate", "0,1,2,"}, {"/whole?300000", strings.Repeat("w", 300000)},
	} {
		t.Run(c.target, func(t *testing.T) {
			s := newLeavingSite(t)
			nc := s.Dial("127.0.0.1:8080").(*net.TCPConn)
			defer nc.Close()
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", c.target)
			nc.CloseWrite()
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != c.want {
				t.Errorf("%d bytes %.20q, %v; want %.20q", len(body), body, err, c.want)
			}
		})
	}
}

// However long its parts are in coming: that it is there showed when the head was
// sent.
func TestAQuietStreamGoesOnForAClientThatHalfClosedBefore(t *testing.T) {
	s := newLeavingSite(t)
	nc := s.Dial("127.0.0.1:8080").(*net.TCPConn)
	l := &leaver{site: s, t: t, nc: nc, r: bufio.NewReader(nc), gate: filepath.Join(t.TempDir(), "gate")}
	l.halfClose("GET /late?%s HTTP/1.1\r\nHost: a\r\n\r\n", l.gate)
	l.open()
	res, err := http.ReadResponse(l.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "first, second" {
		t.Errorf(`body %q, %v; want "first, second"`, body, err)
	}
}

// halfClose sends a request and ends the sending side, and returns once the pool
// has seen both.
func (l *leaver) halfClose(format string, args ...any) {
	l.send(format, args...)
	l.nc.CloseWrite()
	proxytest.Eventually(l.t, func() bool {
		return l.runs(l.t, func(r *request) bool { return r.Client.Gone() })
	}, "the pool knows")
}

// A close looks like a half close until something is sent. While the application
// is silent the client counts as gone all the same: the worker need not send two
// parts to learn it.
func TestAClientThatClosesInASilenceFreesItsThreadAtTheNextPart(t *testing.T) {
	for name, connect := range map[string]func(s *site) net.Conn{
		"TCP": func(s *site) net.Conn { return s.Dial("127.0.0.1:8080") },
		"TLS": func(s *site) net.Conn {
			return tls.Client(s.Dial("127.0.0.1:8443"), &tls.Config{InsecureSkipVerify: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newLeavingSite(t)
			nc := connect(s)
			l := &leaver{site: s, t: t, r: bufio.NewReader(nc), gate: filepath.Join(t.TempDir(), "gate")}
			fmt.Fprintf(nc, "GET /quiet?%s HTTP/1.1\r\nHost: a\r\n\r\n", l.gate)
			res, err := http.ReadResponse(l.r, nil)
			if err == nil {
				_, err = io.ReadFull(res.Body, make([]byte, len("first")))
			}
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
			s.Log.Wait(t, "the exchange has ended") // and so the worker is told
			l.open()
			s.Log.Wait(t, "closed the response")
			proxytest.Eventually(t, func() bool { return s.idle(t) }, "the worker is free")
		})
	}
}

// An endless stream goes on for a client that has half closed, and ends when
// that has gone.
func TestAStreamGoesOnForAClientThatHasHalfClosed(t *testing.T) {
	s := newLeavingSite(t)
	nc := s.Dial("127.0.0.1:8080").(*net.TCPConn)
	l := &leaver{site: s, t: t, nc: nc, r: bufio.NewReader(nc), gate: filepath.Join(t.TempDir(), "gate")}
	l.halfClose("GET /events?%s HTTP/1.1\r\nHost: a\r\n\r\n", l.gate)
	l.open()
	l.readSome()
	for range 10 {
		if _, err := l.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if s.idle(t) {
		t.Error("got the end of the stream, want that it goes on")
	}
	nc.Close()
	s.Log.Wait(t, "closed the response")
	proxytest.Eventually(t, func() bool { return s.idle(t) }, "the worker is free")
}

// watch returns a module that notes the request which the app of rt was given last.
func watch(rt *Runtime) (m proxy.Module, last *atomic.Pointer[request]) {
	last = new(atomic.Pointer[request])
	m = proxy.Module{Name: "watch", Content: []string{"app_pass"}, Compile: func(s *config.Scope, l *proxy.Location) error {
		if c := rt.key.In(s); c.pass != nil {
			l.SetContent(&watched{newHandler(c, c.pass, rt), last})
		}
		return nil
	}}
	return m, last
}

type watched struct {
	handler
	last *atomic.Pointer[request]
}

func (w *watched) Serve(x *proxy.Exchange) error {
	r, err := newRequest(&w.handler, w.asgi)
	if err != nil {
		return err
	}
	w.last.Store(r)
	return w.begin(x, r)
}

// runs reports whether a worker has the request that the app was given last, and what is
// asked of it holds. The pool's lock is taken before and after the question: nothing of the
// request is used again meanwhile.
func (s *site) runs(t testing.TB, what func(r *request) bool) bool {
	t.Helper()
	if s.outstanding(t) != 1 {
		return false
	}
	holds := what(s.last.Load())
	s.outstanding(t)
	return holds
}
