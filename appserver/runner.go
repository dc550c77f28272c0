package appserver

import (
	"context"
	"sync"
	"time"

	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
)

// runner is a program of a version, with the pool that runs it. It is the pool's Observer.
type runner struct {
	*pool.Pool
	program *program
	version *version
}

// newRunner returns a runner of p, which does not run yet.
func newRunner(v *version, p *program) *runner {
	r := &runner{program: p, version: v}
	launch := v.app.Launch
	if l := v.rt.o.Launcher; l != nil {
		launch = l.For(v.app.Name)
	}
	r.Pool = pool.New(pool.Options{
		Settings: p.Settings, Observer: r, Launch: launch, ParseHead: gateway.ParseHead, ParseAccept: gateway.ParseAccept, ParseFields: gateway.ParseFields, Imports: v.rt.imports, Loops: v.rt.o.Loops,
	})
	return r
}

// Reported implements pool.Observer. Static folders are those of the program that answers
// requests.
func (r *runner) Reported(all []pool.Report) {
	if r == r.version.runners[0] {
		r.version.folders.agree(all)
	}
}

// Noted implements pool.Observer.
func (r *runner) Noted(kind, path, stamp string) { r.version.noted(kind, path, stamp) }

// Ended implements pool.Observer.
func (r *runner) Ended() { r.version.rt.remove(r.Pool) }

// runners are the runners of one version, which start, serve and end together.
type runners []*runner

// Start starts all pools.
func (all runners) Start() {
	for _, r := range all {
		r.Pool.Start()
	}
}

// SetLogs sets the logs of all pools.
func (all runners) SetLogs(l pool.Logs) {
	for _, r := range all {
		r.Pool.SetLogs(l)
	}
}

// Await returns nil once all are ready, or the error of the first that has not come up.
func (all runners) Await(ctx context.Context) error {
	for _, r := range all {
		if err := r.Pool.Await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Outcome returns whether all are ready, and why one of them has not come up.
func (all runners) Outcome() (ready bool, failed *pool.BootError) {
	ready = true
	for _, r := range all {
		its, why := r.Pool.Outcome()
		if why != nil {
			return false, why
		}
		ready = ready && its
	}
	return ready, nil
}

// First returns a channel that is closed when all have come up once, one has failed to, or all
// have ended.
func (all runners) First() <-chan struct{} {
	first := make(chan struct{})
	go func() {
		defer close(first)
		for _, r := range all {
			select {
			case <-r.Pool.First():
			case <-r.Pool.Done():
			}
			if _, failed := r.Pool.Outcome(); failed != nil {
				return
			}
		}
	}()
	return first
}

// Speak makes all pools log failed starts; see pool.Pool.
func (all runners) Speak(missed bool) {
	for _, r := range all {
		r.Pool.Speak(missed)
	}
}

// Succeed makes all pools end once they have answered their requests: a newer version serves.
func (all runners) Succeed() {
	for _, r := range all {
		r.Pool.Succeed()
	}
}

// IsSucceeded reports whether Succeed was called.
func (all runners) IsSucceeded() bool { return all[0].Pool.IsSucceeded() }

// Stop ends all pools; see pool.Pool.
func (all runners) Stop(ctx context.Context) { all.each(func(r *runner) { r.Pool.Stop(ctx) }) }

// Finish waits until all pools have ended; see pool.Pool.
func (all runners) Finish(ctx context.Context) { all.each(func(r *runner) { r.Pool.Finish(ctx) }) }

func (all runners) each(f func(r *runner)) {
	var wg sync.WaitGroup
	for _, r := range all[1:] {
		wg.Go(func() { f(r) })
	}
	f(all[0])
	wg.Wait()
}

// IsBroken reports whether one pool serves nothing and its last start has failed.
func (all runners) IsBroken() bool {
	for _, r := range all {
		if r.Pool.IsBroken() {
			return true
		}
	}
	return false
}

// Serves reports whether all pools have come up, and their last starts have not failed.
func (all runners) Serves() bool {
	for _, r := range all {
		if !r.Pool.Serves() {
			return false
		}
	}
	return true
}

// Failure returns why the last start of a pool has failed, and the time of its next try; nil
// if none has.
func (all runners) Failure() (e *pool.BootError, next time.Time) {
	for _, r := range all {
		if e, next = r.Pool.Failure(); e != nil {
			return e, next
		}
	}
	return nil, time.Time{}
}
