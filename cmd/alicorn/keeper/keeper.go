package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
)

// WireEnv tells a process that it is a front, and the descriptor of its wire.
const WireEnv = "ALICORN_WIRE"

// Options are what a Keeper is made of.
type Options struct {
	Host *Local
	User Identity // whose process the front is
	// Read reads the configuration anew and compiles it; what that takes
	// comes through res.
	Read func(res *config.Resources) (*Reading, error)
	// Program is given to the front with each configuration.
	Program json.RawMessage
	// Control binds the control API's socket.
	Control func() (*os.File, error)
	// Serving is called once, when the first configuration serves, with what
	// the front said of it. An error stops the server.
	Serving func(status json.RawMessage) error
	// Loading is called when a reload begins, Settled when it has ended, and
	// Stopping, once, when the end begins that was asked for. Each may be nil.
	Loading  func()
	Settled  func(ok bool)
	Stopping func()
	// Numbers of commands that mean something to the keeper, too.
	Stop, StopNow, Reopen int
	// Alive is the number of the command that the front answers at once.
	Alive int
	// Upgrade is the number of the command to upgrade; HandOver starts the
	// process that takes over the sockets and returns when it serves. After an
	// error all is as before.
	// Retire is the number of the command to end after it.
	Upgrade  int
	Retire   int
	HandOver func(ctx context.Context, sockets []*os.File) error
	// Front is the program to run as the front; "": this one.
	Front string
}

// Keeper is the privileged side of a server of two processes.
type Keeper struct {
	o          Options
	serving    chan json.RawMessage // capacity 1: the first one counts
	alive      chan struct{}        // capacity 1: the front has answered Alive
	handedOver chan struct{}        // capacity 1: another process serves
	upgrades   sync.WaitGroup       // attempts, and their answers
	calls      sync.WaitGroup       // questions of the front being answered
	reaping    sync.WaitGroup       // workers being waited for

	mu       sync.Mutex
	current  *Reading // of the configuration that serves
	pending  *Reading // of the one being loaded
	unseen   *Reading // what the next question for a configuration is answered with
	front    *wire    // nil while there is none
	workers  map[int]appserver.Process
	failed   error // why Serving stopped the server
	stopping bool
	stopped  bool               // no worker is started any more
	handed   bool               // another process has taken over
	abandon  context.CancelFunc // ends the upgrade under way; nil: there is none
	reason   string             // the front's, when it did not come up
}

// New returns a Keeper; it starts nothing.
func New(o Options) *Keeper {
	return &Keeper{o: o, serving: make(chan json.RawMessage, 1), alive: make(chan struct{}, 1), handedOver: make(chan struct{}, 1), workers: map[int]appserver.Process{}}
}

// Run keeps a front running until it is told to stop, and returns the exit
// code. numbers are what signals mean: those of Options, and others for the
// front alone. A front that ends unasked is replaced, once one has served.
func (k *Keeper) Run(ctx context.Context, numbers <-chan int) (code int, err error) {
	first, err := k.read()
	if err != nil {
		return 1, err
	}
	k.pending, k.unseen = first, first
	defer k.end()
	defer k.upgrades.Wait()
	defer k.abandonUpgrade()
	served := false
	for pause := time.Duration(0); ; {
		f, err := k.spawn()
		if err != nil {
			return 1, err
		}
		began := time.Now()
		state, now := k.attend(ctx, f, numbers)
		served = served || now
		k.killWorkers()
		switch {
		case k.isStopping():
			return 0, k.failure()
		case !served:
			return state.ExitCode(), nil
		}
		k.log(proxy.LevelAlert, fmt.Sprintf("the front (pid %d) ended unexpectedly: %s; a new one is started", f.cmd.Process.Pid, state))
		if pause = min(max(2*pause, 100*time.Millisecond), 10*time.Second); time.Since(began) > time.Minute {
			pause = 0
		}
		select {
		case <-time.After(pause):
		case n := <-numbers:
			if n == k.o.Stop || n == k.o.StopNow {
				return 0, nil
			}
		case <-ctx.Done():
			return 0, nil
		}
		k.settle(false)
		k.settled(false)
		k.mu.Lock()
		k.unseen, k.stopped = k.current, false
		k.mu.Unlock()
	}
}

// front is one front process.
type front struct {
	cmd  *exec.Cmd
	wire *wire
	done chan struct{} // closed when its process was reaped and its wire read to the end
}

