package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

const (
	text   = "PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\r\n"
	binary = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x11" + "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x00\x50" + "\x01\x00\x02h2"
	local  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

func TestTheHeaderNamesTheClient(t *testing.T) {
	inAllWays(t, "", func(t *testing.T, w *way) {
		for _, c := range []struct{ header, addr string }{
			{text, "192.0.2.1"}, {binary, "192.0.2.1"}, {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "2001:db8::1"},
			{"PROXY UNKNOWN\r\n", ""}, {local, ""},
			{strings.Replace(binary, "\x00\x11", "\x0f\xfe", 1) + strings.Repeat("\x04\x00\x00", 1359), "192.0.2.1"},
		} {
			nc := w.Dial("")
			send(t, nc, c.header)
			if got := w.ask(t, nc); got != w.want(c.addr) {
				t.Errorf("%q: got %q, want %q", c.header, got, w.want(c.addr))
			}
		}
	})
}

func TestAHeaderMayComeInParts(t *testing.T) {
	inAllWays(t, "", func(t *testing.T, w *way) {
		for _, header := range []string{text, binary} {
			nc := w.Dial("")
			for i := range header { // without Nagle's algorithm each byte is a segment
				send(t, nc, header[i:i+1])
				runtime.Gosched()
			}
			if got := w.ask(t, nc); got != w.want("192.0.2.1") {
				t.Errorf("%q: got %q; want %q", header, got, w.want("192.0.2.1"))
			}
		}
	})
}

// The protocol gets the bytes that follow the header in its segment.
func TestTheRequestMayComeWithTheHeader(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		w := newWay(t, false, goroutines, "")
		for _, header := range []string{text, binary, local} {
			want := "192.0.2.1 127.0.0.1 http"
			if header == local {
				want = " 127.0.0.1 http"
			}
			if got := bodies(w.Raw(header + last)); got != want {
				t.Errorf("%q: got %q, want %q", header, got, want)
			}
		}
	}
}

func TestAConnectionWithoutAProperHeaderIsClosed(t *testing.T) {
	inAllWays(t, "", func(t *testing.T, w *way) {
		for _, c := range []struct{ header, log string }{
			{last, `error: broken header: "GET / HTTP/1.1" (it does not begin with the signature)`},
			{"PROXY TCP4 192.0.2.1 198.51.100.7 4711\r\n", `error: broken header: "PROXY TCP4 192.0.2.1 198.51.100.7 4711" (it does not have two addresses and two ports)`},
			{strings.Replace(binary, "\x21", "\x31", 1), `error: broken header: "1\x11\x00\x11" (it has the unknown version 3)`},
			{"\x16\x03\x01", `error: broken header: "\x16\x03\x01" (it does not begin with the signature)`},
		} {
			w.Log.Reset()
			nc := w.Dial("")
			send(t, nc, c.header)
			if got, err := io.ReadAll(nc); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q: got %q, %v; want nothing", c.header, got, err)
			}
			w.Log.Wait(t, "while reading PROXY protocol, client: 127.0.0.1, server: 127.0.0.1:8000")
			if got := w.Log.String(); !strings.HasPrefix(got, c.log+" while") {
				t.Errorf("%q: the log has %q, want %q", c.header, got, c.log)
			}
		}
	})
}

func TestAClientMayLeaveOrFallSilentInItsHeader(t *testing.T) {
	for _, c := range []struct{ settings, header, log string }{
		{"", "", "info: client closed connection"},
		{"", "PROXY TCP4", "info: peer closed connection in PROXY header"},
		{"client_header_timeout 100ms;", "", "info: client timed out"},
		{"client_header_timeout 100ms;", binary[:20], "info: client timed out"},
	} {
		inAllWays(t, c.settings, func(t *testing.T, w *way) {
			nc := w.Dial("")
			send(t, nc, c.header)
			if c.settings == "" {
				nc.(*net.TCPConn).CloseWrite()
			}
			// A reset comes if the server's time is over before the client has sent its part.
			reset := func(err error) bool { return c.settings != "" && errors.Is(err, syscall.ECONNRESET) }
			if got, err := io.ReadAll(nc); len(got) > 0 || err != nil && !reset(err) {
				t.Errorf("%q: got %q, %v; want nothing", c.header, got, err)
			}
			w.Log.Wait(t, "while reading PROXY protocol")
			if got := w.Log.String(); !strings.HasPrefix(got, c.log+" while") {
				t.Errorf("%q: the log has %q, want %q", c.header, got, c.log)
			}
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is left")
		})
	}
}

// Connections that have sent half a header hold no goroutine, and delay no other client.
func TestHalfAHeaderCostsALoopNoGoroutine(t *testing.T) {
	for _, secure := range []bool{false, true} {
		w := newWay(t, secure, false, "")
		const clients = 100
		before := runtime.NumGoroutine()
		for i := range clients {
			send(t, w.Dial(""), []string{text, binary, text + "\x16"}[i%3][:20])
		}
		proxytest.Eventually(t, func() bool { return w.Engine.Connections() == clients }, "%d connections were not accepted", clients)
		nc := w.Dial("")
		send(t, nc, text)
		if got := w.ask(t, nc); got != w.want("192.0.2.1") {
			t.Errorf("beside %d halves of a header: %q", clients, got)
		}
		if more := runtime.NumGoroutine() - before; more > clients/2 {
			t.Errorf("%d connections that wait for a header have %d goroutines; want at most %d", clients, more, clients/2)
		}
	}
}

