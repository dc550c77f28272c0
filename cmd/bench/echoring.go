package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// echoRing sends and receives on many WebSockets from one goroutine with poll(2), as wrk does
// with requests. A goroutine for each, with Go's poller and deadlines, took more CPU time for a
// message than the server, which shares the machine.
type echoRing struct {
	ends    []echoEnd
	polled  []unix.PollFd
	message []byte
}

// echoEnd is one WebSocket of an echoRing.
type echoEnd struct {
	file   *os.File
	fd     int    // of file; File.Fd would make it block again
	frame  []byte // the message, masked
	in     []byte // what has come
	began  time.Time
	waits  bool // for its echo
	failed error
}

// newEchoRing takes the sockets' descriptors over, until giveBack.
func newEchoRing(sockets []*webSocket) (*echoRing, error) {
	r := &echoRing{ends: make([]echoEnd, len(sockets)), polled: make([]unix.PollFd, len(sockets)), message: bytes.Repeat([]byte("x"), echoSize)}
	for i, w := range sockets {
		file, err := w.conn.(*net.TCPConn).File() // another descriptor, which Go's poller does not watch
		if err != nil {
			return nil, errors.Join(err, r.giveBack(sockets[:i]))
		}
		w.conn.Close()
		fd := int(file.Fd())
		r.ends[i] = echoEnd{file: file, fd: fd, frame: maskedText(r.message, uint32(i)), in: make([]byte, 0, 4*echoSize)}
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, errors.Join(err, r.giveBack(sockets[:i+1]))
		}
		r.polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	return r, nil
}

// maskedText returns a client's frame with the text.
func maskedText(text []byte, key uint32) []byte {
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], key)
	f := append([]byte{finalFrame | opText, 0x80 | byte(len(text))}, mask[:]...)
	for i, b := range text {
		f = append(f, b^mask[i&3])
	}
	return f
}

// giveBack lets the sockets be used as before.
func (r *echoRing) giveBack(sockets []*webSocket) (err error) {
	for i, w := range sockets {
		conn, failed := net.FileConn(r.ends[i].file)
		err = errors.Join(err, failed, r.ends[i].file.Close())
		if failed == nil {
			w.conn = conn
			w.reader.Reset(conn)
		}
	}
	return err
}

// run sends a message on each WebSocket, the next when the one before has come back, until end;
// then it waits for the last ones. It returns the latencies.
func (r *echoRing) run(ctx context.Context, end time.Time) (latencies []time.Duration, err error) {
	waiting := 0
	for i := range r.ends {
		if r.send(&r.ends[i], time.Now()) {
			waiting++
		}
	}
	for waiting > 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := unix.Poll(r.polled, 1000); err != nil && err != unix.EINTR {
			return nil, os.NewSyscallError("poll", err)
		}
		now := time.Now()
		for i := range r.ends {
			e := &r.ends[i]
			if !e.waits || r.polled[i].Revents == 0 && now.Sub(e.began) < requestDeadline {
				continue
			}
			came, err := r.receive(e, r.polled[i].Revents != 0)
			if err != nil {
				e.fail("echo", err)
			}
			if came {
				latencies = append(latencies, now.Sub(e.began))
				if e.waits = false; now.Before(end) {
					r.send(e, now)
				}
			}
			if !e.waits {
				waiting--
			}
			if e.failed != nil {
				r.polled[i].Fd = -1 // poll passes over it
			}
		}
	}
	return latencies, nil
}

func (e *echoEnd) fail(stage string, err error) {
	e.waits = false
	e.failed = &requestError{stage: stage, err: err}
}

// send sends the message and reports whether an echo is to come.
func (r *echoRing) send(e *echoEnd, now time.Time) bool {
	e.began, e.waits = now, true
	n, err := unix.Write(e.fd, e.frame)
	if err == nil && n < len(e.frame) {
		err = io.ErrShortWrite
	}
	if err != nil {
		e.fail("message", err)
	}
	return e.waits
}

// receive reads and reports whether the echo has come. It answers pings.
func (r *echoRing) receive(e *echoEnd, ready bool) (came bool, err error) {
	if !ready {
		return false, os.ErrDeadlineExceeded
	}
	n, err := unix.Read(e.fd, e.in[len(e.in):cap(e.in)])
	switch {
	case err == unix.EAGAIN:
		return false, nil
	case err != nil:
		return false, err
	case n <= 0:
		return false, io.ErrUnexpectedEOF
	}
	for e.in = e.in[:len(e.in)+n]; len(e.in) >= 2 && !came; {
		size := 2 + int(e.in[1])
		if e.in[1] > 125 || e.in[0]&finalFrame == 0 {
			return false, fmt.Errorf("frame begins with %#x, want %#x", e.in[:2], []byte{finalFrame | opText, echoSize})
		}
		if len(e.in) < size {
			return false, nil
		}
		came, err = r.take(e, e.in[0]&0x0f, e.in[2:size])
		e.in = e.in[:copy(e.in, e.in[size:])]
		if err != nil {
			return false, err
		}
	}
	return came, nil
}

// take handles a frame and reports whether it is the echo.
func (r *echoRing) take(e *echoEnd, opcode byte, payload []byte) (came bool, err error) {
	switch {
	case opcode == opText && bytes.Equal(payload, r.message):
		return true, nil
	case opcode == opPing:
		pong := maskedText(payload, 0)
		pong[0] = finalFrame | opPong
		_, err = unix.Write(e.fd, pong)
		return false, err
	case opcode == opPong:
		return false, nil
	}
	return false, fmt.Errorf("got opcode %d and %.60q, want the echo", opcode, payload)
}
