package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
	"alicorn/config"
	"alicorn/proxy"
)

// reloading is a reload that somebody asks for, and, once reply has its result,
// what became of the applications.
type reloading struct {
	options control.Reload
	reply   chan error // may be nil
	fates   []control.Fate
}

// reloader runs one reload at a time. What is asked for meanwhile becomes one
// more reload, of the newest configuration, and every caller gets its result.
type reloader struct {
	s       *server
	running bool
	waiting []*reloading // for the running one
	next    []*reloading // for the one after it
	done    chan error
	fates   []control.Fate     // of the running one, once done has its result
	cancel  context.CancelFunc // of the running one
}

func (r *reloader) ask(ctx context.Context, a *reloading) {
	if r.running {
		r.next = append(r.next, a)
		r.s.queued.Store(int64(len(r.next)))
		return
	}
	r.run(ctx, []*reloading{a})
}

// run starts a reload for all that ask for it: it does what any of them wants.
func (r *reloader) run(ctx context.Context, asked []*reloading) {
	var o control.Reload
	for _, a := range asked {
		o.Apps = append(o.Apps, a.options.Apps...)
		o.All = o.All || a.options.All
		o.AllOrNothing = o.AllOrNothing || a.options.AllOrNothing
	}
	r.running, r.waiting = true, asked
	ctx, r.cancel = context.WithCancel(ctx)
	go func() {
		var err error
		r.fates, err = r.s.reload(ctx, o)
		r.done <- err
	}()
}

func (r *reloader) finished(ctx context.Context, err error) {
	r.cancel()
	r.answer(err)
	next := r.next
	*r = reloader{s: r.s, done: r.done}
	r.s.queued.Store(0)
	if len(next) > 0 {
		r.run(ctx, next)
	}
}

// answer gives the running reload's result to all that wait for it.
func (r *reloader) answer(err error) {
	for _, a := range r.waiting {
		a.fates = r.fates
		respond(a.reply, err)
	}
}

// abandonPatience is how long a stop waits for the end of a reload.
const abandonPatience = 5 * time.Second

// abandon ends the running reload, if there is one, and answers who waits.
func (r *reloader) abandon() {
	if !r.running {
		return
	}
	r.cancel()
	err := errStopping
	select {
	case err = <-r.done:
	case <-time.After(abandonPatience): // it reads what does not come, and will not serve any more
	}
	r.answer(err)
	for _, a := range r.next {
		respond(a.reply, errStopping)
	}
}

// reload replaces the running generation by one of the newest configuration,
// and of the applications those that have changed. A mistake in the
// configuration changes nothing. An application that does not come up keeps
// its workers; the error names it, and all else is new.
func (s *server) reload(ctx context.Context, o control.Reload) (fates []control.Fate, err error) {
	s.p.origin.notify.reloading()
	swapped := false
	defer func() { s.p.origin.notify.reloaded(swapped) }()
	old := s.loaded()
	tree, err := s.p.read()
	ld, err := s.bring(ctx, tree, err, old.generation.Resources.Next(s.host), appserver.Policy{
		Survey: !s.p.single, Keep: !o.All && !s.p.single, Replace: o.Apps, Alone: !o.AllOrNothing,
	})
	if err != nil {
		if ctx.Err() != nil {
			err = errStopping // nothing else ends ctx; what fails then fails for that
		} else {
			err = errors.New(words(err))
		}
		old.generation.LogTo(proxy.LevelEmerg, "reload failed, the old configuration goes on: "+err.Error())
		return nil, err
	}
	if swapped = s.swap(ld); !swapped {
		ld.generation.Stop(cancelled())
		ld.generation.Resources.Release()
		return nil, errStopping
	}
	fates, err = fatesOf(appserver.RolloutOf(ld.main).Outcomes())
	if err != nil {
		ld.generation.LogTo(proxy.LevelEmerg, "reloaded but for what has not come up: "+err.Error())
	} else {
		ld.generation.LogTo(proxy.LevelLife, "reloaded"+summary(fates))
	}
	return fates, err
}

// fatesOf are the applications' fates, and an error of those that failed.
func fatesOf(outcomes []appserver.Outcome) (fates []control.Fate, err error) {
	var failed []error
	for _, o := range outcomes {
		fates = append(fates, control.Fate{App: o.App, Fate: string(o.Fate), Why: o.Why, Error: o.Error})
		if o.Error != "" {
			failed = append(failed, errors.New(o.Error))
		}
	}
	return fates, errors.Join(failed...)
}

// summary says in a few words which applications have new workers.
func summary(fates []control.Fate) string {
	var parts []string
	for _, f := range fates {
		if f.Fate != string(appserver.Kept) && len(parts) < 10 {
			parts = append(parts, fmt.Sprintf("app %q %s", f.App, f.Fate))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
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
