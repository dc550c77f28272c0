package keeper

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// pair returns both ends of a real wire.
func pair(t *testing.T) (a, b *wire) {
	t.Helper()
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = newWire(x); err != nil {
		t.Fatal(err)
	}
	if b, err = newWire(y); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestWireCarriesFieldsBodyAndDescriptors(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body := bytes.Repeat([]byte("a long configuration\n"), 50_000)
	sent := &message{ID: 7, Kind: askListen, Network: "tcp4", Address: "0.0.0.0:80", Listen: config.ListenOptions{Backlog: 3, V6Only: true}, body: body}
	if err := a.write(sent, w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	m, files, err := b.read()
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != 7 || m.Kind != askListen || m.Address != "0.0.0.0:80" || m.Listen.Backlog != 3 || !m.Listen.V6Only {
		t.Errorf("received %+v", m)
	}
	if !bytes.Equal(m.body, body) {
		t.Errorf("the body has %d bytes, want %d", len(m.body), len(body))
	}
	if len(files) != 1 {
		t.Fatalf("%d descriptors, want 1", len(files))
	}
	flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a received descriptor would reach workers: flags %x, %v", flags, err)
	}
	io.WriteString(files[0], "through")
	files[0].Close()
	if text, _ := io.ReadAll(r); string(text) != "through" {
		t.Errorf("read %q through the descriptor", text)
	}
}

func TestWireRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	if err := a.write(&message{Kind: answer, Address: strings.Repeat("x", maxMessage)}); err == nil {
		t.Error("a message longer than a datagram was sent")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	many := make([]*os.File, maxFiles+1)
	for i := range many {
		many[i] = null
	}
	if err := a.write(&message{Kind: askLaunch}, many...); err == nil {
		t.Error("more descriptors than fit were sent")
	}
}

// A worker of many threads has a socket for each.
func TestWireCarriesMoreDescriptorsThanADatagram(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for _, n := range []int{perMessage, perMessage + 1, maxFiles} {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		sent := make(chan error, 1)
		many := make([]*os.File, n)
		for i := range many {
			many[i] = null
		}
		go func() { sent <- a.write(&message{Kind: askLaunch, Worker: "w"}, many...) }()
		m, files, err := b.read()
		if err != nil || m.Kind != askLaunch || m.Worker != "w" || len(files) != n {
			t.Errorf("%d descriptors: received %+v with %d, %v", n, m, len(files), err)
		}
		closeAll(files)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

func TestWireRefusesWhatItCannotTrust(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"no JSON", []byte("hello")},
		{"longer than a message", bytes.Repeat([]byte(" "), maxMessage+100)},
		{"a body that is missing", []byte(`{"kind":"answer","has_body":true}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x, y, err := socketPair()
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(x)
			w, err := newWire(y)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := unix.Sendmsg(x, tc.data, nil, nil, 0); err != nil {
				t.Fatal(err)
			}
			if m, _, err := w.read(); err == nil {
				t.Errorf("received %+v", m)
			}
		})
	}
}

func TestWireRefusesABodyThatIsNoFile(t *testing.T) {
	t.Parallel()
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(x)
	w, err := newWire(y)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, end, err := os.Pipe() // reading it would block for ever
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer end.Close()
	if err := unix.Sendmsg(x, []byte(`{"kind":"answer","has_body":true}`), unix.UnixRights(int(r.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.read(); err == nil {
		t.Error("a pipe was taken for a body")
	}
}

func TestWireEnds(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Close()
	if _, _, err := b.read(); err != io.EOF {
		t.Errorf("read gives %v, want io.EOF", err)
	}
	if err := b.write(&message{Kind: tellCommand}); err == nil {
		t.Error("a write to nobody succeeded")
	}
}
