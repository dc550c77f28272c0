//go:build linux

package eventloop

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// relayed is a Relay between two connections, as their peers see it.
type relayed struct {
	relay *Relay
	conns [2]Duplex
	peers [2]net.Conn
	done  chan relayEnd
}

type relayEnd struct {
	end int
	err error
}

// relay starts one whose connections are in loops of their own; change has a say in
// its Ends.
func relay(t *testing.T, secure bool, change func(ends *[2]End)) *relayed {
	t.Helper()
	g := newGroup(t, 2)
	r := &relayed{done: make(chan relayEnd, 2)}
	var ends [2]End
	for i := range ends {
		r.conns[i], r.peers[i] = duplexes(t, g.Next(), secure && i == 0)
		r.peers[i].SetDeadline(time.Now().Add(patience))
		ends[i].Duplex = r.conns[i]
	}
	if change != nil {
		change(&ends)
	}
	r.relay = StartRelay(ends[0], ends[1], func(_ *Turn, end int, err error) {
		for _, c := range r.conns {
			c.Close()
		}
		r.done <- relayEnd{end, err}
	})
	return r
}

func (r *relayed) ended(t *testing.T) relayEnd {
	t.Helper()
	return within(t, r.done, "the Relay's end")
}

func closeWrite(nc net.Conn) { nc.(interface{ CloseWrite() error }).CloseWrite() }

func clearAndSecure(t *testing.T, test func(t *testing.T, secure bool)) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { test(t, secure) })
	}
}

func TestARelayPassesAllBytesBothWays(t *testing.T) {
	clearAndSecure(t, func(t *testing.T, secure bool) {
		early := []byte("what came with the answer")
		r := relay(t, secure, func(ends *[2]End) { ends[1].Early = early })
		var sent [2][]byte
		var got [2]chan []byte
		for i := range sent {
			sent[i] = make([]byte, 3<<20)
			src := rand.NewChaCha8([32]byte{byte(i)})
			src.Read(sent[i])
			go func() {
				for rest := sent[i]; len(rest) > 0; {
					n := min(1+rand.IntN(100<<10), len(rest))
					r.peers[i].Write(rest[:n])
					rest = rest[n:]
				}
				closeWrite(r.peers[i])
			}()
			got[i] = make(chan []byte, 1)
			go func() {
				all, err := io.ReadAll(r.peers[i])
				if err != nil {
					t.Error(err)
				}
				got[i] <- all
			}()
		}
		want := append(early, sent[1]...)
		if all := within(t, got[0], "all bytes"); !bytes.Equal(all, want) {
			t.Errorf("%d bytes came, want %d, or others", len(all), len(want))
		}
		if all := within(t, got[1], "all bytes"); !bytes.Equal(all, sent[0]) {
			t.Errorf("%d bytes came, want %d, or others", len(all), len(sent[0]))
		}
		if o := r.ended(t); o.err != nil {
			t.Errorf("it ends with %v", o.err)
		}
		if len(r.done) > 0 {
			t.Error("it ends twice")
		}
	})
}

func TestARelayGoesOnAfterOneEndHasEnded(t *testing.T) {
	clearAndSecure(t, func(t *testing.T, secure bool) {
		for _, first := range []int{0, 1} {
			r := relay(t, secure, nil)
			one, other := r.peers[first], r.peers[1-first]
			one.Write([]byte("question"))
			closeWrite(one)
			if all, err := io.ReadAll(other); string(all) != "question" || err != nil {
				t.Errorf("%q came, %v", all, err)
			}
			other.Write([]byte("answer"))
			closeWrite(other)
			if all, err := io.ReadAll(one); string(all) != "answer" || err != nil {
				t.Errorf("%q came, %v", all, err)
			}
			if o := r.ended(t); o.err != nil {
				t.Errorf("it ends with %v", o.err)
			}
		}
	})
}

// stuff writes to nc until nothing of it is taken any more.
func stuff(nc net.Conn) (n int) {
	for block := make([]byte, 64<<10); ; {
		nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		m, err := nc.Write(block)
		if n += m; err != nil {
			return n
		}
	}
}

func TestWhatEndsARelay(t *testing.T) {
	const soon = 20 * time.Millisecond
	for _, c := range []struct {
		name   string
		change func(ends *[2]End)
		end    func(r *relayed)
		failed int
		want   error // nil: none
	}{
		{"silence", func(ends *[2]End) { ends[1].Silence = soon }, func(*relayed) {}, 1, ErrSilence},
		{"silence of the first", func(ends *[2]End) { ends[0].Silence = soon }, func(*relayed) {}, 0, os.ErrDeadlineExceeded},
		{"no room", func(ends *[2]End) { ends[1].Room = soon }, func(r *relayed) { // what blocks in the end is cut
			for err := error(nil); err == nil; {
				_, err = r.peers[0].Write(make([]byte, 64<<10))
			}
		}, 1, ErrNoRoom},
		{"one that closes", nil, func(r *relayed) { r.peers[0].Close() }, 0, nil},
		{"one that closes and is sent something", nil, func(r *relayed) {
			r.peers[0].Close()
			r.peers[1].Write([]byte("x"))
		}, 0, nil},
		{"Stop", nil, func(r *relayed) { r.relay.Stop() }, 0, nil},
		{"Stop while the other takes nothing", nil, func(r *relayed) {
			stuff(r.peers[0])
			r.relay.Stop()
		}, 0, nil},
		{"Stop of one that is lost, while the other takes nothing", nil, func(r *relayed) {
			stuff(r.peers[0])
			r.peers[0].Close()
			r.relay.Stop()
		}, 0, nil},
		{"Stop while neither takes anything", nil, func(r *relayed) {
			stuff(r.peers[0])
			stuff(r.peers[1])
			r.relay.Stop()
		}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			clearAndSecure(t, func(t *testing.T, secure bool) {
				r := relay(t, secure, c.change)
				c.end(r)
				o := r.ended(t)
				if !errors.Is(o.err, c.want) || c.want != nil && o.end != c.failed {
					t.Errorf("it ends with %v of %d, want %v", o.err, o.end, c.want)
				}
			})
		})
	}
}

// Bytes in one direction are a sign of life of both.
func TestARelayIsNotSilentWhileBytesPass(t *testing.T) {
	r := relay(t, false, func(ends *[2]End) { ends[1].Silence = 400 * time.Millisecond })
	began, p := time.Now(), make([]byte, 1)
	for before := began; time.Since(began) < time.Second; {
		asked := time.Now()
		r.peers[0].Write(p)
		if _, err := r.peers[1].Read(p); err != nil {
			if time.Since(before) < 400*time.Millisecond { // else the machine was held up
				t.Fatalf("it has ended after %s: %v", time.Since(began), err)
			}
			return
		}
		before = asked
		time.Sleep(5 * time.Millisecond)
	}
	if o := r.ended(t); o.err != ErrSilence {
		t.Errorf("it ends with %v", o.err)
	}
}

// One that has sent all and is gone has its bytes passed on, however slow the other is.
func TestARelayPassesOnWhatWasSentBeforeALoss(t *testing.T) {
	r := relay(t, false, nil)
	n := stuff(r.peers[0])
	r.peers[0].Close()
	if all, err := io.ReadAll(r.peers[1]); len(all) != n || err != nil {
		t.Errorf("%d bytes came of %d: %v", len(all), n, err)
	}
	if o := r.ended(t); o.err != nil {
		t.Errorf("it ends with %v", o.err)
	}
}
