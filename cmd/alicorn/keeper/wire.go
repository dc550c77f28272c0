package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 32 << 10 // of a datagram; the default send buffer takes it
	maxBody    = 64 << 20 // of what a file carries beside it
	perMessage = 253      // SCM_MAX_FD
	maxFiles   = 1265     // of one message, sent as several: a worker has a socket for each thread
)

// wire carries messages with descriptors, in both directions. Sends may come
// from any goroutine, receives from one.
type wire struct {
	f    *os.File
	rc   syscallConn
	send sync.Mutex
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
	return &wire{f: f, rc: rc}, nil
}

// Close ends the wire; the other side reads its end.
func (w *wire) Close() error { return w.f.Close() }

// write sends m with files, which stay the caller's.
func (w *wire) write(m *message, files ...*os.File) error {
	if m.body != nil {
		f, err := bodyFile(m.body)
		if err != nil {
			return err
		}
		defer f.Close()
		m.HasBody = true
		files = append(files[:len(files):len(files)], f)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("cannot send message %q: %d bytes and %d descriptors are too many", m.Kind, len(data), len(files))
	}
	w.send.Lock()
	defer w.send.Unlock()
	for len(files) > perMessage {
		if err := w.datagram([]byte(`{"kind":"`+filesOfNext+`"}`), files[:perMessage]); err != nil {
			return err
		}
		files = files[perMessage:]
	}
	return w.datagram(data, files)
}

// datagram sends data with files. w.send is held.
func (w *wire) datagram(data []byte, files []*os.File) error {
	oob, err := rights(files)
	if err != nil {
		return err
	}
	werr := w.rc.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), data, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return !errors.Is(err, unix.EAGAIN)
	})
	if werr != nil {
		return werr
	}
	return err
}

// rights names files' descriptors without changing their mode, as File.Fd may.
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

func bodyFile(body []byte) (*os.File, error) {
	f, err := scratch()
	if err != nil {
		return nil, fmt.Errorf("cannot make a file for a message: %w", err)
	}
	if _, err := f.Write(body); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write a message's body: %w", err)
	}
	return f, nil
}

// read receives one message. The files belong to the caller. io.EOF: the
// other side has ended. A message that was cut, in bytes or descriptors, is an
// error, since nothing after it could be trusted.
func (w *wire) read() (*message, []*os.File, error) {
	var earlier []*os.File
	for {
		m, files, err := w.receive()
		files = append(earlier, files...)
		if err == nil && len(files) > maxFiles {
			err = errors.New("cannot read from the wire: too many descriptors")
		}
		switch {
		case err != nil:
			closeAll(files)
			return nil, nil, err
		case m.Kind == filesOfNext:
			earlier = files
			continue
		case m.HasBody:
			if files, err = m.takeBody(files); err != nil {
				closeAll(files)
				return nil, nil, fmt.Errorf("cannot read from the wire: %w", err)
			}
		}
		return m, files, nil
	}
}

// receive receives one datagram.
func (w *wire) receive() (*message, []*os.File, error) {
	buf := make([]byte, maxMessage+1)
	oob := make([]byte, unix.CmsgSpace(4*perMessage))
	var n, oobn, flags int
	var err error
	rerr := w.rc.Read(func(fd uintptr) bool {
		n, oobn, flags, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT|receiveFlags)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	switch {
	case rerr != nil:
		return nil, nil, rerr
	case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
		return nil, nil, io.EOF
	case err != nil:
		return nil, nil, err
	}
	files, err := received(oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("a message was cut")
	}
	m := new(message)
	if err == nil {
		err = json.Unmarshal(buf[:n], m)
	}
	if err != nil {
		closeAll(files)
		return nil, nil, fmt.Errorf("cannot read from the wire: %w", err)
	}
	return m, files, nil
}

// takeBody reads the last file into m.
func (m *message) takeBody(files []*os.File) ([]*os.File, error) {
	if len(files) == 0 {
		return files, errors.New("the body is missing")
	}
	last := files[len(files)-1]
	files = files[:len(files)-1]
	defer last.Close()
	st, err := last.Stat()
	if err != nil {
		return files, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxBody {
		return files, errors.New("the body is no file, or too long")
	}
	m.body = make([]byte, st.Size())
	_, err = io.ReadFull(io.NewSectionReader(last, 0, st.Size()), m.body)
	return files, err
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
			continue // credentials, of no interest
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
