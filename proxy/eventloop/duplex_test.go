//go:build linux

package eventloop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handler returns a Handler that says why it was called.
func (c *Conn) handler(room bool) (Handler, chan string) {
	called := make(chan string, 4)
	return handlerFunc(func(*Turn) {
		switch {
		case room && c.RoomExpired(), !room && c.Expired():
			called <- "the deadline"
		case room && c.Lost():
			called <- "the loss"
		default:
			called <- "readiness"
		}
	}), called
}

// apart returns a Conn whose buffers are full, with Handlers for both sides, which the
// test owns.
func apart(t *testing.T) (c *Conn, peer *net.UnixConn, read, room chan string) {
	t.Helper()
	c, peer = pair(t, newGroup(t, 1).Next())
	var reader, writer Handler
	reader, read = c.handler(false)
	writer, room = c.handler(true)
	if err := c.Start(reader, 0); err != nil {
		t.Fatal(err)
	}
	if !c.Take() {
		t.Fatal("got an owner, want none")
	}
	t.Cleanup(func() { c.Close() })
	c.AdoptWriter(writer)
	fill(t, c)
	return c, peer, read, room
}

func TestReadingAndWritingWaitApart(t *testing.T) {
	for _, c := range []struct {
		name       string
		end        func(c *Conn, peer *net.UnixConn)
		room       time.Duration // AwaitRoom's timeout
		reads      time.Duration // Idle's
		read, roam string        // how the Handlers are called; "": not at all
	}{
		{"bytes", func(_ *Conn, peer *net.UnixConn) { peer.Write([]byte("x")) }, 0, 0, "readiness", ""},
		{"room", func(_ *Conn, peer *net.UnixConn) { go io.Copy(io.Discard, peer) }, 0, 0, "", "readiness"},
		{"the end of what the peer sends", func(_ *Conn, peer *net.UnixConn) { peer.CloseWrite() }, 0, 0, "readiness", ""},
		{"the loss of the peer", func(_ *Conn, peer *net.UnixConn) { peer.Close() }, 0, 0, "readiness", "the loss"},
		{"a cut", func(c *Conn, _ *net.UnixConn) { c.Cut() }, 0, 0, "readiness", "the loss"},
		{"the deadline of reading", func(*Conn, *net.UnixConn) {}, time.Hour, time.Millisecond, "the deadline", ""},
		{"the deadline of writing", func(*Conn, *net.UnixConn) {}, time.Millisecond, time.Hour, "", "the deadline"},
		{"both deadlines", func(*Conn, *net.UnixConn) {}, time.Millisecond, 2 * time.Millisecond, "the deadline", "the deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, peer, read, room := apart(t)
			if !conn.AwaitRoom(c.room) || !conn.Idle(c.reads) {
				t.Fatal("got something to read, or room, want neither")
			}
			c.end(conn, peer)
			for _, side := range []struct {
				name, want string
				called     chan string
				idle       uint32
			}{{"reading", c.read, read, idle}, {"writing", c.roam, room, idle << writing}} {
				if side.want != "" {
					if got := within(t, side.called, side.name+"'s end"); got != side.want {
						t.Errorf("%s ends by %s, want %s", side.name, got, side.want)
					}
				} else if conn.state.Load()&side.idle == 0 || len(side.called) > 0 {
					t.Errorf("%s: got its end, want that it waits", side.name)
				}
			}
		})
	}
}

func TestWhatIsReadyIsNotWaitedFor(t *testing.T) {
	c, peer, _, _ := apart(t)
	go io.Copy(io.Discard, peer)
	eventually(t, func() bool { // the first time has the poller look
		if !c.AwaitRoom(0) {
			return true
		}
		return c.state.And(^(idle<<writing))&(idle<<writing) == 0
	}, "room")
	if c.AwaitRoom(0) {
		t.Error("AwaitRoom with room: got true, want false")
	}
	peer.Write([]byte("x"))
	eventually(t, c.Readable, "a byte")
	if c.Idle(0) {
		t.Error("Idle with a byte to read: got true, want false")
	}
}

// One event may be for both Handlers: the one that waits does not hold up the other.
func TestOneEventRunsBothHandlers(t *testing.T) {
	c, peer := pair(t, newGroup(t, 1).Next())
	wrote := make(chan bool)
	start(t, c, func(turn *Turn) {
		c.Detach()
		<-wrote
		c.TryRead(make([]byte, 8))
		if !c.Idle(0) {
			c.Close()
		}
	}, 0)
	if !c.Take() {
		t.Fatal("got an owner, want none")
	}
	c.AdoptWriter(handlerFunc(func(*Turn) { close(wrote) }))
	fill(t, c)
	if !c.AwaitRoom(0) || !c.Idle(0) {
		t.Fatal("got something to read, or room, want neither")
	}
	peer.Close()
	within(t, wrote, "the call of the writer")
}

