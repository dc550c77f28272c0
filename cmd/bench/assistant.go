package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// assistant is another process of this program, which does a part of a mode. It ends when its
// standard input ends, and writes what it has found to its standard output.
type assistant struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout io.Reader
	stderr strings.Builder
}

// startAssistant has start start the process with these arguments.
func startAssistant(start func(*exec.Cmd) error, args ...string) (*assistant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &assistant{cmd: exec.Command(self, args...)}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.cmd.Stderr = &a.stderr
	if a.stdin, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if a.stdout, err = a.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return a, start(a.cmd)
}

// end tells the process to end, calls read, which reads its output to the end, and waits for it.
// The error says what the process has written about its own.
func (a *assistant) end(read func()) error {
	a.stdin.Close()
	late := time.AfterFunc(stopDeadline, func() { a.cmd.Process.Kill() })
	defer late.Stop()
	read() // before Wait, which closes the pipe
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(a.stderr.String()))
	}
	return nil
}
