package acmetest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
)

// guarded runs a program, and kills it when its standard input, a pipe from the test,
// closes: the program must not outlive a test that is killed.
const guarded = `exec 3<&0 </dev/null; { read x <&3; kill -KILL $$; } & exec "$@" 3<&-`

// program is a server that runs as a process of its own.
type program struct {
	name  string
	guard io.Closer
	ended chan struct{}
}

// startProgram starts path with its output appended to log.
func startProgram(name string, log *os.File, env []string, path string, args ...string) (*program, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", guarded, "sh", path}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	guard, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p := &program{name: name, guard: guard, ended: make(chan struct{})}
	go func() { cmd.Wait(); close(p.ended) }()
	return p, nil
}

// stop kills the program and waits for its end.
func (p *program) stop() {
	p.guard.Close()
	<-p.ended
}

// alive reports whether the program has not ended yet.
func (p *program) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// freePorts returns addresses of the loopback interface on which nothing listens,
// neither over TCP nor over UDP. Another process may take one before the caller does.
func freePorts(n int) ([]string, error) {
	var out []string
	for len(out) < n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port: %w", err)
		}
		defer l.Close()
		if p, err := net.ListenPacket("udp4", l.Addr().String()); err == nil {
			defer p.Close()
			out = append(out, l.Addr().String())
		}
	}
	return out, nil
}
