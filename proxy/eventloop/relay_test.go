//go:build linux

package eventloop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// relay starts a Relay whose connections are in a loop each; change may change its Ends.
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
			t.Errorf("got %d bytes, want these %d", len(all), len(want))
		}
		if all := within(t, got[1], "all bytes"); !bytes.Equal(all, sent[0]) {
			t.Errorf("got %d bytes, want these %d", len(all), len(sent[0]))
		}
		if o := r.ended(t); o.err != nil {
			t.Errorf("got the end %v, want none of a failure", o.err)
		}
		if len(r.done) > 0 {
			t.Error("got a second end of the Relay, want one")
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
				t.Errorf(`got %q, %v; want "question"`, all, err)
			}
			other.Write([]byte("answer"))
			closeWrite(other)
			if all, err := io.ReadAll(one); string(all) != "answer" || err != nil {
				t.Errorf(`got %q, %v; want "answer"`, all, err)
			}
			if o := r.ended(t); o.err != nil {
				t.Errorf("got the end %v, want none of a failure", o.err)
			}
		}
	})
}

// stuff writes to nc until there is no room.
func stuff(nc net.Conn) (n int) {
	for block := make([]byte, 64<<10); ; {
		nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		m, err := nc.Write(block)
		if n += m; err != nil {
			return n
		}
	}
}

// lose closes nc at once, without TLS's close_notify.
func lose(nc net.Conn) {
	if s, ok := nc.(*tls.Conn); ok {
		nc = s.NetConn()
	}
	nc.Close()
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
		{"one that is lost while neither takes anything", nil, func(r *relayed) {
			stuff(r.peers[0])
			stuff(r.peers[1])
			lose(r.peers[0])
		}, 0, nil},
		{"one that is lost while the other sends and takes nothing", nil, func(r *relayed) {
			stuff(r.peers[0])
			lose(r.peers[0])
			stuff(r.peers[1])
		}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			clearAndSecure(t, func(t *testing.T, secure bool) {
				r := relay(t, secure, c.change)
				c.end(r)
				o := r.ended(t)
				if !errors.Is(o.err, c.want) || c.want != nil && o.end != c.failed {
					t.Errorf("got the end %v of connection %d, want %v of %d", o.err, o.end, c.want, c.failed)
				}
			})
		})
	}
}

// quiet is a Duplex whose peer sends nothing: a deadline of its reading has passed.
type quiet struct {
	Duplex
	cut   bool
	idled time.Duration // the timeout of the last Idle
}

// Receive implements Duplex.
func (q *quiet) Receive([]byte) (int, error) { return 0, unix.EAGAIN }

// Idle implements Duplex.
func (q *quiet) Idle(timeout time.Duration) bool {
	q.idled = timeout
	return true
}

// Expired implements Duplex.
func (q *quiet) Expired() bool { return true }

// Lost implements Duplex.
func (q *quiet) Lost() bool { return false }

// Cut implements Duplex.
func (q *quiet) Cut() { q.cut = true }

func TestSilenceCountsFromTheLastBytesOfBothWays(t *testing.T) {
	const age, silence = 10 * time.Hour, 4 * time.Hour
	for _, c := range []struct {
		name   string
		passed time.Duration // when bytes have last passed
		left   time.Duration // how long the Relay waits on; 0: it ends
	}{
		{"bytes have just passed", age, 4 * time.Hour},
		{"bytes have passed within the time", 7 * time.Hour, time.Hour},
		{"bytes have passed too long ago", 5 * time.Hour, 0},
		{"no bytes have passed", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := &quiet{}
			var ended error
			r := &Relay{began: time.Now().Add(-age), done: func(_ *Turn, _ int, err error) { ended = err }}
			r.ends = [2]End{{Duplex: from, Silence: silence}, {Duplex: &quiet{}}}
			r.ways[0] = way{relay: r, from: &r.ends[0], to: &r.ends[1]}
			r.ways[0].waits.Store(bytesToCome)
			r.passed.Store(int64(c.passed))
			r.open.Store(1)
			r.ways[0].Ready(nil) // its deadline has passed
			if c.left == 0 {
				if ended != ErrSilence || !from.cut {
					t.Errorf("got the end %v, connection cut %v, want the end %v", ended, from.cut, ErrSilence)
				}
				return
			}
			if ended != nil || from.cut || from.idled <= c.left-time.Hour || from.idled > c.left {
				t.Errorf("got the end %v and a wait of %v, want a wait of %v", ended, from.idled, c.left)
			}
		})
	}
}

