package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// predecessor is the running server that this process takes over from. It may be nil.
type predecessor struct {
	nc      net.Conn
	control sync.Once
}

// takePredecessor takes the predecessor out of the environment.
func takePredecessor() *predecessor {
	fd, err := strconv.Atoi(os.Getenv(upgradeEnv))
	os.Unsetenv(upgradeEnv)
	if err != nil {
		return nil
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "predecessor")
	if f == nil {
		return nil
	}
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	return &predecessor{nc: nc}
}

// takeOver tells the predecessor that this process serves, and returns when the
// predecessor has named it to the service manager, or is gone.
func (p *predecessor) takeOver() {
	if p == nil {
		return
	}
	p.nc.SetDeadline(time.Now().Add(10 * time.Second))
	p.tell(word{})
	_, _ = p.nc.Read(make([]byte, 1)) // this process serves in any case
	p.nc.Close()
}

// failed tells the predecessor why this process does not come up. After takeOver it does nothing.
func (p *predecessor) failed(err error, reason string) {
	var exit *exitError
	switch {
	case p == nil || err == nil:
		return
	case reason == "" && errors.As(err, &exit) && exit.err == nil:
		reason = err.Error() + "; the new program's messages say why"
	case reason == "":
		reason = words(err)
	}
	p.tell(word{reason})
	p.nc.Close()
}

// tell writes one line. Errors do not matter: a predecessor that is gone needs no answer.
func (p *predecessor) tell(w word) {
	p.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if line, err := json.Marshal(w); err == nil {
		_, _ = p.nc.Write(append(line, '\n'))
	}
}

// replaceControl removes the predecessor's control socket, for this process's own.
// The predecessor no longer removes that name.
func (p *predecessor) replaceControl(path string) {
	if p != nil {
		p.control.Do(func() { _ = osfile.Remove(path) })
	}
}