func TestOneThatIsCalledAgainComesBehindOthers(t *testing.T) {
	l := newGroup(t, 1).Next()
	busy, one := pair(t, l)
	other, two := pair(t, l)
	calls := make(chan string, 1000)
	start(t, other, serve(other, func([]byte) { calls <- "other" }), 0)
	n, ended := 0, make(chan bool)
	start(t, busy, func(*Turn) {
		if n++; n == 1 {
			two.Write([]byte("x"))
		}
		calls <- "busy"
		if n < 100 {
			busy.Enter(nil)
			busy.Again()
			return
		}
		busy.Close()
		close(ended)
	}, 0)
	one.Write([]byte("x")) // nobody reads it
	within(t, ended, "the last call")
	place := -1
	for i := range 101 {
		if who := within(t, calls, "a call"); who == "other" {
			place = i
		}
	}
	if place < 1 || place > 10 {
		t.Errorf("the other was called after %d calls, want at least 1 and at most 10", place)
	}
}

func TestStraightCodeReadsAndWritesAtOnce(t *testing.T) {
	c, peer := pair(t, newGroup(t, 1).Next())
	if err := c.StartOwned(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fill(t, c)
	c.SetWriteTimeout(time.Hour)
	sent, big := make(chan error, 1), make([]byte, 1<<20)
	go func() {
		_, err := c.Write(big)
		sent <- err
	}()
	eventually(t, func() bool { return c.state.Load()&(waits<<writing) != 0 }, "the wait for room")
	c.SetReadTimeout(time.Millisecond)
	if err := read1(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading ends with %v, want %v", err, os.ErrDeadlineExceeded)
	}
	c.SetReadTimeout(0)
	go peer.Write([]byte("x"))
	if err := read1(c); err != nil || len(sent) > 0 {
		t.Errorf("got %v, and the end of writing %v, want nil and false", err, len(sent) > 0)
	}
	go io.Copy(io.Discard, peer)
	if err := within(t, sent, "the write"); err != nil {
		t.Error(err)
	}
}

// duplexes returns a Duplex that nobody works on, and its peer.
func duplexes(t *testing.T, l *Loop, secure bool) (Duplex, net.Conn) {
	t.Helper()
	c, peer := pair(t, l)
	if err := c.Start(handlerFunc(func(*Turn) {}), 0); err != nil {
		t.Fatal(err)
	}
	if !c.Take() {
		t.Fatal("got an owner, want none")
	}
	t.Cleanup(func() { c.Close() })
	if !secure {
		return DuplexOf(c), peer
	}
	server := tls.Server(NewCarrier(c), &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	client := tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return DuplexOf(server), client
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestADuplexSendsAsMuchAsThereIsRoomFor(t *testing.T) {
	for _, secure := range []bool{false, true} {
		d, peer := duplexes(t, newGroup(t, 1).Next(), secure)
		room := make(chan bool, 1)
		d.AdoptWriter(handlerFunc(func(*Turn) { room <- true }))
		if n, err := d.Receive(make([]byte, 9)); n != 0 || err != unix.EAGAIN {
			t.Errorf("received %d, %v; want 0 and %v", n, err, unix.EAGAIN)
		}
		sent := make([]byte, 4<<20)
		rand.Read(sent)
		got := make(chan []byte)
		reads := make(chan bool)
		go func() {
			<-reads
			all, _ := io.ReadAll(peer)
			got <- all
		}()
		waited := 0
		for rest, ended := sent, false; ; {
			part := rest[:min(len(rest), 16<<10)]
			n, err := d.Send(part)
			rest = rest[n:]
			if err == unix.EAGAIN {
				if waited++; waited == 1 {
					close(reads)
				}
				if d.AwaitRoom(time.Hour) {
					within(t, room, "room")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if ended {
				break
			}
			if len(rest) == 0 {
				ended = true
				if err := d.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if all := within(t, got, "the end"); !bytes.Equal(all, sent) || waited == 0 {
			t.Errorf("TLS %v: got %d bytes after %d waits, want the %d that were sent, after some", secure, len(all), waited, len(sent))
		}
		if _, err := peer.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 9)
		eventually(t, func() bool {
			n, err := d.Receive(p)
			return err == nil && string(p[:n]) == "back"
		}, "what came back")
		peer.Close()
		eventually(t, func() bool {
			_, err := d.Receive(p)
			return err == io.EOF
		}, "the end of what the peer sends")
		d.Close()
	}
}

func TestWhatNoLoopCallsIsNoDuplex(t *testing.T) {
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()
	if DuplexOf(one) != nil || DuplexOf(tls.Server(two, &tls.Config{})) != nil {
		t.Error("a pipe: got a Duplex, want nil")
	}
}