// spawn starts a front with the user's credentials.
func (k *Keeper) spawn() (*front, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("cannot make the wire to the front: %w", err)
	}
	end := os.NewFile(uintptr(theirs), "wire")
	defer end.Close()
	w, err := newWire(ours)
	if err != nil {
		return nil, fmt.Errorf("cannot make the wire to the front: %w", err)
	}
	path := k.o.Front
	if path == "" {
		path = "/proc/self/exe"
	}
	cmd := exec.Command(path)
	cmd.Args = []string{"alicorn: front"}
	cmd.Env = append(os.Environ(), WireEnv+"="+strconv.Itoa(3))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{end}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is ours alone
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = k.o.User.credential()
	}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot start the front as user %q: %w", k.o.User.Name, err)
	}
	k.mu.Lock()
	k.front = w
	k.mu.Unlock()
	f := &front{cmd: cmd, wire: w, done: make(chan struct{})}
	return f, nil
}

func (id Identity) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	for _, g := range id.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// attend serves f until its process has ended. served: it served for the
// first time.
func (k *Keeper) attend(ctx context.Context, f *front, numbers <-chan int) (state *os.ProcessState, served bool) {
	go func() {
		defer close(f.done)
		k.serve(f.wire)
		// Without its wire a front is of no use, and it ends by itself; one
		// that does not is not to be waited for.
		t := time.AfterFunc(5*time.Second, func() { _ = f.cmd.Process.Kill() })
		_ = f.cmd.Wait() // the state tells
		t.Stop()
		f.wire.Close()
	}()
	cancelled := ctx.Done()
	for {
		select {
		case n := <-numbers:
			k.command(f, n)
		case <-k.handedOver:
			if !k.isStopping() {
				k.stop()
				k.send(f.wire, &message{Kind: tellCommand, Number: k.o.Retire})
			}
		case status := <-k.serving:
			served = true
			k.onFirst(f, status)
		case <-cancelled:
			cancelled = nil
			k.command(f, k.o.StopNow)
		case <-f.done:
			k.mu.Lock()
			k.front = nil
			k.mu.Unlock()
			return f.cmd.ProcessState, served
		}
	}
}

func (k *Keeper) onFirst(f *front, status json.RawMessage) {
	if k.o.Serving == nil {
		return
	}
	serving := k.o.Serving
	k.o.Serving = nil
	if err := serving(status); err != nil {
		k.mu.Lock()
		k.failed = err
		k.mu.Unlock()
		k.command(f, k.o.StopNow)
	}
}

// onServing notes that the front serves; the loop that attends it goes on.
func (k *Keeper) onServing(status []byte) {
	select {
	case k.serving <- status:
	default:
	}
}

// command passes on what a signal means.
func (k *Keeper) command(f *front, number int) {
	if number == k.o.Upgrade {
		k.upgrades.Go(func() { _ = k.upgrade() }) // it has logged why not
		return
	}
	if number == k.o.Stop || number == k.o.StopNow {
		if k.isStopping() {
			number = k.o.StopNow
			time.AfterFunc(10*time.Second, func() { _ = f.cmd.Process.Kill() })
		}
		k.stop()
	}
	if number == k.o.Reopen {
		k.reopen()
	}
	k.send(f.wire, &message{Kind: tellCommand, Number: number})
}

// stop makes the front's end an expected one, and stops listening.
func (k *Keeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopping && k.o.Stopping != nil {
		k.o.Stopping()
	}
	k.stopping = true
	if k.abandon != nil {
		k.abandon()
	}
	for _, r := range []*Reading{k.current, k.pending} {
		if r != nil {
			r.closeListeners()
		}
	}
}

func (k *Keeper) isStopping() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopping
}

func (k *Keeper) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// reopen opens our own logs again.
func (k *Keeper) reopen() {
	_, current := k.readings()
	if current == nil {
		return
	}
	current.Generation.Resources.Each(func(_ string, v any) {
		if r, ok := v.(interface{ Reopen(h config.Host) error }); ok {
			if err := r.Reopen(k.o.Host); err != nil {
				k.log(proxy.LevelAlert, err.Error())
			}
		}
	})
}

// killWorkers ends the workers of a front that is gone: nobody speaks to them
// any more.
func (k *Keeper) killWorkers() {
	k.mu.Lock()
	k.stopped = true
	for _, p := range k.workers {
		_ = p.Signal(syscall.SIGKILL) // it may have ended meanwhile
	}
	k.mu.Unlock()
	k.reaping.Wait()
}

// end gives back what the readings hold.
func (k *Keeper) end() {
	k.settle(false)
	if k.current == nil {
		return
	}
	if !k.isHandedOver() {
		RemoveSockets(k.current.Generation, nil, k.o.Host.Inherited)
	}
	k.current.Generation.Resources.Release()
}

// log writes a line to the error log of the configuration that serves, or to
// standard error before one does.
func (k *Keeper) log(level slog.Level, text string) {
	pending, current := k.readings()
	for _, r := range []*Reading{current, pending} {
		if r != nil && r.Generation.ErrorLog != nil {
			r.Generation.LogTo(level, text)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "alicorn: "+text)
}