// Connections that wait for a header or for a handshake end when the server shuts down: at
// once, or when the time of last is over.
func TestOpeningsEndWithTheServer(t *testing.T) {
	for _, wait := range []time.Duration{0, 50 * time.Millisecond} {
		inAllWays(t, "", func(t *testing.T, w *way) {
			var all []net.Conn
			for _, sent := range []string{"", text[:10], text, binary} {
				nc := w.Dial("")
				send(t, nc, sent)
				all = append(all, nc)
			}
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == len(all) }, "the connections were not accepted")
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.Engine.Shutdown(ctx, wait); err != nil {
				t.Errorf("connections were cut: %v", err)
			}
			for i, nc := range all {
				if got, err := io.ReadAll(nc); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("connection %d: got %q, %v; want its end", i, got, err)
				}
			}
		})
	}
}

// An authority's handshake ends the connection; HTTP in place of TLS is answered.
func TestTheHandshakeBehindTheHeader(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		w := newWay(t, true, goroutines, "error_page 497 =200 /plain; location = /plain { return 200 \"plain $proxy_protocol_addr\"; }")
		if got := bodies(w.Raw(text + last)); got != "plain 192.0.2.1" {
			t.Errorf(`HTTP in place of TLS: %q; want "plain 192.0.2.1"`, got)
		}
		nc := w.Dial("")
		send(t, nc, text)
		authority := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
		if err := authority.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(authority); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the authority got %q, %v; want its end", bytes.TrimSpace(got), err)
		}
	}
}

// newOptional serves, in the clear, an address whose connections may begin with a
// header of peers.
func newOptional(t *testing.T, goroutines bool, peers string) *way {
	t.Helper()
	return &way{proxytest.New(t, proxytest.Config{Goroutines: goroutines, Modules: []proxy.Module{rewrite.Module()}, Serve: http1.Serve,
		Text: "server { listen 127.0.0.1:8000 proxy_protocol_from=" + peers + `; return 200 "$proxy_protocol_addr|$remote_addr|$remote_port"; }`}), false}
}

func TestAnOptionalHeaderGivesTheClientsAddress(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		w := newOptional(t, goroutines, "192.0.2.200,127.0.0.0/8")
		for _, c := range []struct{ sent, want string }{
			{text + last, "192.0.2.1|192.0.2.1|4711"},
			{binary + last, "192.0.2.1|192.0.2.1|4711"},
			{"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n" + last, "::ffff:192.0.2.1|192.0.2.1|1"},
		} {
			if got := bodies(w.Raw(c.sent)); got != c.want {
				t.Errorf("%q: got %q, want %q", c.sent, got, c.want)
			}
		}
		for _, request := range []string{last, strings.Replace(last, "GET", "PROPFIND", 1), strings.Replace(last, "GET", "P", 1), "\r\n" + last,
			"PROXY UNKNOWN\r\n" + last, local + last} {
			if got := bodies(w.Raw(request)); !strings.HasPrefix(got, "|127.0.0.1|") {
				t.Errorf("%q: got %q, want the peer's address", request, got)
			}
		}
	}
}

// First bytes that may belong to a header or to a request stay for the request.
func TestWhatMayBecomeAHeaderMayBecomeARequest(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		w := newOptional(t, goroutines, "127.0.0.1")
		for _, c := range []struct{ begin, rest, want string }{
			{"PRO", "PFIND" + last[3:], "|127.0.0.1|"},
			{"PRO", text[3:] + last, "192.0.2.1|192.0.2.1|"},
			{"\r\n", last, "|127.0.0.1|"},
			{"\r\n\r", binary[3:] + last, "192.0.2.1|192.0.2.1|"},
		} {
			nc := w.Dial("")
			send(t, nc, c.begin)
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 1 }, "the connection was not accepted")
			send(t, nc, c.rest)
			got, err := io.ReadAll(nc)
			if err != nil || !strings.HasPrefix(bodies(string(got)), c.want) {
				t.Errorf("%q and %q: got %q, %v, want %q", c.begin, c.rest, bodies(string(got)), err, c.want)
			}
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is left")
		}
	}
}

func TestAClientMayLeaveBeforeItsBytesAreAHeader(t *testing.T) {
	w := newOptional(t, false, "127.0.0.1")
	nc := w.Dial("")
	send(t, nc, "PRO")
	nc.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(nc); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v; want nothing", got, err)
	}
	w.Log.Wait(t, "info: peer closed connection in PROXY header while reading PROXY protocol")
}

func TestAHeaderOfAnotherPeerIsRefused(t *testing.T) {
	for _, peers := range []string{"192.0.2.200", "none"} {
		for _, goroutines := range []bool{false, true} {
			w := newOptional(t, goroutines, peers)
			for _, header := range []string{text, binary} {
				got := w.Raw(header + strings.Replace(last, "close", "keep-alive", 1))
				if !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Contains(got, "192.0.2.1") {
					t.Errorf(`from=%s: got %q; want "HTTP/1.1 403 " at its beginning and no "192.0.2.1" in it`, peers, got)
				}
			}
			if got := bodies(w.Raw(last)); !strings.HasPrefix(got, "|127.0.0.1|") {
				t.Errorf(`from=%s: without a header: %q; want "|127.0.0.1|" at its beginning`, peers, got)
			}
			w.Log.Wait(t, "error: PROXY header of 127.0.0.1, which proxy_protocol_from does not have")
		}
	}
}
