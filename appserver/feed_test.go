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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
	"alicorn/proxy/proxytest"
)

// feeder is a client whose application reads its body while it sends it.
type feeder struct {
	*site
	t    *testing.T
	tcp  *net.TCPConn
	nc   net.Conn
	r    *bufio.Reader
	gate string
}

// inBothWays runs test in the clear and over TLS.
func inBothWays(t *testing.T, settings string, test func(f *feeder)) {
	for _, name := range []string{"TCP", "TLS"} {
		t.Run(name, func(t *testing.T) {
			s := newLeavingSiteWith(t, "workers 1;", "app_request_buffering off; "+settings)
			address := map[string]string{"TCP": "127.0.0.1:8080", "TLS": "127.0.0.1:8443"}[name]
			f := &feeder{site: s, t: t, tcp: s.Dial(address).(*net.TCPConn), gate: filepath.Join(t.TempDir(), "gate")}
			f.nc = f.tcp
			if name == "TLS" {
				f.nc = tls.Client(f.tcp, &tls.Config{InsecureSkipVerify: true})
			}
			f.r = bufio.NewReader(f.nc)
			test(f)
		})
	}
}

func (f *feeder) send(format string, args ...any) {
	f.t.Helper()
	if _, err := fmt.Fprintf(f.nc, format, args...); err != nil {
		f.t.Fatal(err)
	}
}

func (f *feeder) response() *http.Response {
	f.t.Helper()
	res, err := http.ReadResponse(f.r, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

func (f *feeder) free() {
	f.t.Helper()
	proxytest.Eventually(f.t, func() bool { return f.idle(f.t) }, "the worker is free")
}

const chunkedHead = "Transfer-Encoding: chunked\r\n\r\n"

// Each part is in the application's answer before the next is sent.
func TestAnApplicationReadsABodyWhileItComes(t *testing.T) {
	for _, c := range []struct {
		head, part, end string
	}{
		{"Content-Length: 15\r\n\r\n", "part%d", ""},
		{chunkedHead, "5\r\npart%d\r\n", "0\r\n\r\n"},
		{"Expect: 100-continue\r\nContent-Length: 15\r\n\r\n", "part%d", ""},
	} {
		inBothWays(t, "", func(f *feeder) {
			for range 2 {
				f.send("%s", "POST /parts HTTP/1.1\r\nHost: a\r\n"+c.head)
				if strings.HasPrefix(c.head, "Expect") {
					f.response() // 100
				}
				f.send(c.part, 1)
				res := f.response()
				for i := 1; i <= 3; i++ {
					got := make([]byte, 5)
					if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != fmt.Sprintf("part%d", i) {
						f.t.Fatalf("part %d: %q, %v; want %q", i, got, err, fmt.Sprintf("part%d", i))
					}
					if i < 3 {
						f.send(c.part, i+1)
					}
				}
				f.send("%s", c.end)
				if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
					f.t.Fatalf("%q, %v behind the parts; want nothing", rest, err)
				}
				f.free()
			}
		})
	}
}

func TestBodiesOfAllSizesReachAnApplicationWhileTheyCome(t *testing.T) {
	inBothWays(t, "", func(f *feeder) {
		for _, size := range []int{0, 1, 65527, 65528, 65536, 300000, 3 << 20} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			f.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body)
			res := f.response()
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != body || res.Header.Get("X-Length") != fmt.Sprint(size) {
				f.t.Errorf("%d bytes: %d bytes back, X-Length %s, %v; want as many bytes, the same, and X-Length", size, len(got), res.Header.Get("X-Length"), err)
			}
			f.send("POST /echo HTTP/1.1\r\nHost: a\r\n"+chunkedHead+"%x\r\n%s\r\n0\r\n\r\n", max(size, 1), body+strings.Repeat("x", max(1-size, 0)))
			res = f.response()
			if got, err := io.ReadAll(res.Body); err != nil || len(got) != max(size, 1) || res.Header.Get("X-Length") != "-" {
				f.t.Errorf(`%d bytes in a chunk: %d %s, %v; want %d and "-"`, size, len(got), res.Header.Get("X-Length"), err, max(size, 1))
			}
		}
	})
}

func TestAnAnswerComesBeforeTheEndOfABody(t *testing.T) {
	inBothWays(t, "lingering_time 1s;", func(f *feeder) {
		f.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc")
		if body, err := io.ReadAll(f.response().Body); string(body) != "hello" || err != nil {
			f.t.Errorf(`%q, %v; want "hello"`, body, err)
		}
		f.free()
	})
}

func TestAWorkerThatReadsNothingHoldsItsClientBack(t *testing.T) {
	inBothWays(t, "", func(f *feeder) {
		const size = 64 << 20
		f.send("POST /slurp?%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", f.gate, size)
		f.Log.Wait(f.t, "at the gate")
		sent := make(chan error, 1)
		go func() {
			_, err := f.nc.Write(make([]byte, size))
			sent <- err
		}()
		proxytest.Eventually(f.t, func() bool {
			return f.runs(f.t, func(r *request) bool {
				unread, err := unix.IoctlGetInt(int(r.feed.theirs.Fd()), unix.TIOCINQ)
				return err == nil && unread > wire.MaxFrame
			})
		}, "the worker has more than a block to read")
		f.turns(200)
		if len(sent) > 0 {
			f.t.Errorf("got all bytes from the client, want that it is held back")
		}
		if err := os.WriteFile(f.gate, nil, 0o666); err != nil {
			f.t.Error(err)
		}
		if err := <-sent; err != nil {
			f.t.Error(err)
		}
		if body, err := io.ReadAll(f.response().Body); string(body) != fmt.Sprint(size) || err != nil {
			f.t.Errorf("%q, %v; want %q", body, err, fmt.Sprint(size))
		}
		f.free()
	})
}

