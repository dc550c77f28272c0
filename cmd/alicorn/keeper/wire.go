package keeper

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A message crosses the wire as one or more datagrams. Each has a byte of
// flags and a part of the message's JSON, and carries up to perMessage
// descriptors. A message that is incomplete when the next one begins is dropped.
const (
	firstPart byte = 1 << iota
	lastPart
)

const (
	maxDatagram  = 32 << 10         // fits the default send buffer
	maxMessage   = 64 << 20         // of JSON
	perMessage   = 253              // SCM_MAX_FD
	maxFiles     = 1265             // in one message: a worker has a socket for each thread
	sendPatience = 10 * time.Second // how long the other side may read nothing
)

// wire carries messages with descriptors, in both directions. Sends may come
// from any goroutine, receives from one.
type wire struct {
	f    *os.File
	rc   syscallConn
	send sync.Mutex
	idle time.Duration // how long the other side may read nothing: sendPatience

	parts []byte     // of the message being received
	files []*os.File // descriptors that came with them
	begun bool
}

type syscallConn interface {
	Read(f func(fd uintptr) bool) error
	Write(f func(fd uintptr) bool) error
}

// newWire takes over the socket fd.
func newWire(fd int) (*wire, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "wire")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &wire{f: f, rc: rc, idle: sendPatience}, nil
}

// Close ends the wire; the other side reads io.EOF.
func (w *wire) Close() error { return w.f.Close() }

// write sends m with files, which still belong to the caller. It also fails when
// the other side has read nothing for sendPatience.
func (w *wire) write(m *message, files ...*os.File) error {
	m.Files = len(files)
	if base64.StdEncoding.EncodedLen(len(m.Body)) > maxMessage-maxDatagram || len(files) > maxFiles {
		return fmt.Errorf("cannot send message %q: %d bytes and %d descriptors are too many", m.Kind, len(m.Body), len(files))
	}
	data, err := json.Marshal(m)
	if err == nil && len(data) > maxMessage {
		err = fmt.Errorf("cannot send message %q: %d bytes are too many", m.Kind, len(data))
	}
	if err != nil {
		return err
	}
	w.send.Lock()
	defer w.send.Unlock()
	for flags := firstPart; ; flags = 0 {
		some, now := data[:min(len(data), maxDatagram-1)], files[:min(len(files), perMessage)]
		data, files = data[len(some):], files[len(now):]
		last := len(data) == 0 && len(files) == 0
		if last {
			flags |= lastPart
		}
		if err := w.datagram(append([]byte{flags}, some...), now); err != nil || last {
			return err
		}
	}
}

// datagram sends one datagram. w.send is held.
func (w *wire) datagram(data []byte, files []*os.File) error {
	oob, err := rights(files)
	if err != nil {
		return err
	}
	if err := w.f.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return err
	}
	werr := w.rc.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), data, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	if werr != nil {
		return werr
	}
	return err
}

// rights encodes the files' descriptors. Unlike File.Fd it leaves their mode alone.
func rights(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		rc, err := f.SyscallConn()
		if err == nil {
			err = rc.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, fmt.Errorf("cannot send a descriptor: %w", err)
		}
	}
	return unix.UnixRights(fds...), nil
}

// read receives one message, and returns io.EOF when the other side has ended.
// The files belong to the caller. When this process has no room for the
// descriptors, they are lost: then files is empty, and m.lost is the error.
func (w *wire) read() (m *message, files []*os.File, err error) {
	for {
		whole, err := w.receive()
		if err != nil {
			closeAll(w.files)
			w.files = nil
			return nil, nil, err
		}
		if whole {
			break
		}
	}
	files = w.files
	m = new(message)
	err = json.Unmarshal(w.parts, m)
	w.parts, w.files, w.begun = nil, nil, false
	switch {
	case err != nil:
		err = fmt.Errorf("cannot read from the wire: %w", err)
	case len(files) > m.Files:
		err = fmt.Errorf("cannot read from the wire: %d descriptors came with %q, which names %d", len(files), m.Kind, m.Files)
	case len(files) < m.Files:
		m.lost = fmt.Errorf("cannot receive %d of %d descriptors: %w", m.Files-len(files), m.Files, unix.EMFILE)
	default:
		return m, files, nil
	}
	closeAll(files)
	return m, nil, err
}

// receive receives one datagram. whole: it ends a message.
func (w *wire) receive() (whole bool, err error) {
	buf := make([]byte, maxDatagram+1)
	oob := make([]byte, unix.CmsgSpace(4*perMessage))
	var n, oobn, flags int
	rerr := w.rc.Read(func(fd uintptr) bool {
		n, oobn, flags, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT|receiveFlags)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	switch {
	case rerr != nil:
		return false, rerr
	case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
		return false, io.EOF
	case err != nil:
		return false, err
	}
	files, err := received(oob[:oobn])
	if err == nil && flags&unix.MSG_TRUNC != 0 {
		err = errors.New("a datagram is too long")
	}
	if err != nil {
		closeAll(files)
		return false, fmt.Errorf("cannot read from the wire: %w", err)
	}
	return w.take(buf[0], buf[1:n], files)
}

// take adds a part to the message being received.
func (w *wire) take(flags byte, part []byte, files []*os.File) (whole bool, err error) {
	if flags&firstPart != 0 {
		closeAll(w.files)
		w.parts, w.files, w.begun = nil, nil, true
	}
	w.files = append(w.files, files...)
	w.parts = append(w.parts, part...)
	if !w.begun || len(w.parts) > maxMessage || len(w.files) > maxFiles {
		return false, fmt.Errorf("cannot read from the wire: %d bytes and %d descriptors are no message", len(w.parts), len(w.files))
	}
	return flags&lastPart != 0, nil
}

func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, cm := range messages {
		fds, err := unix.ParseUnixRights(&cm)
		if err != nil {
			continue // credentials are not used
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
