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

	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy"
)

// WireEnv tells a process that it is a front, and which descriptor its wire is.
const WireEnv = "ALICORN_WIRE"

// AgainEnv tells a front that it replaces one that has served.
const AgainEnv = "ALICORN_AGAIN"

// Options are what a Keeper is made of.
type Options struct {
	Host *Local
	User Identity // that the front runs as
	// Read reads the configuration anew and compiles it, with listeners and
	// files from res.
	Read func(res *config.Resources) (*Reading, error)
	// Program is sent to the front with each configuration.
	Program json.RawMessage
	// Control binds the control API's socket. With gone it does so only when
	// the name of the socket that it made before is gone, else it returns nil.
	Control func(gone bool) (*os.File, error)
	// Serving is called once, when the first configuration serves, with the
	// status of Client.Serving. An error stops the server.
	Serving func(status json.RawMessage) error
	// Loading is called when a reload begins, Settled when it has ended, and
	// Stopping, once, when the server begins to stop. Each may be nil.
	Loading  func()
	Settled  func(ok bool)
	Stopping func()
	// Trouble is called with the text of Client.Trouble, when that changes.
	// It may be nil.
	Trouble func(text string)
	// Numbers of commands that the keeper acts on, too.
	Stop, StopNow, Reopen int
	// Alive is the number of the command that the front answers at once.
	Alive int
	// Upgrade is the number of the command to upgrade. HandOver starts the
	// process that takes over the sockets and returns when it serves; an error
	// changes nothing. Retire is the number of the command that ends the front
	// after an upgrade.
	Upgrade  int
	Retire   int
	HandOver func(ctx context.Context, sockets []*os.File) error
	// Front is the program to run as the front; "" is this program.
	Front string
}

// Keeper is the privileged side of a server of two processes. Run moves it
// from state to state; mu guards the fields that calls of the front use.
//
// The states, who waits for whom in each, and what ends each wait:
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
// A write to the wire takes 10 s at most: then the wire ends. A front
// whose wire has ended is killed after 5 s. A front that ends unasked is
// replaced, at once if it has served, else after a pause that doubles up to
// 10 s. When a front crashes while the server stops, its requests are lost, and
// the exit code says so.
type Keeper struct {
	o          Options
	serving    chan json.RawMessage // capacity 1: only the first counts
	alive      chan struct{}        // capacity 1: the front has answered Alive
	handedOver chan struct{}        // capacity 1: another process serves
	upgrades   sync.WaitGroup       // attempts, and their answers
	asked      chan struct{}        // capacity maxAsked: a place for each question being answered
	calls      sync.WaitGroup       // questions of the front being answered
	reaping    sync.WaitGroup       // workers being waited for
	reading    sync.Mutex           // held while the configuration is read for a front
	reserve    *Reserve
	waiting    []int // commands that came while there was no front; only Run uses it

	mu        sync.Mutex
	current   *Reading // of the configuration that serves
	pending   *Reading // the one being loaded
	unseen    *Reading // the answer to the next question for a configuration
	count     uint64   // number of the newest reading
	past      past     // earlier versions of the apps of current
	proven    proven   // the versions that have come up
	front     *wire    // nil while there is none
	workers   map[int]pool.Process
	runs      map[int]run // by worker: the app as it was started
	starting  int         // workers being started, not in runs yet
	failed    error       // why Serving stopped the server
	life      life
	again     Again
	replacing bool               // a front that replaces another one comes up with current
	stopped   bool               // no further worker is started
	handed    bool               // another process has taken over
	abandon   context.CancelFunc // ends the upgrade under way; nil: there is none
	reason    string             // why the front did not come up, in its own words

	// What spawn sets, and settle uses only while the wire of that front is served.
	pid     int    // of the front
	given   bool   // worker_priority has set its priority
	refused string // why it has not the priority that the configuration says; "": it has
}

// life is what the keeper has been told about the end of the server.
type life uint8

const (
	lifeServing   life = iota // nothing: a front that ends is replaced
	lifeFinishing             // to stop when the requests in progress have ended
	lifeHurried               // to stop without waiting for them
)

// New returns a Keeper; it starts nothing.
func New(o Options) *Keeper {
	return &Keeper{o: o, asked: make(chan struct{}, maxAsked), serving: make(chan json.RawMessage, 1), alive: make(chan struct{}, 1), handedOver: make(chan struct{}, 1), reserve: NewReserve(reserved), workers: map[int]pool.Process{}, runs: map[int]run{}, past: past{}, proven: newProven()}
}

