//go:build linux

package http2_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is a client that reads and writes frames.
type frames struct {
	*http2.Framer
	nc     net.Conn
	t      *testing.T
	bodies map[uint32]*bytes.Buffer
	ended  map[uint32]bool
	last   uint32 // the last stream of GOAWAY; 0: none has come
}

// newFrames returns a client whose streams have a window of window bytes.
func newFrames(t *testing.T, s *site, window uint32) *frames {
	t.Helper()
	nc, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, http2.ClientPreface)
	f := &frames{http2.NewFramer(nc, nc), nc, t, map[uint32]*bytes.Buffer{}, map[uint32]bool{}, 0}
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	return f
}

// get begins a stream with a GET.
func (f *frames) get(id uint32, path string) {
	var fields bytes.Buffer
	e := hpack.NewEncoder(&fields)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "site"}, {":path", path}} {
		e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fields.Bytes(), EndHeaders: true, EndStream: true})
	f.bodies[id] = &bytes.Buffer{}
}

// until reads frames until the stream has ended.
func (f *frames) until(id uint32) {
	f.t.Helper()
	for !f.ended[id] {
		if err := f.take(); err != nil {
			f.t.Fatalf("got %v, want the end of stream %d", err, id)
		}
	}
}

// take reads the next frame.
func (f *frames) take() error {
	frame, err := f.ReadFrame()
	switch frame := frame.(type) {
	case *http2.DataFrame:
		f.bodies[frame.StreamID].Write(frame.Data())
		f.ended[frame.StreamID] = frame.StreamEnded()
	case *http2.GoAwayFrame:
		f.last = frame.LastStreamID
	}
	return err
}

// A shutdown, and a reload that removes the listener, end a connection after its last stream.
// Another reload does not.
func TestGoAway(t *testing.T) {
	reload := func(listens string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			if err := s.Reload(strings.Replace(s.text("2"), "listen 127.0.0.1:8000; listen 127.0.0.1:8443 ssl;", listens, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	shutdown := func(t *testing.T, s *site) {
		var down sync.WaitGroup
		down.Go(func() {
			if err := s.Engine.Shutdown(context.WithoutCancel(t.Context()), time.Minute); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(down.Wait)
	}
	for _, c := range []struct {
		name string
		end  func(t *testing.T, s *site)
		asks bool   // the client begins a stream after end
		last uint32 // the last stream of GOAWAY; 0: none comes
	}{
		{"a reload", reload("listen 127.0.0.1:8000; listen 127.0.0.1:8443 ssl; listen 127.0.0.1:8001;"), true, 0},
		{"a removed listener", reload("listen 127.0.0.1:8001;"), true, 3},
		{"a shutdown", shutdown, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBothWays(t, func(t *testing.T, s *site) {
				f := newFrames(t, s, 100)
				defer f.nc.Close()
				f.get(1, "/version")
				f.until(1)
				c.end(t, s)
				if c.asks {
					f.get(3, "/version")
					if f.until(3); f.bodies[3].String() != "2" {
						t.Errorf(`got the answer %q, want "2"`, f.bodies[3])
					}
				}
				if c.last == 0 {
					f.get(5, "/small")
					if f.until(5); f.last != 0 {
						t.Errorf("got GOAWAY with %d, want none", f.last)
					}
					return
				}
				err := f.take()
				for err == nil {
					err = f.take()
				}
				if f.last != c.last || err != io.EOF {
					t.Errorf("got GOAWAY with %d, then %v, want %d, then %v", f.last, err, c.last, io.EOF)
				}
			})
		})
	}
}
