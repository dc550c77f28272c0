package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"alicorn/proxy"
)

// managerVariables are systemd's: they are for the process that it started
// and reach no other one.
var managerVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

// notifier tells the service manager that started this process how it fares,
// as sd_notify(3) has it. A nil notifier tells nobody.
type notifier struct {
	address  string        // of the manager's socket; "@" starts an abstract one
	watchdog time.Duration // how long the manager waits for a sign of life; 0: it does not
	variable []string      // the variables as they were, for a process that takes over

	mu        sync.Mutex
	failing   string // what fails though the server serves
	serving   bool
	ending    bool
	reload    bool // a reload is under way
	succeeded bool // another process is the main one now
}

// newNotifier takes the manager's variables out of the environment. takeover
// says that this process takes over from the one that they name.
func newNotifier(takeover bool) *notifier {
	n := &notifier{address: os.Getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && usec <= math.MaxInt64/int64(time.Microsecond) && (takeover || pid == "" || pid == itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	for _, name := range managerVariables {
		if v, ok := os.LookupEnv(name); ok {
			n.variable = append(n.variable, name+"="+v)
			os.Unsetenv(name)
		}
	}
	if n.address == "" {
		return nil
	}
	return n
}

// environ returns the variables that newNotifier took.
func (n *notifier) environ() []string {
	if n == nil {
		return nil
	}
	return n.variable
}

// ready says that the server serves. That is a sign of life, too: the manager
// counts from the last one, which may be that of a process before this one.
func (n *notifier) ready() {
	if n == nil {
		return
	}
	n.mu.Lock()
	if !n.serving {
		n.failing = "" // what the start has waited for
	}
	n.serving = true
	state := n.state()
	n.mu.Unlock()
	n.tell("READY=1", state)
	if n.watchdog > 0 {
		n.tell("WATCHDOG=1")
	}
}

// state is the line that says how the server fares. The lock is held.
func (n *notifier) state() string {
	switch {
	case !n.serving:
		return "STATUS=Starting: " + line(n.failing)
	case n.failing == "":
		return "STATUS=Serving"
	}
	return "STATUS=Serving, but " + line(n.failing)
}

// trouble says what fails though the server serves, or what the start waits for;
// "": nothing does.
func (n *notifier) trouble(text string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.failing = text
	state, tell := n.state(), (n.serving || text != "") && !n.ending && !n.reload
	n.mu.Unlock()
	if tell {
		n.tell(state)
	}
}

// waiting says that the start waits for an address.
func (n *notifier) waiting(why error) { n.tell("STATUS=Starting: " + line(why.Error())) }

// failed says why the server does not come up. The manager shows it until the
// next start, when what was printed before it is out of sight.
func (n *notifier) failed(why string) { n.tell("STATUS=Cannot start: " + line(why)) }

// mostWords bounds what a manager is told of one thing, in bytes.
const mostWords = 1024

// line is text on one line that the manager takes.
func line(text string) string {
	text = proxy.Printable(strings.Join(strings.Fields(text), " "))
	if len(text) > mostWords {
		text = strings.ToValidUTF8(text[:mostWords], "") + " ..."
	}
	return text
}

// reloading says that a reload has begun.
func (n *notifier) reloading() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.reload = true
	n.mu.Unlock()
	n.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic(), 10), "STATUS=Loading the configuration anew")
}

// reloaded says how the reload ended, if one was under way. The server is
// ready either way.
func (n *notifier) reloaded(ok bool) {
	if n == nil {
		return
	}
	n.mu.Lock()
	was := n.reload
	n.reload = false
	n.mu.Unlock()
	switch {
	case was && ok:
		n.ready()
	case was: // why will be told as trouble
		n.tell("READY=1", "STATUS=The last reload failed, the configuration before it goes on")
	}
}

// stopping says that the server finishes what is in progress and ends.
func (n *notifier) stopping() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.ending = true
	n.mu.Unlock()
	n.tell("STOPPING=1", "STATUS=Finishing the requests in progress")
}

// handOver names the process that is the main one from now on. This one says
// nothing more.
func (n *notifier) handOver(pid int) {
	n.tell("MAINPID=" + itoa(pid))
	if n != nil {
		n.mu.Lock()
		n.succeeded = true
		n.mu.Unlock()
	}
}

// watch gives signs of life until ctx ends, twice in the time that the manager
// waits for one, as long as alive returns nil.
func (n *notifier) watch(ctx context.Context, alive func(ctx context.Context) error) {
	if n == nil || n.watchdog == 0 {
		return
	}
	t := time.NewTicker(n.watchdog / 2)
	defer t.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, n.watchdog/2)
		if alive(within) == nil {
			n.tell("WATCHDOG=1")
		}
		cancel()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell sends one datagram. A manager that cannot be reached is of no concern
// to clients: the server goes on.
func (n *notifier) tell(lines ...string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.succeeded {
		return
	}
	if err := send(n.address, strings.Join(lines, "\n")+"\n"); err != nil {
		fmt.Fprintf(os.Stderr, "alicorn: cannot tell the service manager %q: %v\n", lines[0], err)
	}
}

// managerPatience is how long a manager that reads nothing holds the server up.
const managerPatience = time.Second

func send(address, text string) error {
	nc, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetWriteDeadline(time.Now().Add(managerPatience))
	_, err = nc.Write([]byte(text))
	return err
}
