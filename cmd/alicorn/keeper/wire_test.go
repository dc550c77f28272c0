package keeper

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
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
	sent := &message{ID: 7, Kind: askListen, Network: "tcp4", Address: "0.0.0.0:80", Listen: config.ListenOptions{Backlog: 3, V6Only: true}, Body: body}
	written := make(chan error, 1)
	go func() { written <- a.write(sent, w) }()
	m, files, err := b.read()
	if err = errors.Join(err, awaitError(t, "the write", written)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if m.ID != 7 || m.Kind != askListen || m.Address != "0.0.0.0:80" || m.Listen.Backlog != 3 || !m.Listen.V6Only {
		t.Errorf(`received %+v, want ID 7, Kind %v, Address "0.0.0.0:80", Backlog 3 and V6Only true`, m, askListen)
	}
	if !bytes.Equal(m.Body, body) {
		t.Errorf("the body has %d bytes, want %d", len(m.Body), len(body))
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
		t.Errorf(`read %q through the descriptor, want "through"`, text)
	}
}

func TestWireRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	if err := a.write(&message{Kind: answer, Body: make([]byte, maxMessage)}); err == nil {
		t.Error("a message longer than a wire takes was sent")
	}
	if err := a.write(&message{Kind: askLaunch}, nulls(t, maxFiles+1)...); err == nil {
		t.Error("more descriptors than fit were sent")
	}
}

// nulls are n times the same descriptor.
func nulls(t *testing.T, n int) []*os.File {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return slices.Repeat([]*os.File{null}, n)
}

// A worker of many threads has a socket for each.
func TestWireCarriesMoreDescriptorsThanADatagram(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for _, n := range []int{perMessage, perMessage + 1, maxFiles} {
		many, sent := nulls(t, n), make(chan error, 1)
		go func() { sent <- a.write(&message{Kind: askLaunch, App: "w"}, many...) }()
		m, files, err := b.read()
		if err != nil || m.Kind != askLaunch || m.App != "w" || len(files) != n {
			t.Errorf(`%d descriptors: received %+v with %d, %v; want Kind %v and App "w"`, n, m, len(files), err, askLaunch)
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
		file bool // one descriptor comes with it
	}{
		{"no JSON", []byte("\x03hello"), false},
		{"longer than a datagram", bytes.Repeat([]byte(" "), maxDatagram+100), false},
		{"a part without a beginning", []byte("\x02{}"), false},
		{"a descriptor that is not named", []byte("\x03{}"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x, w := halfWire(t)
			var oob []byte
			if tc.file {
				oob = unix.UnixRights(int(nulls(t, 1)[0].Fd()))
			}
			if err := unix.Sendmsg(x, tc.data, oob, nil, 0); err != nil {
				t.Fatal(err)
			}
			if m, _, err := w.read(); err == nil {
				t.Errorf("received %+v, want an error", m)
			}
		})
	}
}

// halfWire is a wire whose other end is a bare socket.
func halfWire(t *testing.T) (other int, w *wire) {
	t.Helper()
	other, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if w, err = newWire(y); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(other); w.Close() })
	return other, w
}

// What was begun and not finished does not spoil what follows.
func TestWireDropsAMessageThatIsNotWhole(t *testing.T) {
	t.Parallel()
	x, w := halfWire(t)
	for _, data := range []string{"\x01{\"kind\":", "\x00\"half", "\x01{\"kind\":\"whole\"", "\x02}"} {
		if err := unix.Sendmsg(x, []byte(data), nil, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if m, _, err := w.read(); err != nil || m.Kind != "whole" {
		t.Errorf(`received %+v, %v; want Kind "whole"`, m, err)
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
