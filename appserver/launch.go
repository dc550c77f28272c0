package appserver

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit code; -1 when a signal ended it
	Signal syscall.Signal // 0 without one
	Err    error          // waiting failed: nothing else is known
}

// String tells it in words: "exit code 3", "SIGKILL (killed)".
func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return signalName(e.Signal) + " (" + e.Signal.String() + ")"
	}
	return "exit code " + strconv.Itoa(e.Code)
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGHUP: "SIGHUP",
	syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL", syscall.SIGQUIT: "SIGQUIT",
	syscall.SIGSEGV: "SIGSEGV", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU", syscall.SIGSYS: "SIGSYS",
}

func signalName(s syscall.Signal) string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}

// Process is a worker's process as its pool sees it.
type Process interface {
	Pid() int
	// Signal sends s; after the exit it does nothing or fails.
	Signal(s syscall.Signal) error
	// Exited yields one Exit when the process has ended and was reaped.
	Exited() <-chan Exit
}

// Launcher starts the worker named worker ("shop:3") of app. files become its
// descriptors 0 and up; they stay the caller's to close.
type Launcher interface {
	Launch(app, worker string, files []*os.File) (Process, error)
}

// NewLocalLauncher returns a Launcher that executes commands(app) as children
// of this process.
func NewLocalLauncher(commands func(app string) (Command, error)) Launcher {
	return localLauncher(commands)
}

type localLauncher func(app string) (Command, error)

// Launch starts a child.
func (l localLauncher) Launch(app, worker string, files []*os.File) (Process, error) {
	c, err := l(app)
	if err != nil {
		return nil, err
	}
	return c.Start(worker, files)
}

// Start executes the command for the worker of that name, as Launcher says.
// The process gets a group of its own, so that a terminal's Ctrl-C is ours.
func (c Command) Start(worker string, files []*os.File) (Process, error) {
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if c.Switch {
		attr.Sys.Credential = c.credential()
	}
	p, err := os.StartProcess(c.Path, append(slices.Clip(c.Args), worker), attr)
	if err != nil {
		return nil, fmt.Errorf("cannot start worker %s: %w", worker, err)
	}
	lp := &localProcess{p: p, exited: make(chan Exit, 1)}
	go lp.wait()
	return lp, nil
}

// localProcess is a child. Its wait goroutine ends with the process.
type localProcess struct {
	p      *os.Process
	exited chan Exit
}

func (p *localProcess) wait() {
	st, err := p.p.Wait()
	if err != nil {
		p.exited <- Exit{Code: -1, Err: fmt.Errorf("cannot wait for worker: %w", err)}
		return
	}
	e := Exit{Code: st.ExitCode()}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
	}
	p.exited <- e
}

// Pid returns the process id.
func (p *localProcess) Pid() int { return p.p.Pid }

// Signal sends s.
func (p *localProcess) Signal(s syscall.Signal) error { return p.p.Signal(s) }

// Exited yields the exit.
func (p *localProcess) Exited() <-chan Exit { return p.exited }
