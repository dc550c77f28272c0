package pool

import (
	"strconv"
	"syscall"
)

// Exit is how a process has ended.
type Exit struct {
	Code   int            // the exit code; -1 if a signal has ended it
	Signal syscall.Signal // the signal that has ended it; 0 if none has
	Err    error          // why waiting has failed; then the other fields mean nothing
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

// Process is the process of a worker.
type Process interface {
	Pid() int
	// User returns the name, or the number, of the user that it runs as.
	User() string
	// Signal sends s. After the exit it does nothing or fails.
	Signal(s syscall.Signal) error
	// Exited returns a channel that gets the Exit when the process was reaped.
	Exited() <-chan Exit
}

// Sends reports whether s is a signal that pools send to their workers.
func Sends(s syscall.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGKILL || s == DumpSignal
}
