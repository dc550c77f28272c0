package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"alicorn/cmd/alicorn/keeper"

	"golang.org/x/sys/unix"
)

const (
	// upgradeEnv tells a process that it takes over from a running server, and
	// the descriptor on which it says that it serves.
	upgradeEnv = "ALICORN_UPGRADE"
	// upgradePatience is how long a new program may take to come up.
	upgradePatience = 2 * time.Minute
	// oldPID is added to the pid file's name while two servers run, as nginx does.
	oldPID = ".oldbin"
)

var (
	errUpgrading   = errors.New("an upgrade is under way already")
	errInContainer = errors.New("the first process of a container ends with the server that it started; start a container of the new image instead")
)

// upgrader lets the program at this one's path, which may have been replaced,
// take over. A nil upgrader has nothing to hand over.
type upgrader struct {
	program   string // the place of the program, by the name that it was called by
	folder    string // the current one at start, by the name that it had then
	notify    *notifier
	inherited *keeper.Inherited

	mu      sync.Mutex
	pidFile *pidFile
	running bool
	done    bool
}

// newUpgrader returns the upgrader of a process that has just started.
func newUpgrader(o origin) *upgrader {
	folder, _ := os.Getwd() // without one, what is relative fails by itself
	return &upgrader{program: ownPlace(), folder: folder, notify: o.notify, inherited: o.inherited}
}

// ownPlace is the path of this program by the name that it was called by. It is
// asked for at start: later the system tells where the file was moved to, and
// of a link only where it led.
func ownPlace() string {
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return placeOf(os.Args[0], exe)
}

// placeOf is the path that a program was called by, if exe is what is there.
func placeOf(called, exe string) string {
	path, err := exec.LookPath(called)
	if err != nil {
		return exe
	}
	there, err := os.Stat(path)
	if err != nil {
		return exe
	}
	own, err := os.Stat(exe)
	if err != nil || !os.SameFile(there, own) {
		return exe
	}
	if path, err = filepath.Abs(path); err != nil {
		return exe
	}
	return path
}

// word is what the new process tells the old one, once, as a line of JSON.
type word struct {
	Error string `json:"error,omitempty"` // why it does not come up
}

// handedOver says that another process has taken over: what is in the file
// system is its own.
func (u *upgrader) handedOver() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.done
}

// wrote keeps the pid file that was written; nil: there is none.
func (u *upgrader) wrote(p *pidFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pidFile = p
}

// removePID removes our pid file, under the name that it has now.
func (u *upgrader) removePID() { u.withPID((*pidFile).remove) }

// leavePID says in our pid file that this server listens no more.
func (u *upgrader) leavePID() { u.withPID((*pidFile).leave) }

func (u *upgrader) withPID(do func(*pidFile)) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pidFile != nil {
		do(u.pidFile)
	}
}

// run starts the new process with sockets and returns nil once it serves and
// is the one that the service manager knows. On error it has ended, and all is
// as before. ctx ending ends the attempt.
func (u *upgrader) run(ctx context.Context, sockets []*os.File) error {
	if os.Getenv(initEnv) != "" {
		return errInContainer
	}
	u.mu.Lock()
	if u.running || u.done {
		u.mu.Unlock()
		return errUpgrading
	}
	u.running = true
	moved := u.pidFile != nil && u.pidFile.rename(u.pidFile.path+oldPID) == nil // else it is not where we wrote it
	u.mu.Unlock()
	err := u.succeed(ctx, sockets)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil && moved {
		_ = u.pidFile.rename(strings.TrimSuffix(u.pidFile.path, oldPID)) // back as it was
	}
	u.running, u.done = false, err == nil
	return err
}

func (u *upgrader) succeed(ctx context.Context, sockets []*os.File) error {
	ctx, cancel := context.WithTimeout(ctx, upgradePatience)
	defer cancel()
	cmd, ours, err := u.start(sockets)
	if err != nil {
		return err
	}
	defer ours.Close()
	defer context.AfterFunc(ctx, func() { ours.SetDeadline(time.Now()) })()
	var w word
	line, err := bufio.NewReader(ours).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &w)
	}
	if err != nil || w.Error != "" {
		state := end(cmd)
		switch {
		case w.Error != "":
			return errors.New(w.Error)
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("the new program has not come up within %s", upgradePatience)
		case ctx.Err() != nil:
			return errStopping
		}
		return fmt.Errorf("the new program ended before it served: %s", state)
	}
	u.notify.handOver(cmd.Process.Pid)
	_, _ = ours.Write([]byte("go\n")) // it serves all the same
	return nil
}

// start starts the new process; the connection is to it alone.
func (u *upgrader) start(sockets []*os.File) (*exec.Cmd, net.Conn, error) {
	ours, theirs, err := connectedPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	cmd := u.command()
	cmd.Env = append(cmd.Env, keeper.SparedEnv+"="+strings.Join(u.inherited.Spared(), string(os.PathListSeparator)))
	cmd.Env = append(cmd.Env, "LISTEN_FDS="+itoa(len(sockets)), upgradeEnv+"="+itoa(3+len(sockets)))
	if os.Getenv(daemonEnv) != "" {
		cmd.Env = append(cmd.Env, daemonEnv+"=-1") // in the background already, with nobody who waits
	}
	cmd.ExtraFiles = append(sockets[:len(sockets):len(sockets)], theirs)
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("cannot start the new program: %w", err)
	}
	return cmd, ours, nil
}

// command is this process's command line, for the folder that has the name now
// that the current one had at start: after a deployment that is another one.
func (u *upgrader) command() *exec.Cmd {
	cmd := exec.Command(u.program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), u.notify.environ()...)
	if isDirectory(u.folder) {
		cmd.Dir = u.folder
		cmd.Env = append(cmd.Env, "PWD="+u.folder)
	}
	return cmd
}

// end waits for a process that failed, which ends by itself, or is made to.
func end(cmd *exec.Cmd) *os.ProcessState {
	ask := time.AfterFunc(time.Second, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer ask.Stop()
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait() // the state tells
	return cmd.ProcessState
}

// connectedPair returns both ends of a stream; the second is for a child.
func connectedPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "successor"), os.NewFile(uintptr(fds[1]), "predecessor")
	defer near.Close()
	nc, err := net.FileConn(near)
	if err != nil {
		far.Close()
		return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
	}
	return nc, far, nil
}
