package main

import (
	"context"
	"errors"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// reloader runs one reload at a time. What is asked for meanwhile becomes one
// more reload, of the newest configuration, and every caller gets its result.
type reloader struct {
	s       *server
	running bool
	waiting []chan error // for the running one
	next    []chan error // for the one after it
	again   bool
	done    chan error
	cancel  context.CancelFunc // of the running one
}

func (r *reloader) ask(ctx context.Context, reply chan error) {
	if r.running {
		r.next, r.again = append(r.next, reply), true
		r.s.queued.Store(int64(len(r.next)))
		return
	}
	r.running, r.waiting = true, append(r.waiting, reply)
	ctx, r.cancel = context.WithCancel(ctx)
	go func() { r.done <- r.s.reload(ctx) }()
}

func (r *reloader) finished(ctx context.Context, err error) {
	r.cancel()
	for _, reply := range r.waiting {
		respond(reply, err)
	}
	next, again := r.next, r.again
	*r = reloader{s: r.s, done: r.done}
	r.s.queued.Store(0)
	if again {
		r.ask(ctx, nil)
		r.waiting = append(r.waiting, next...)
	}
}

// abandon ends the running reload, if there is one, and answers who waits.
func (r *reloader) abandon() {
	if !r.running {
		return
	}
	r.cancel()
	err := <-r.done
	for _, reply := range r.waiting {
		respond(reply, err)
	}
	for _, reply := range r.next {
		respond(reply, errStopping)
	}
}

// reload replaces the running generation by one of the newest configuration.
// When that does not come up, nothing changes.
func (s *server) reload(ctx context.Context) (err error) {
	s.p.origin.notify.reloading()
	defer func() { s.p.origin.notify.reloaded(err == nil) }()
	old := s.loaded()
	tree, err := s.p.read()
	ld, err := s.bring(ctx, tree, err, old.generation.Resources.Next(s.host))
	if err != nil {
		old.generation.LogTo(proxy.LevelEmerg, "reload failed, the old configuration goes on: "+words(err))
		return errors.New(words(err))
	}
	s.swap(ld)
	ld.generation.LogTo(proxy.LevelNotice, "reloaded")
	return nil
}

// words are the lines of err, with the hints of a configuration's mistakes.
func words(err error) string {
	var many config.Errors
	if !errors.As(err, &many) {
		return err.Error()
	}
	var b strings.Builder
	for i, e := range many {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(mistake(e))
	}
	return b.String()
}