// A client may send all before it reads: while its answer waits for it, its body goes on.
func TestABodyIsPassedOnForAClientThatDoesNotRead(t *testing.T) {
	const size = 16 << 20
	s := newLoopSite(t, "workers 1;", Options{})
	if err := s.Reload(strings.Replace(configText(t, "workers 1;"), "app_pass web;", "app_request_buffering off; app_pass web;", 1)); err != nil {
		t.Fatal(err)
	}
	nc := s.Dial("127.0.0.1:8080")
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	body := strings.Repeat("0123456789abcdef", size/16)
	if _, err := fmt.Fprintf(nc, "POST /parts HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
		t.Errorf("%d, %d of %d bytes, %v; want all, as they were sent", res.StatusCode, len(got), size, err)
	}
}

// turns has the loop of the connections serve n others.
func (f *feeder) turns(n int) {
	f.t.Helper()
	for range n {
		nc := f.Dial("127.0.0.1:8080")
		fmt.Fprint(nc, "no request\r\n\r\n")
		if answer, err := io.ReadAll(nc); err != nil || !strings.Contains(string(answer), " 400 ") {
			f.t.Fatalf(`%q, %v; want " 400 " in it`, answer, err)
		}
		nc.Close()
	}
}

// The application's read raises, and no worker is held, whatever ends a body too early.
func TestABodyThatEndsTooEarlyEndsItsRequest(t *testing.T) {
	for _, c := range []struct {
		name, settings, head string
		ends                 func(f *feeder)
		status               int // of the answer; 0: there is none
	}{
		{"a client that closes", "", "Content-Length: 10\r\n\r\nabc", func(f *feeder) { f.tcp.Close() }, 0},
		{"a client that resets", "", "Content-Length: 10\r\n\r\nabc", func(f *feeder) { f.tcp.SetLinger(0); f.tcp.Close() }, 0},
		{"a client that closes between chunks", "", chunkedHead + "3\r\nabc\r\n", func(f *feeder) { f.tcp.Close() }, 0},
		{"a client that ends its sending", "", "Content-Length: 10\r\n\r\nabc", func(f *feeder) { f.tcp.CloseWrite() }, 0},
		{"silence", "client_body_timeout 1s;", "Content-Length: 10\r\n\r\nabc", func(f *feeder) {}, 408},
		{"what is no chunk", "", chunkedHead + "3\r\nabc\r\n", func(f *feeder) { f.send("nonsense\r\n") }, 400},
		{"too many bytes", "client_max_body_size 4;", chunkedHead + "3\r\nabc\r\n", func(f *feeder) { f.send("3\r\ndef\r\n") }, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBothWays(t, c.settings, func(f *feeder) {
				f.send("%s", "POST /read-on HTTP/1.1\r\nHost: a\r\n"+c.head)
				f.Log.Wait(f.t, "read b'abc'")
				c.ends(f)
				f.Log.Wait(f.t, "raised ConnectionResetError")
				f.free()
				if c.status > 0 {
					if got := f.response().StatusCode; got != c.status {
						f.t.Errorf("status %d, want %d", got, c.status)
					}
				}
				if strings.Contains(f.Log.String(), "Traceback") {
					f.t.Errorf("it is logged as the application's failure (want no \"Traceback\" in it):\n%s", f.Log)
				}
				expect(f.t, f.Get("/"), 200, "hello")
			})
		})
	}
}

// Nothing is given to another worker once the application has begun to read.
func TestAWorkerThatDiesWhileItReadsABodyFailsItsRequest(t *testing.T) {
	inBothWays(t, "", func(f *feeder) {
		f.send("POST /die HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		if got := f.response().StatusCode; got != 502 {
			f.t.Errorf("status %d, want 502", got)
		}
		f.Log.Wait(f.t, "ended while it ran the request")
	})
}

// The time that the client takes is not the application's.
func TestASlowBodyDoesNotCountForTimeout(t *testing.T) {
	s := newLeavingSiteWith(t, "workers 1; timeout 1s;", "app_request_buffering off;")
	nc := s.Dial("127.0.0.1:8080")
	f := &feeder{site: s, t: t, nc: nc, r: bufio.NewReader(nc)}
	f.send("POST /read-on HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
	f.Log.Wait(t, "read b'abc'")
	began := time.Now()
	proxytest.Eventually(t, func() bool { return time.Since(began) > 1500*time.Millisecond }, "a time longer than timeout has passed")
	f.send("def")
	if body, err := io.ReadAll(f.response().Body); string(body) != "read 6" || err != nil {
		t.Errorf(`%q, %v; want "read 6"`, body, err)
	}
}
