package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// daemonEnv tells a process that it is the server in the background, and to which
// descriptor it writes once it serves.
const daemonEnv = "ALICORN_DAEMON"

// isDaemon reports whether this process is the one in the background. Its
// descriptor must not reach the processes that it starts.
func isDaemon() bool {
	fd, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return err == nil
}

// daemonize starts this program again in the background. It returns once that
// process serves, or with its exit code when it does not come up. Until then its
// messages appear on this process's standard streams.
func daemonize() error {
	r, w, err := os.Pipe()
	if err != nil {
		return failed(fmt.Errorf("cannot go to the background: %w", err))
	}
	cmd := exec.Command(ownPlace(), os.Args[1:]...)
	cmd.Env = append(os.Environ(), daemonEnv+"=3")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return failed(fmt.Errorf("cannot go to the background: %w", err))
	}
	w.Close()
	if n, _ := r.Read(make([]byte, 1)); n > 0 {
		return nil
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &exitError{exit.ExitCode(), nil}
	}
	return &exitError{exitFailed, errors.New("the server in the background ended before it served")}
}

// announce tells the process that has started this one in the background that this
// one serves, and leaves its terminal. In the foreground it does nothing.
func announce() {
	fd, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err != nil {
		return
	}
	detach()
	pipe := os.NewFile(uintptr(fd), "parent")
	defer pipe.Close()
	pipe.WriteString("serving\n")
}

// detach closes the standard streams of a process in the background, so that their
// reader sees their end.
func detach() {
	if os.Getenv(daemonEnv) == "" {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	for std := range 3 {
		if err := unix.Dup2(int(null.Fd()), std); err != nil {
			return
		}
	}
}

// initEnv tells a process that its parent reaps orphans for it.
const initEnv = "ALICORN_INIT"

// isInit reports whether this process is the first of a container, which must reap
// processes that lose their parents.
func isInit() bool { return os.Getpid() == 1 && os.Getenv(initEnv) == "" }

// superviseAsInit runs the server as a child, passes signals on to it, reaps all
// processes, and ends with the server's exit code. So the server itself never reaps
// a process that it did not start.
func superviseAsInit() error {
	exe, err := os.Executable()
	if err != nil {
		return failed(fmt.Errorf("cannot find this program: %w", err))
	}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals)
	child, err := os.StartProcess(exe, os.Args, &os.ProcAttr{
		Env: append(os.Environ(), initEnv+"=1"), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setpgid: true}, // a terminal sends signals to this process alone, so that each counts once
	})
	if err != nil {
		return failed(fmt.Errorf("cannot start the server: %w", err))
	}
	go func() {
		for sig := range signals {
			if sig != syscall.SIGCHLD && sig != syscall.SIGURG { // these are for this process and for Go's runtime
				child.Signal(sig)
			}
		}
	}()
	return reap(child.Pid)
}

// reap waits for every child until the server has ended.
func reap(server int) error {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return failed(fmt.Errorf("cannot wait for the server: %w", err))
		case pid != server:
			continue
		case ws.Signaled():
			return &exitError{128 + int(ws.Signal()), nil}
		case ws.ExitStatus() != 0:
			return &exitError{ws.ExitStatus(), nil}
		}
		return nil
	}
}

// isReadOnly reports whether err says that the file system is read-only.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
