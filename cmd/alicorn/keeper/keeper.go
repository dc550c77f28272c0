package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
)

// WireEnv tells a process that it is a front, and the descriptor of its wire.
const WireEnv = "ALICORN_WIRE"

// AgainEnv tells a front that another one has served before it.
const AgainEnv = "ALICORN_AGAIN"

// Options are what a Keeper is made of.
type Options struct {
	Host *Local
	User Identity // whose process the front is
	// Read reads the configuration anew and compiles it; what that takes
	// comes through res.
	Read func(res *config.Resources) (*Reading, error)
	// Program is given to the front with each configuration.
	Program json.RawMessage
	// Control binds the control API's socket. With gone it does so only when
	// the name of the socket that it made before is gone, else it returns nil.
	Control func(gone bool) (*os.File, error)
	// Serving is called once, when the first configuration serves, with what
	// the front said of it. An error stops the server.
	Serving func(status json.RawMessage) error
	// Loading is called when a reload begins, Settled when it has ended, and
	// Stopping, once, when the end begins that was asked for. Each may be nil.
	Loading  func()
	Settled  func(ok bool)
	Stopping func()
	// Trouble is called with what fails though the front serves, when that
	// changes; "": nothing does. The text is the front's. It may be nil.
	Trouble func(text string)
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
//
// States, who waits for whom in each, and what ends each wait:
//
//	start    keeper for its reading        the reading; a stop
//	         keeper for the front          tellServing; the front's end, which ends the keeper, too
//	         front for its applications    one is ready; none can be; a stop, after 5 s of patience
//	reload   front for the keeper's text   the answer; a stop (Abandon); the end of the wire
//	         front for new workers         each is ready or has failed; a stop, after 5 s
//	         who asked for the front       the result; 10 s without an answer to a status
//	upgrade  keeper for the new process    its word; its end; 2 min; a stop. It is then asked to
//	                                       end after 1 s, and killed after 10 s
//	drain    front for old requests        their end; worker_shutdown_timeout; a stop
//	stop     keeper for the front          its end; after a second stop a kill within 10 s
//	         front for its requests        their end; worker_shutdown_timeout; a second stop
//	         keeper for workers            their end, once killed; 5 s
//
// Either side writes to the wire for 10 s at most: then the wire ends. A front
// whose wire has ended has 5 s before it is killed. One that ends unasked is
// replaced, at once if it has served, else after a pause that doubles up to
// 10 s. One that ends by itself while others wait for its requests has lost
// them: the exit code says so.
type Keeper struct {
	o          Options
	serving    chan json.RawMessage // capacity 1: the first one counts
	alive      chan struct{}        // capacity 1: the front has answered Alive
	handedOver chan struct{}        // capacity 1: another process serves
	upgrades   sync.WaitGroup       // attempts, and their answers
	asked      chan struct{}        // capacity maxAsked: a place for each question being answered
	calls      sync.WaitGroup       // questions of the front being answered
	reaping    sync.WaitGroup       // workers being waited for
	reading    sync.Mutex           // held while the configuration is read for a front
	reserve    *Reserve
	waiting    []int // numbers that came while there was no front; Run's own

	mu       sync.Mutex
	current  *Reading // of the configuration that serves
	pending  *Reading // of the one being loaded
	unseen   *Reading // what the next question for a configuration is answered with
	count    uint64   // of readings, so far
	past     past     // earlier versions of the apps of current
	proven   proven   // the versions that have come up
	front    *wire    // nil while there is none
	workers  map[int]appserver.Process
	runs     map[int]*appserver.App // by worker: the app as it was started
	starting int                    // workers that are about to be among them
	failed   error                  // why Serving stopped the server
	stopping bool
	hurried  bool // the requests in progress are not waited for
	again    Again
	stopped  bool               // no worker is started any more
	handed   bool               // another process has taken over
	abandon  context.CancelFunc // ends the upgrade under way; nil: there is none
	reason   string             // the front's, when it did not come up
}

// New returns a Keeper; it starts nothing.
func New(o Options) *Keeper {
	return &Keeper{o: o, asked: make(chan struct{}, maxAsked), serving: make(chan json.RawMessage, 1), alive: make(chan struct{}, 1), handedOver: make(chan struct{}, 1), reserve: NewReserve(reserved), workers: map[int]appserver.Process{}, runs: map[int]*appserver.App{}, past: past{}, proven: proven{apps: map[string]*appserver.App{}}}
}

// Run keeps a front running until it is told to stop, and returns the exit
// code. numbers are what signals mean: those of Options, and others for the
// front alone. A front that ends unasked is replaced, once one has served.
func (k *Keeper) Run(ctx context.Context, numbers <-chan int) (code int, err error) {
	defer k.reserve.Close()
	first, err := k.readFirst(ctx, numbers)
	if first == nil {
		return exitCode(err), err
	}
	k.mu.Lock()
	k.pending, k.unseen = first, first
	k.mu.Unlock()
	defer k.end()
	defer k.upgrades.Wait()
	defer k.abandonUpgrade()
	for served, pause := false, time.Duration(0); ; {
		f, err := k.spawn()
		switch {
		case err != nil && !served:
			return 1, err
		case err != nil:
			k.log(proxy.LevelAlert, err.Error()+"; it is tried again")
		default:
			var state *os.ProcessState
			var now bool
			state, now = k.attend(ctx, f, numbers)
			served = served || now
			k.killWorkers()
			switch {
			case k.isStopping():
				err := k.lastEnd(f, state, now)
				return exitCode(err), errors.Join(k.failure(), err)
			case !served:
				return state.ExitCode(), nil
			}
			k.log(proxy.LevelAlert, fmt.Sprintf("the front (pid %d) ended unexpectedly: %s; a new one is started", f.cmd.Process.Pid, state))
			k.noteEnd(state)
			if now {
				pause = 0 // it was not the start that failed
			}
			k.renew()
		}
		if k.rest(ctx, numbers, pause) {
			return 0, nil
		}
		pause = min(max(2*pause, firstPause), longestPause)
	}
}

// lastEnd judges the end of a front that was told to stop. One that had served
// and did not end by itself has lost the requests in progress: the error says
// so, unless nobody was to wait for them.
func (k *Keeper) lastEnd(f *front, state *os.ProcessState, served bool) error {
	if state.Success() || !served {
		return nil
	}
	text := fmt.Sprintf("the front (pid %d) ended while it was stopping: %s", f.cmd.Process.Pid, state)
	k.mu.Lock()
	hurried := k.hurried
	k.mu.Unlock()
	if !hurried {
		text += "; the requests in progress are lost"
	}
	k.log(proxy.LevelAlert, text)
	if hurried {
		return nil
	}
	return errors.New(text)
}

// noteEnd remembers the end of a front that is replaced.
func (k *Keeper) noteEnd(state *os.ProcessState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again = Again{Times: k.again.Times + 1, At: time.Now(), Why: state.String()}
}

// A front that ends before it serves, or cannot be started, is tried again
// after a pause that doubles.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

func exitCode(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// readFirst reads the configuration. It returns nil without an error when the
// server was told to stop meanwhile; what is read by then ends with the process.
func (k *Keeper) readFirst(ctx context.Context, numbers <-chan int) (*Reading, error) {
	type result struct {
		r   *Reading
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := k.read()
		done <- result{r, err}
	}()
	for {
		select {
		case got := <-done:
			return got.r, got.err
		case n := <-numbers:
			if k.postpone(n) {
				return nil, nil
			}
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// rest waits before the next front is started; stopped: there is to be none.
func (k *Keeper) rest(ctx context.Context, numbers <-chan int, pause time.Duration) (stopped bool) {
	over := time.NewTimer(pause)
	defer over.Stop()
	for {
		select {
		case <-over.C:
			return false
		case n := <-numbers:
			if k.postpone(n) {
				return true
			}
		case <-ctx.Done():
			return true
		}
	}
}

// postpone keeps a number for the next front, which takes a few; stopped: it
// is a stop.
func (k *Keeper) postpone(number int) (stopped bool) {
	if len(k.waiting) < maxWaiting {
		k.waiting = append(k.waiting, number)
	}
	return k.stops(number)
}

// maxWaiting bounds the numbers that are kept while there is no front.
const maxWaiting = 16

func (k *Keeper) stops(number int) bool { return number == k.o.Stop || number == k.o.StopNow }

// renew readies the keeper for another front, which gets the configuration
// that serves.
func (k *Keeper) renew() {
	k.settle(false)
	k.settled(false)
	k.mu.Lock()
	k.unseen, k.stopped = k.current, false
	names := k.proven.choose(k.current)
	k.mu.Unlock()
	for _, name := range names {
		k.log(proxy.LevelWarn, fmt.Sprintf("app %q starts with the settings that it came up with last: with its newest ones it has not come up; \"alicorn reload\" tries those again", name))
	}
}

// stop makes the front's end an expected one, with now before the requests in
// progress have ended, and stops listening: whoever binds the same names from
// now on is another server.
func (k *Keeper) stop(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hurried = k.hurried || now
	if !k.stopping && k.o.Stopping != nil {
		k.o.Stopping()
	}
	k.stopping = true
	if k.abandon != nil {
		k.abandon()
	}
	for _, r := range []*Reading{k.current, k.pending} {
		if r == nil {
			continue
		}
		if !k.handed {
			RemoveSockets(r.Generation, nil, k.o.Host.Inherited)
		}
		r.closeListeners()
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
	if !ended(&k.reaping, grace) {
		k.log(proxy.LevelAlert, "workers that were killed have not ended: the system holds them")
	}
}

// end gives back what the readings hold.
func (k *Keeper) end() {
	k.settle(false)
	_, current := k.readings()
	if current == nil {
		return
	}
	if !k.isHandedOver() {
		RemoveSockets(current.Generation, nil, k.o.Host.Inherited)
	}
	current.Generation.Resources.Release()
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
	fmt.Fprintln(os.Stderr, "alicorn: "+proxy.Printable(text))
}
