package main

import (
	"context"
	"sync/atomic"
)

// firstStart is the state from the first open address until an application is ready,
// or all have failed. Meanwhile the server answers requests and verbs and can be
// stopped; commands that change what it serves are held back. Everything except
// serving and isOver belongs to the goroutine of server.run.
type firstStart struct {
	// serving is called when the first application is ready; an error ends the
	// server. It may be nil.
	serving func() error

	outcome chan error // capacity 1; nil once the outcome is known
	cancel  context.CancelFunc
	held    []command
	over    atomic.Bool
}

// then has next called after serving.
func (f *firstStart) then(next func()) {
	serving := f.serving
	f.serving = func() error {
		if serving != nil {
			if err := serving(); err != nil {
				return err
			}
		}
		next()
		return nil
	}
}

// watch runs verdict, which returns whether an application can be served.
func (f *firstStart) watch(verdict func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	outcome := make(chan error, 1)
	f.outcome = outcome
	go func() { outcome <- verdict(ctx) }()
}

// hold keeps c back, and returns true, while the outcome is unknown.
func (f *firstStart) hold(c command) bool {
	if f.outcome != nil {
		f.held = append(f.held, c)
	}
	return f.outcome != nil
}

// decided returns the commands that were held back, or the error that ends the server.
func (f *firstStart) decided(err error) (held []command, _ error) {
	f.outcome = nil
	if err == nil && f.serving != nil {
		err = f.serving()
	}
	if err == nil {
		f.over.Store(true)
		held, f.held = f.held, nil
	}
	return held, err
}

// isOver reports whether the server has served.
func (f *firstStart) isOver() bool { return f.over.Load() }

// end waits for verdict, and answers the commands that are still held back.
func (f *firstStart) end() {
	f.cancel()
	if f.outcome != nil {
		<-f.outcome
	}
	for _, c := range f.held {
		respond(c.reply, errStopping)
	}
}
