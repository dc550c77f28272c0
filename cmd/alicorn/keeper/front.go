package keeper

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// grace is how long the keeper waits for what should end by itself: a front
// whose wire has ended, killed workers, calls of a front that is gone.
const grace = 5 * time.Second

// lastPatience is how long a front may take to end after a second stop.
const lastPatience = 10 * time.Second

// front is one front process.
type front struct {
	cmd  *exec.Cmd
	wire *wire
	done chan struct{} // closed when its process is reaped and its wire is read to the end
}

// spawn starts a front with the user's credentials, and its Priority.
func (k *Keeper) spawn() (f *front, err error) {
	err = k.reserve.Spend(func() (err error) { f, err = k.startFront(); return err })
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.front = f.wire
	k.mu.Unlock()
	k.pid, k.given, k.refused = f.cmd.Process.Pid, false, ""
	pending, current := k.readings()
	k.prioritize(cmp.Or(current, pending))
	return f, nil
}

func (k *Keeper) startFront() (*front, error) {
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
	cmd := k.frontCommand(end)
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot start the front as user %q: %w", k.o.User.Name, err)
	}
	return &front{cmd: cmd, wire: w, done: make(chan struct{})}, nil
}

func (k *Keeper) frontCommand(wire *os.File) *exec.Cmd {
	path := k.o.Front
	if path == "" {
		path = "/proc/self/exe"
	}
	cmd := exec.Command(path)
	cmd.Args = []string{"alicorn: front"}
	cmd.Env = append(os.Environ(), WireEnv+"="+strconv.Itoa(3))
	if _, current := k.readings(); current != nil {
		cmd.Env = append(cmd.Env, AgainEnv+"=1")
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{wire}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal sends Ctrl-C to the keeper alone
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = k.o.User.credential()
	}
	return cmd
}

func (id Identity) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	for _, g := range id.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// attend serves f until its process has ended. served: it has served.
func (k *Keeper) attend(ctx context.Context, f *front, numbers <-chan int) (state *os.ProcessState, served bool) {
	go k.await(f)
	for _, n := range k.waiting {
		k.command(f, n)
	}
	k.waiting = nil
	cancelled := ctx.Done()
	for {
		select {
		case n := <-numbers:
			k.command(f, n)
		case <-k.handedOver:
			if !k.isStopping() {
				k.stop(false)
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
			select {
			case <-k.serving: // the front ended right after
				served = true
			default:
			}
			return f.cmd.ProcessState, served
		}
	}
}

// await answers f until its wire ends, and then waits for its process. A front
// ends by itself without its wire; one that does not is killed.
func (k *Keeper) await(f *front) {
	defer close(f.done)
	k.serve(f.wire)
	t := time.AfterFunc(grace, func() { _ = f.cmd.Process.Kill() })
	_ = f.cmd.Wait() // ProcessState has the result
	t.Stop()
	f.wire.Close()
	ended(&k.calls, grace)
}

// ended waits for wg, but not longer than within: a process that the system
// holds up must not hold up the keeper. It reports whether wg is done.
func ended(wg *sync.WaitGroup, within time.Duration) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
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

// onServing hands status, the front's first, to the loop in attend.
func (k *Keeper) onServing(status []byte) {
	select {
	case k.serving <- status:
	default:
	}
}

// command passes the command of a signal to f, and acts on it where it concerns the keeper.
func (k *Keeper) command(f *front, number int) {
	if number == k.o.Upgrade {
		k.upgrades.Go(func() { _ = k.upgrade() }) // upgrade logs its error
		return
	}
	if k.stops(number) {
		now := number == k.o.StopNow || k.isStopping()
		if now {
			number = k.o.StopNow
			time.AfterFunc(lastPatience, func() { _ = f.cmd.Process.Kill() })
		}
		k.stop(now)
	}
	if number == k.o.Reopen {
		k.reopen(false)
	}
	k.send(f.wire, &message{Kind: tellCommand, Number: number})
}
