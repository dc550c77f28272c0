package appserver

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"alicorn/appserver/wire"
	"alicorn/config/osfile"
)

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit code; -1 when a signal ended it
	Signal syscall.Signal // 0 without one
	Err    error          // why waiting failed; nothing else is known then
}

// String returns a text such as "exit code 3" or "SIGKILL (killed)".
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

// Process is the process of a worker, for its pool.
type Process interface {
	Pid() int
	// User is the name, or the number, of the user that it runs as.
	User() string
	// Signal sends s; after the exit it does nothing or fails.
	Signal(s syscall.Signal) error
	// Exited returns the channel of the Exit, which comes when the process was reaped.
	Exited() <-chan Exit
}

// Sends reports whether s is a signal that pools send to their workers.
func Sends(s syscall.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGKILL || s == dumpSignal
}

// Launcher is another process that starts workers.
type Launcher interface {
	// For returns a function that starts workers of the app of that name, as the
	// configuration that is being loaded describes it.
	For(app string) func(Order) (Process, error)
}

// Launch starts a worker of the app as a child of this process. The order may come
// from a process that is not trusted. So it is checked, and everything else comes from
// the App. The process gets a group of its own, so that a terminal sends Ctrl-C to the
// server alone.
func (a *App) Launch(o Order) (Process, error) {
	name := a.Name + ":" + strconv.Itoa(o.Number)
	p := &localProcess{user: a.credentials.Name, exited: make(chan Exit, 1)}
	started := make(chan error)
	go p.run(started, func() (*os.Process, error) { return a.launch(o, name) })
	if err := <-started; err != nil {
		if why := a.barred(); why != "" && errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("cannot start worker %s: %s", name, why)
		}
		return nil, fmt.Errorf("cannot start worker %s: %w%s", name, err, shortage(err, p.user))
	}
	return p, nil
}

// barred returns a sentence about the folder on the way to the app's directory that
// its user may not enter; "": there is none.
func (a *App) barred() string {
	c := a.credentials
	if !c.Switch || c.UID == 0 {
		return ""
	}
	dir := osfile.Barred(a.Directory, osfile.User{UID: c.UID, GID: c.GID, Groups: c.Groups})
	if dir == "" {
		return ""
	}
	return fmt.Sprintf("the application runs as user %q, who may not enter %s; \"chmod o+x %s\" lets every user pass it, and \"user\" in app %s names another user", c.Name, dir, dir, a.Name)
}

// shortage names the limits that may be the cause of err.
func shortage(err error, user string) string {
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Sprintf("; user %q may have no more processes (ulimit -u), or the service or container has as many as it may (TasksMax, pids limit)", user)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "; the server has as many files open as it may (ulimit -n, LimitNOFILE)"
	case errors.Is(err, syscall.ENOMEM):
		return "; the machine has no memory left for it"
	}
	return ""
}

func (a *App) launch(o Order, name string) (*os.Process, error) {
	if err := o.check(a.Threads); err != nil {
		return nil, err
	}
	c, err := a.Command()
	if err != nil {
		return nil, err
	}
	code, err := a.rt.bundle.open()
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	settings, err := wire.SealedFile("alicorn-settings", a.settings(o, c.tried))
	if err != nil {
		return nil, err
	}
	defer settings.Close()
	files := append([]*os.File{null, o.Files[fileStdout], o.Files[fileStderr], code, settings}, o.Files[fileChannel:]...)
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if c.Switch {
		attr.Sys.Credential = c.credential()
	}
	dieWithParent(attr.Sys)
	return os.StartProcess(c.Path, append(slices.Clip(c.Args), name), attr)
}

// localProcess is a child process. Its goroutine ends with it.
type localProcess struct {
	p      *os.Process
	user   string
	exited chan Exit
}

// run starts the process and waits for it, on one thread. The system kills a child
// when the thread that has started it ends (PR_SET_PDEATHSIG in prctl(2)), so this
// thread must live as long as the child.
func (p *localProcess) run(started chan<- error, start func() (*os.Process, error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	if p.p, err = start(); err == nil {
		defer p.wait()
	}
	started <- err
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

// User returns the user's name.
func (p *localProcess) User() string { return p.user }

// Signal sends s.
func (p *localProcess) Signal(s syscall.Signal) error { return p.p.Signal(s) }

// Exited returns the channel of the exit.
func (p *localProcess) Exited() <-chan Exit { return p.exited }
