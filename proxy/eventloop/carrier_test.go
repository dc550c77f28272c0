//go:build linux

package eventloop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// carry returns a Carrier that the test owns, and the peer's end.
func carry(t *testing.T) (*Carrier, *net.UnixConn) {
	t.Helper()
	c, peer := pair(t, newGroup(t, 1).Next())
	if err := c.StartOwned(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return NewCarrier(c), peer
}

// pieces returns what peer gets in one read each, until n bytes have come.
func pieces(t *testing.T, peer net.Conn, n int) (sizes []int) {
	t.Helper()
	peer.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 1<<20); n > 0; {
		m, err := peer.Read(buf)
		if err != nil {
			t.Fatalf("got %v before the last %d bytes, want all", err, n)
		}
		sizes, n = append(sizes, m), n-m
	}
	return sizes
}

func TestACarrierGathersUntilItIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(k *Carrier, peer net.Conn) error
		ends bool
	}{
		{"Flush", func(k *Carrier, _ net.Conn) error { return k.Flush() }, false},
		{"a Read that waits", func(k *Carrier, peer net.Conn) error {
			go func() {
				for !k.waits() {
					time.Sleep(10 * time.Microsecond)
				}
				peer.Write([]byte("x"))
			}()
			_, err := k.Read(make([]byte, 10))
			return err
		}, false},
		{"Direct", func(k *Carrier, _ net.Conn) error { return k.Direct() }, false},
		{"Close", func(k *Carrier, _ net.Conn) error { return k.Close() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, peer := carry(t)
			for _, p := range []string{"one", "two", "three"} {
				if n, err := k.Write([]byte(p)); n != len(p) || err != nil {
					t.Fatalf("wrote %d, %v; want %d", n, err, len(p))
				}
			}
			peer.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := peer.Read(make([]byte, 1)); n != 0 || !k.Gathered() {
				t.Errorf("%d bytes came before: %v; want 0 and Gathered true", n, err)
			}
			if err := c.then(k, peer); err != nil {
				t.Error(err)
			}
			if got := pieces(t, peer, 11); len(got) != 1 || k.Gathered() {
				t.Errorf("it came in pieces of %v, want one and Gathered false", got)
			}
			wait := 20 * time.Millisecond
			if c.ends {
				wait = patience
			}
			peer.SetReadDeadline(time.Now().Add(wait))
			if _, err := peer.Read(make([]byte, 1)); c.ends != (err == io.EOF) {
				t.Errorf("then %v, want the end: %v", err, c.ends)
			}
		})
	}
}

func (c *Conn) waits() bool { return c.state.Load()&waits != 0 }

func TestACarrierHoldsNoMoreThanItsLimit(t *testing.T) {
	k, peer := carry(t)
	written := make(chan bool)
	go func() {
		defer close(written)
		for range 100 {
			k.Write(make([]byte, 16<<10))
			if len(k.out) >= gatherLimit {
				t.Errorf("%d bytes are held, want less than %d", len(k.out), gatherLimit)
			}
		}
		k.Flush()
	}()
	pieces(t, peer, 100*16<<10)
	<-written
}

func TestACarrierThatTriesDoesNotWait(t *testing.T) {
	k, peer := carry(t)
	buf := make([]byte, 10)
	read := func(want string, wantErr error) {
		t.Helper()
		if n, err := k.Read(buf); string(buf[:n]) != want || err != wantErr {
			t.Errorf("read %q, %v, want %q, %v", buf[:n], err, want, wantErr)
		}
	}
	k.Try(true)
	read("", ErrNothing)
	k.Write([]byte("kept"))
	read("", ErrNothing)
	if !k.Gathered() {
		t.Error("a Read that does not wait: got no gathered bytes, want them kept")
	}
	peer.Write([]byte("0123456789ab"))
	eventually(t, k.Readable, "readiness")
	read("0123456789", nil)
	read("ab", nil)
	read("", ErrNothing)
	peer.CloseWrite()
	eventually(t, k.Readable, "the end")
	read("", io.EOF)
	read("", io.EOF)
	if ne, ok := ErrNothing.(net.Error); !ok || !ne.Temporary() || ne.Timeout() {
		t.Error("got an error that ends crypto/tls, want a temporary one that is no timeout")
	}
}

// What crypto/tls has sealed must leave whole and in order, or not at all.
func TestACarrierSendsNothingAfterAFailure(t *testing.T) {
	k, peer := carry(t)
	k.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	big := bytes.Repeat([]byte("x"), 8<<20)
	if _, err := k.Write(big); err == nil {
		t.Fatal("got room for all, want an error")
	}
	k.SetWriteDeadline(time.Time{})
	received := make(chan bool, 1)
	go func() {
		all, _ := io.ReadAll(peer)
		received <- bytes.Contains(all, []byte("more"))
	}()
	if _, err := k.Write([]byte("more")); err == nil {
		t.Error("a later Write: got nil, want an error")
	}
	if err := k.Flush(); err == nil {
		t.Error("a later Flush: got nil, want an error")
	}
	k.Close()
	if <-received {
		t.Error("got bytes after the gap, want none")
	}
}

func TestACarrierOfACutConnFails(t *testing.T) {
	k, _ := carry(t)
	k.Cut()
	k.Write([]byte("x"))
	if err := k.Flush(); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Flush fails with %v, want %v", err, unix.EPIPE)
	}
}

// The answers of TLS to what a peer sends are bounded where the peer takes none of them.
func TestASharedCarrierGathersNoMoreThanIsSealed(t *testing.T) {
	k, peer := carry(t)
	k.share()
	fill(t, k.Conn)
	const large = 200 << 10
	if err := k.push(large); err != nil {
		t.Fatal(err)
	}
	sealed := bytes.Repeat([]byte("s"), large+large/10)
	if n, err := k.Write(sealed); n != len(sealed) || err != nil {
		t.Fatalf("got %d, %v, want %d, nil", n, err, len(sealed))
	}
	if err := k.push(0); err != unix.EAGAIN {
		t.Fatalf("sent what there is no room for: %v; want %v", err, unix.EAGAIN)
	}
	answer, before := make([]byte, 100), len(k.out)
	for i := range 2 * (gatherLimit + 2*large) / len(answer) {
		if _, err := k.Write(answer); err == nil {
			continue
		} else if i == 0 || !errors.Is(err, errClogged) {
			t.Errorf("answer %d: %v; want %v, and not for the first", i, err, errClogged)
		}
		if len(k.out) <= before || len(k.out) > gatherLimit+2*large {
			t.Errorf("%d bytes are gathered, %d of them before the answers; want at most %d", len(k.out), before, gatherLimit+2*large)
		}
		if err := k.push(0); !errors.Is(err, errClogged) {
			t.Errorf("a send behind it: %v; want %v", err, errClogged)
		}
		peer.Close()
		return
	}
	t.Errorf("got %d gathered bytes, want an error before", len(k.out))
}
