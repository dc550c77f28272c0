package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// attack is one way to harm a server that serves others too.
type attack struct {
	name string
	does string
	// separate says that the harm stays inside the application only if applications run
	// as users of their own, for which the server must be started as root.
	separate bool
	// run attacks until ctx ends.
	run func(a *assault, ctx context.Context)
}

// target is the server that is attacked: its addresses, and the commands to operate it.
type target struct {
	Ordinary string   // the site that others visit
	Secure   string   // the same by TLS
	Limited  string   // the same behind limit_req and a costly regular expression
	Hostile  string   // the application that is an attacker itself
	Reload   []string // command
	Status   []string // command
	Env      []string // of the commands
}

// assault is an attack that runs.
type assault struct {
	target
	tries atomic.Int64 // what was tried so far, whatever came of it
}

// attacks returns all attacks: by clients, by an application, and by an operator.
func attacks() []attack {
	return slices.Concat(clientAttacks(), applicationAttacks(), []attack{
		{name: "reloads", does: "an operator reloads twice a second and asks for the status", run: (*assault).reload},
	})
}

// chooseAttacks returns the attacks of a comma-separated list; all if the list is empty.
func chooseAttacks(list string) ([]attack, error) {
	all := attacks()
	if list == "" {
		return all, nil
	}
	var chosen []attack
	for _, name := range fields(list) {
		i := slices.IndexFunc(all, func(a attack) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown attack %q; there are %s", name, attackNames())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func attackNames() string { return names(attacks(), func(a attack) string { return a.name }) }

// each runs one in n goroutines, over and over with a pause between, until ctx
// ends.
func each(ctx context.Context, n int, pause time.Duration, one func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				one(i)
				sleep(ctx, pause)
			}
		})
	}
	wg.Wait()
}

// sleep waits for d, or until ctx ends. It returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// reload is the operator's attack.
func (a *assault) reload(ctx context.Context) {
	commands := [][]string{a.Reload, a.Status}
	each(ctx, len(commands), 500*time.Millisecond, func(i int) {
		cmd := exec.CommandContext(ctx, commands[i][0], commands[i][1:]...)
		cmd.Env = append(os.Environ(), a.Env...)
		a.tries.Add(1)
		cmd.Run() // one that the server refuses was a try too
	})
}

// launched is a group of attacks that runs.
type launched struct {
	tried <-chan struct{}                  // closed once each has tried something, or can no longer
	end   func() (map[string]int64, error) // ends them and returns how much each tried, by name
}

// launchAttacks runs attacks in a separate process at a low priority: a real attacker
// has his own machine, so that his work must not slow down the server's.
func launchAttacks(group []attack, t target) (*launched, error) {
	aim, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	attacker, err := startAssistant(startNicer, "attack", names(group, func(a attack) string { return a.name }), string(aim))
	if err != nil {
		return nil, fmt.Errorf("cannot start an attack: %w", err)
	}
	tried, report := make(chan struct{}), make(chan attackReport, 1)
	go func() { report <- readAttack(attacker.stdout, tried) }()
	return &launched{tried: tried, end: func() (map[string]int64, error) {
		var r attackReport
		if err := attacker.end(func() { r = <-report }); err != nil {
			return nil, fmt.Errorf("cannot attack: %w", err)
		}
		return r.tries, r.err
	}}, nil
}

// attackReport is the output of a process that attacks.
type attackReport struct {
	tries map[string]int64
	err   error
}

// readAttack reads the output of runAttack. It closes tried after the first value, or at
// the end if there is none.
func readAttack(r io.Reader, tried chan<- struct{}) (report attackReport) {
	values := json.NewDecoder(r)
	var first bool
	err := values.Decode(&first)
	close(tried)
	if err == nil {
		err = values.Decode(&report.tries)
	}
	if err != nil {
		report.err = fmt.Errorf("cannot read what an attack tried: %w", err)
	}
	return report
}

// runAttack is the process that launchAttacks starts. It ends when its standard input
// ends. It writes two values: true when each attack has tried something, and at the end
// how often each has tried.
func runAttack(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: attack NAMES TARGET, as the hostile mode runs it")
	}
	var t target
	if err := json.Unmarshal([]byte(args[1]), &t); err != nil {
		return fmt.Errorf("cannot read the target: %w", err)
	}
	group, err := chooseAttacks(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	values := json.NewEncoder(os.Stdout)
	tries := assail(ctx, group, t, func() { err = values.Encode(true) })
	return errors.Join(err, values.Encode(tries))
}

// startNicer starts cmd with a lower priority than this process has. For Linux a priority is
// one thread's. A process gets that of the thread that starts it, and its threads inherit it.
func startNicer(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		err := lowerPriority()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// lowerPriority makes the calling thread nicer.
func lowerPriority() error {
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return fmt.Errorf("cannot ask for the priority: %w", err)
	}
	nice := 20 - raw // what the system call returns, see getpriority(2)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(nice+10, 19)); err != nil {
		return fmt.Errorf("cannot lower the priority: %w", err)
	}
	return nil
}

// assail runs the attacks at once until ctx ends, and returns how often each has tried. It
// calls tried once: when each has tried something, or at the end.
func assail(ctx context.Context, group []attack, t target, tried func()) map[string]int64 {
	running := make([]assault, len(group))
	var wg sync.WaitGroup
	wg.Go(func() {
		idle := func(i int) bool { return running[i].tries.Load() == 0 }
		for i := range running {
			for idle(i) && sleep(ctx, 10*time.Millisecond) {
			}
		}
		tried()
	})
	for i := range group {
		running[i].target = t
		wg.Go(func() { group[i].run(&running[i], ctx) })
	}
	wg.Wait()
	tries := make(map[string]int64, len(group))
	for i := range group {
		tries[group[i].name] = running[i].tries.Load()
	}
	return tries
}
