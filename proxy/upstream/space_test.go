package upstream

import (
	"errors"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func newSpace(limit int64) *Space {
	s := &Space{}
	s.SetLimit(limit)
	return s
}

func wantUsed(t *testing.T, s *Space, want int64) {
	t.Helper()
	if used, _ := s.Use(); used != want {
		t.Errorf("%d bytes are taken, want %d", used, want)
	}
}

func TestBodiesPastTheSpaceAreRefused(t *testing.T) {
	const size, memory = 300 << 10, 100 << 10
	space := newSpace(2*size + size/2)
	var held []*Body
	for i, want := range []int{0, 0, 413, 413} {
		for _, length := range []int64{size, -1} { // the latter is chunked, and in memory at first
			if (i < 2) != (length == size) && i < 2 {
				continue
			}
			s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; }"})
			x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(strings.Repeat("x", size)))
			x.Server = s.Engine.Current().Servers[0]
			x.Req.ContentLength, x.Req.Chunked = length, length < 0
			b := &Body{}
			err := b.Read(x, &Storage{Inline: 100, Memory: memory, Dir: t.TempDir(), Space: space})
			var fail *proxy.Fail
			if got := 0; errors.As(err, &fail) {
				if got = int(fail.Status); got != want || !strings.Contains(fail.Reason, "temp_space") {
					t.Errorf(`body %d: %d %q; want %d and "temp_space" in it`, i, got, fail.Reason, want)
				}
			} else if err != nil || want != 0 {
				t.Errorf("body %d: %v, want %d", i, err, want)
			}
			held = append(held, b)
		}
	}
	wantUsed(t, space, 2*size)
	for _, b := range held {
		b.Close()
	}
	wantUsed(t, space, 0)
}

// A body that is announced as larger than all temporary files may be is refused
// before it is sent.
func TestABodyThatCanNeverFitIsRefusedUnread(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; }"})
	x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(""))
	x.Server = s.Engine.Current().Servers[0]
	x.Req.ContentLength = 1001
	space := newSpace(1000)
	var fail *proxy.Fail
	if err := new(Body).Read(x, &Storage{Inline: 100, Memory: 500, Dir: t.TempDir(), Space: space}); !errors.As(err, &fail) || fail.Status != 413 || !strings.Contains(fail.Reason, "temp_space allows 1000") {
		t.Errorf("got %v", err)
	}
	wantUsed(t, space, 0)
}

// TestResponsesPastTheSpaceAreHeldBack has one response take all the space:
// another is held back, and goes on whenever its own client has caught up.
func TestResponsesPastTheSpaceAreHeldBack(t *testing.T) {
	space := newSpace(1000)
	first := &WriteBehind{Memory: 1, Disk: 1 << 20, Dir: t.TempDir(), Space: space}
	other := &WriteBehind{Memory: 1, Disk: 1 << 20, Dir: t.TempDir(), Space: space}
	block := []byte(strings.Repeat("x", 600))
	for i, want := range []bool{false, true} {
		if _, over, err := first.Put(block, nil); err != nil || over != want {
			t.Fatalf("block %d: over %v, %v; want %v", i, over, err, want)
		}
	}
	wantUsed(t, space, 1200)
	for range 3 {
		if _, over, err := other.Put(block, nil); err != nil || !over {
			t.Fatalf("over %v, %v; want over true", over, err)
		}
		if b, ok, _, back := other.Next(); !ok || b.Size != 600 || back != 600 {
			t.Fatalf("%+v, %v, %d bytes of credit; want ok true, Size 600 and 600", b, ok, back)
		}
		if _, ok, _, _ := other.Next(); ok || !other.Idle() {
			t.Fatal("got another block, want none")
		}
		wantUsed(t, space, 1200)
	}
	first.Drop(nil)
	other.Drop(nil)
	wantUsed(t, space, 0)
}
