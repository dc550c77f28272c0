package appserver

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/config/osfile"
)

// Launcher is another process that starts workers.
type Launcher interface {
	// For returns a function that starts workers of the app of that name, as the
	// configuration that is being loaded describes it.
	For(app string) func(pool.Order) (pool.Process, error)
}

// Launch starts a worker of the app as a child of this process. The order may come from a
// process that is not trusted. So Launch checks it, and takes everything else from the App.
// The worker gets a process group of its own, so that Ctrl-C in a terminal reaches only the
// server.
func (a *App) Launch(o pool.Order) (pool.Process, error) {
	pr := a.program(o.Kind)
	if pr == nil {
		return nil, fmt.Errorf("app %q has no program of the kind %q", a.Name, o.Kind)
	}
	name := pr.Name + ":" + strconv.Itoa(o.Number)
	p := &localProcess{user: a.credentials.Name, exited: make(chan pool.Exit, 1)}
	started := make(chan error)
	go p.run(started, func() (*os.Process, error) { return a.launch(pr, o, name) })
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
		return fmt.Sprintf("; the limit on processes is reached, of user %q (ulimit -u) or of the service or container (TasksMax, pids limit)", user)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "; the server's limit on open files is reached (ulimit -n, LimitNOFILE)"
	case errors.Is(err, syscall.ENOMEM):
		return "; the machine is out of memory"
	}
	return ""
}

func (a *App) launch(pr *program, o pool.Order, name string) (*os.Process, error) {
	if err := o.Check(pr.Threads, pr.Streams); err != nil {
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
	settings, err := wire.SealedFile("alicorn-settings", a.settings(pr, o, c.tried))
	if err != nil {
		return nil, err
	}
	defer settings.Close()
	files := append([]*os.File{null, o.Files[pool.FileStdout], o.Files[pool.FileStderr], code, settings}, o.Files[pool.FileChannel:]...)
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if c.Switch {
		attr.Sys.Credential = c.credential()
	}
	dieWithParent(attr.Sys)
	return os.StartProcess(c.Path, append(slices.Clip(c.Args), name), attr)
}

// settings returns the settings of a worker (PROTOCOL.md, "Settings"). tried says how its
// interpreter was found.
func (a *App) settings(p *program, o pool.Order, tried string) []byte {
	var lane, bodies any
	if g := o.Lane; g != (wire.Geometry{}) {
		lane = map[string]any{"requests": g.Requests, "responses": g.Responses, "entry": g.Entry, "blocks": g.Blocks}
	}
	if o.Bodies > 0 {
		bodies = map[string]any{"size": o.Bodies}
	}
	all := map[string]any{
		"lane": lane, "bodies": bodies,
		"app": p.Program, "kind": p.Kind, "directory": a.Directory, "pythonpath": a.PythonPath, "pythonpath_last": a.pythonPathLast,
		"threads": p.Threads, "window": pool.Window, "heartbeat": int(p.Heartbeat / time.Millisecond), "dump_signal": int(pool.DumpSignal),
		"log_level":   a.LogLevel,
		"request_key": o.Key, "report_static": a.rt.o.ReportStatic, "tried": tried,
	}
	maps.Copy(all, p.adapter.settings(a, p))
	if a.rt.o.Detect {
		all["kind"] = "any"
	}
	return wire.AppendValue(nil, all)
}

// localProcess is a child process. Its goroutine ends with it.
type localProcess struct {
	p      *os.Process
	user   string
	exited chan pool.Exit
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
		p.exited <- pool.Exit{Code: -1, Err: fmt.Errorf("cannot wait for worker: %w", err)}
		return
	}
	e := pool.Exit{Code: st.ExitCode()}
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
func (p *localProcess) Exited() <-chan pool.Exit { return p.exited }
