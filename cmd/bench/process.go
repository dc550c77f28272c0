package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopDeadline is how long a server may take to end after TERM.
const stopDeadline = time.Minute

// process is a program that runs until stop. Its output goes to a file.
type process struct {
	name string
	os   *os.Process
	log  string
	done chan struct{} // closed when the program has ended
	err  error         // how the program has ended; valid after done
}

// startProcess runs path in dir with an environment of its own, so that variables of
// the caller (VIRTUAL_ENV, PYTHONPATH, ...) reach no server. The process has its own
// process group: Ctrl-C reaches bench alone, which stops the process.
func startProcess(dir, path string, args, env []string) (*process, error) {
	name := filepath.Base(path)
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + dir,
		"LANG=C.UTF-8",
		"PYTHONDONTWRITEBYTECODE=1",
	}, env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	p := &process{name: name, os: cmd.Process, log: log.Name(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// follow returns the process that has taken over from p, and that writes to the same
// log. It is no child of bench.
func (p *process) follow(pid int) (*process, error) {
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	next := &process{name: p.name, os: handle, log: p.log, done: make(chan struct{})}
	go func() {
		for !proc.ended(pid) {
			time.Sleep(20 * time.Millisecond)
		}
		close(next.done)
	}()
	return next, nil
}

// pid returns the process's id. No other process can have it until stop has returned.
func (p *process) pid() int { return p.os.Pid }

// signal sends a signal. If the process has ended, it does nothing.
func (p *process) signal(sig os.Signal) error {
	if err := p.os.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot send %v to %s: %w", sig, p.name, err)
	}
	return nil
}

// exited reports whether the program has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the program with TERM and waits for it. If the program does not end, stop
// kills it with all its descendants, and returns an error.
func (p *process) stop() error {
	if p.exited() {
		return fmt.Errorf("%s had ended: %v\n%s", p.name, p.err, p.logTail())
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopDeadline):
	}
	tree, err := proc.tree(p.pid())
	for _, pid := range tree {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	<-p.done
	return errors.Join(fmt.Errorf("%s did not stop within %v and was killed", p.name, stopDeadline), err)
}

// logTail returns the end of the program's output, for error messages.
func (p *process) logTail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(data) > 2000 {
		data = data[len(data)-2000:]
	}
	return string(bytes.TrimSpace(data))
}