// Run keeps a front running until it is told to stop, and returns the exit
// code. numbers are the commands of signals: those of Options, and others that
// it passes to the front. Once a front has served, one that ends unasked is
// replaced.
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
	var pauses pauses
	for served := false; ; {
		f, err := k.spawn()
		now := false
		switch {
		case err != nil && !served:
			return 1, err
		case err != nil:
			k.log(proxy.LevelAlert, err.Error()+"; it is tried again")
		default:
			var state *os.ProcessState
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
			why := state.String()
			if reason := k.takeReason(); reason != "" {
				why = reason
			}
			k.log(proxy.LevelAlert, fmt.Sprintf("the front (pid %d) ended unexpectedly: %s; a new one is started", f.cmd.Process.Pid, why))
			k.noteEnd(state)
			k.renew()
		}
		if k.rest(ctx, numbers, pauses.after(now)) {
			return 0, nil
		}
	}
}

// lastEnd returns an error when a front that was told to stop has crashed, and
// so lost the requests in progress. There is no error when the front had not
// served, or the server was not to wait for requests.
func (k *Keeper) lastEnd(f *front, state *os.ProcessState, served bool) error {
	if state.Success() || !served {
		return nil
	}
	text := fmt.Sprintf("the front (pid %d) ended while it was stopping: %s", f.cmd.Process.Pid, state)
	k.mu.Lock()
	hurried := k.life == lifeHurried
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

// noteEnd counts a front that is replaced, for Client.Again.
func (k *Keeper) noteEnd(state *os.ProcessState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again = Again{Times: k.again.Times + 1, At: time.Now(), Why: state.String()}
}

// pauses are those before another front is started. The first one after a front that has
// served is none: its start has not failed, however short its life was. Each one after a
// front that ends before it serves, or cannot be started, is twice as long as the one before.
type pauses struct{ next time.Duration }

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// after returns the pause after a front. served: it has served.
func (p *pauses) after(served bool) time.Duration {
	if served {
		p.next = 0
	}
	pause := p.next
	p.next = min(max(2*pause, firstPause), longestPause)
	return pause
}

func exitCode(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// readFirst reads the configuration. It returns nil without an error when the
// server was told to stop meanwhile.
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

// rest waits before the next front is started. stopped: the server was told to
// stop meanwhile.
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

// postpone keeps a command for the next front, up to maxWaiting. stopped: the
// command is a stop.
func (k *Keeper) postpone(number int) (stopped bool) {
	if len(k.waiting) < maxWaiting {
		k.waiting = append(k.waiting, number)
	}
	return k.stops(number)
}

// maxWaiting bounds the commands that are kept while there is no front.
const maxWaiting = 16

func (k *Keeper) stops(number int) bool { return number == k.o.Stop || number == k.o.StopNow }

// renew prepares for another front, which gets the configuration that serves.
func (k *Keeper) renew() {
	k.settle(false)
	k.settled(false)
	k.mu.Lock()
	k.unseen, k.stopped, k.replacing = k.current, false, true
	names := k.proven.choose(k.current)
	k.mu.Unlock()
	for _, name := range names {
		k.log(proxy.LevelWarn, fmt.Sprintf("app %q starts with its earlier settings, since it did not come up with the newest ones; \"alicorn reload\" tries those again", name))
	}
}

// stop stops listening, and makes the end of the front an expected one; with now
// the front does not wait for the requests in progress. From then on another
// server may bind the same names.
func (k *Keeper) stop(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life == lifeServing && k.o.Stopping != nil {
		k.o.Stopping()
	}
	k.life = max(k.life, lifeFinishing)
	if now {
		k.life = lifeHurried
	}
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
	return k.life != lifeServing
}

func (k *Keeper) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// killWorkers kills the workers of a front that is gone.
func (k *Keeper) killWorkers() {
	k.mu.Lock()
	k.stopped = true
	for _, p := range k.workers {
		_ = p.Signal(syscall.SIGKILL) // it may have ended meanwhile
	}
	k.mu.Unlock()
	if !ended(&k.reaping, grace) {
		k.log(proxy.LevelAlert, "killed workers have not ended: the system holds them up")
	}
}

// end releases what the readings hold.
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
