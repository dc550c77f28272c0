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

// managerVariables are variables that systemd sets for the process that it starts.
// No other process inherits them.
var managerVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

// notifier reports the state of the server to the service manager that has started
// this process, as sd_notify(3) describes. A nil notifier does nothing.
type notifier struct {
	address  string        // the manager's socket; "@" begins an abstract one
	watchdog time.Duration // how long the manager waits for a sign of life; 0: it does not
	variable []string      // the variables as they were, for a process that takes over

	mu        sync.Mutex
	failing   string // what fails although the server serves
	serving   bool
	ending    bool
	reload    bool // a reload is under way
	succeeded bool // another process is the main one now
}

// newNotifier takes the manager's variables out of the environment. takeover: this
// process takes over from the one that they name.
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

// ready reports that the server serves. It also gives a sign of life, since the last
// one may be that of the process before this one.
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

// state returns the line with the state of the server. The lock is held.
func (n *notifier) state() string {
	switch {
	case !n.serving:
		return "STATUS=Starting: " + line(n.failing)
	case n.failing == "":
		return "STATUS=Serving"
	}
	return "STATUS=Serving, but " + line(n.failing)
}

// trouble reports what fails although the server serves, or what the start waits
// for; "" ends that.
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

// waiting reports that the start waits for an address.
func (n *notifier) waiting(why error) { n.tell("STATUS=Starting: " + line(why.Error())) }

// failed reports why the server does not come up. The manager shows the reason until
// the next start, also when the server's own messages are out of sight.
func (n *notifier) failed(why string) { n.tell("STATUS=Cannot start: " + line(why)) }

// mostWords bounds the text of one message to the manager, in bytes.
const mostWords = 1024

// line returns text as one line that the manager accepts.
func line(text string) string {
	text = proxy.Printable(strings.Join(strings.Fields(text), " "))
	if len(text) > mostWords {
		text = strings.ToValidUTF8(text[:mostWords], "") + " ..."
	}
	return text
}

// reloading reports that a reload has begun.
func (n *notifier) reloading() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.reload = true
	n.mu.Unlock()
	n.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic(), 10), "STATUS=Loading the configuration anew")
}

// reloaded reports how the reload ended, if one was under way. The server is ready in
// any case.
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
	case was: // trouble will report the reason
		n.tell("READY=1", "STATUS=The last reload failed, the configuration before it goes on")
	}
}

// stopping reports that the server finishes the requests in progress and ends.
func (n *notifier) stopping() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.ending = true
	n.mu.Unlock()
	n.tell("STOPPING=1", "STATUS=Finishing the requests in progress")
}

// handOver names the process that is the main one from now on. This process then
// reports nothing more.
func (n *notifier) handOver(pid int) {
	n.tell("MAINPID=" + itoa(pid))
	if n != nil {
		n.mu.Lock()
		n.succeeded = true
		n.mu.Unlock()
	}
}

// watch gives signs of life until ctx ends, as long as alive returns nil: two in the
// time that the manager waits for one.
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

// tell sends one datagram. When the manager cannot be reached the server goes on.
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

// managerPatience is how long a manager that reads nothing may hold up the server.
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
