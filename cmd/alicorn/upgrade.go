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
	// upgradeEnv tells a process that it takes over from a running server, and to
	// which descriptor it writes when it serves.
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

// upgrader lets the program at this one's path, which may have been replaced, take
// over. The methods of a nil upgrader do nothing.
type upgrader struct {
	program   string // the path that the program was called by
	folder    string // the path of the current folder at start
	notify    *notifier
	inherited *keeper.Inherited

	mu      sync.Mutex
	pidFile *pidFile
	running bool
	done    bool
}

// newUpgrader returns the upgrader of a process that has just started.
func newUpgrader(o origin) *upgrader {
	folder, _ := os.Getwd() // without a folder, relative paths fail later
	return &upgrader{program: ownPlace(), folder: folder, notify: o.notify, inherited: o.inherited}
}

// ownPlace returns the path that this program was called by. It must be called at the
// start: later the system returns the path that the file was moved to, and always the
// target of a link.
func ownPlace() string {
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return placeOf(os.Args[0], exe)
}

// placeOf returns the path that a program was called by, if it leads to exe.
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

// word is the one message of the new process to the old one, a line of JSON.
type word struct {
	Error string `json:"error,omitempty"` // why it does not come up
}

// handedOver reports whether another process has taken over, with the names in the file
// system.
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

// removePID removes this process's pid file, under its present name.
func (u *upgrader) removePID() { u.withPID((*pidFile).remove) }

// leavePID notes in the pid file that this server has stopped listening.
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

// run starts the new process with sockets. It returns nil when that process serves and
// the service manager knows it. After an error the new process has ended, and nothing
// has changed. The end of ctx ends the upgrade.
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
	moved := u.pidFile != nil && u.pidFile.rename(u.pidFile.path+oldPID) == nil // false: the file is not where this process wrote it
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
	_, _ = ours.Write([]byte("go\n")) // an error does not matter: it serves
	return nil
}

// start starts the new process, and returns a connection to it.
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
		cmd.Env = append(cmd.Env, daemonEnv+"=-1") // already in the background, and no process waits
	}
	cmd.ExtraFiles = append(sockets[:len(sockets):len(sockets)], theirs)
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("cannot start the new program: %w", err)
	}
	return cmd, ours, nil
}

// command returns this process's command line, to run in the folder that now has the
// path of the folder at start. After a deployment that is another folder.
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

// end waits for a failed process to end, and kills it when it does not.
func end(cmd *exec.Cmd) *os.ProcessState {
	ask := time.AfterFunc(time.Second, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer ask.Stop()
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait() // ProcessState has the result
	return cmd.ProcessState
}

// connectedPair returns both ends of a stream. The second is for a child.
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