// talkative is a quiet Duplex whose peer begins to send when it is about to wait, and on which
// other ways have their turn when one has had its share.
type talkative struct {
	quiet
	sends  bool
	agains int
}

// Receive implements Duplex.
func (b *talkative) Receive(p []byte) (int, error) {
	if !b.sends {
		return 0, unix.EAGAIN
	}
	return len(p), nil
}

// Send implements Duplex.
func (b *talkative) Send(p []byte) (int, error) { return len(p), nil }

// Idle implements Duplex.
func (b *talkative) Idle(time.Duration) bool {
	b.sends = true
	return false
}

// Again implements Duplex.
func (b *talkative) Again() { b.agains++ }

// A turn that a way has given away ends by a deadline, which is none of its waits.
func TestAWayThatGivesItsTurnAwayIsNotLate(t *testing.T) {
	from := &talkative{}
	r := &Relay{began: time.Now(), done: func(_ *Turn, _ int, err error) { t.Errorf("got the end %v", err) }}
	r.ends = [2]End{{Duplex: from}, {Duplex: &talkative{}}}
	r.ways[0] = way{relay: r, from: &r.ends[0], to: &r.ends[1]}
	r.open.Store(2)
	for turn := range 3 {
		if r.ways[0].Ready(nil); from.agains != turn+1 || from.cut {
			t.Fatalf("got %d turns given away, connection cut %v, want %d", from.agains, from.cut, turn+1)
		}
	}
}

// failing is a quiet Duplex whose peer has ended its sending side, and whose own side ends
// with err.
type failing struct {
	quiet
	err error
}

// Receive implements Duplex.
func (f *failing) Receive([]byte) (int, error) { return 0, io.EOF }

// CloseWrite implements Duplex.
func (f *failing) CloseWrite() error { return f.err }

func TestALostConnectionIsNoFailureOfARelay(t *testing.T) {
	failed := errors.New("failed")
	for _, c := range []struct{ err, want error }{
		{os.NewSyscallError("shutdown", unix.ENOTCONN), nil},
		{unix.EPIPE, nil},
		{unix.ECONNRESET, nil},
		{failed, failed},
	} {
		to := &failing{err: c.err}
		ended, got := 0, error(nil)
		r := &Relay{done: func(_ *Turn, _ int, err error) { ended, got = ended+1, err }}
		r.ends = [2]End{{Duplex: &failing{}}, {Duplex: to}}
		r.ways[0] = way{relay: r, from: &r.ends[0], to: &r.ends[1]}
		r.open.Store(1)
		if r.ways[0].Ready(nil); ended != 1 || got != c.want || !to.cut {
			t.Errorf("%v: got %d ends, the last %v, connection cut %v; want %v", c.err, ended, got, to.cut, c.want)
		}
	}
}

// The time of the last bytes is of the Relay, whichever way they have gone.
func TestBytesOfEitherWayEndASilence(t *testing.T) {
	r := relay(t, false, func(ends *[2]End) { ends[1].Silence = time.Hour })
	for from := range r.peers {
		before := r.relay.passed.Load()
		r.peers[from].Write([]byte("x"))
		if _, err := r.peers[1-from].Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return r.relay.passed.Load() > before }, "noting when bytes have passed")
	}
}

// The bytes of a peer that has closed are passed on, however slow the other peer is.
func TestARelayPassesOnWhatWasSentBeforeALoss(t *testing.T) {
	r := relay(t, false, nil)
	n := stuff(r.peers[0])
	r.peers[0].Close()
	if all, err := io.ReadAll(r.peers[1]); len(all) != n || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(all), err, n)
	}
	if o := r.ended(t); o.err != nil {
		t.Errorf("got the end %v, want none of a failure", o.err)
	}
}
