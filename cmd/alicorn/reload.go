package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
	"alicorn/config"
	"alicorn/proxy"
)

// reloading is a reload that a caller has asked for and, once reply has the result,
// the fates of the applications.
type reloading struct {
	options control.Reload
	reply   chan error // may be nil
	fates   []control.Fate
}

// reloader loads one configuration at a time. Reloads that are asked for meanwhile
// become one more, of the newest configuration, and every caller gets the result.
// The next configuration may be loaded as soon as one serves: it does not wait for
// new workers that are not ready yet.
type reloader struct {
	s       *server
	running bool
	waiting []*reloading // callers that wait for the running reload
	next    []*reloading // callers that wait for the one after it
	done    chan loading
	cancel  context.CancelFunc // ends the running reload

	settling sync.WaitGroup  // callers that wait for new workers
	life     context.Context // ends their waits
	end      context.CancelFunc
}

// loading is how the load of a configuration has ended.
type loading struct {
	// settle returns the fates of the applications, once they are known.
	settle func(ctx context.Context) ([]control.Fate, error)
	err    error
}

func newReloader(s *server) *reloader {
	r := &reloader{s: s, done: make(chan loading, 1)}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

func (r *reloader) ask(ctx context.Context, a *reloading) {
	if r.running {
		r.next = append(r.next, a)
		r.s.queued.Store(int64(len(r.next)))
		return
	}
	r.run(ctx, []*reloading{a})
}

// run starts one reload for all callers, with the options of all of them.
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
		settle, err := r.s.reload(ctx, o)
		if err != nil {
			r.s.failures.note("reload", err)
		}
		r.done <- loading{settle, err}
	}()
}

// finished answers the callers that wait for the running reload, and starts the next one.
func (r *reloader) finished(ctx context.Context, l loading) {
	r.cancel()
	waiting, next := r.waiting, r.next
	r.running, r.waiting, r.next = false, nil, nil
	r.s.queued.Store(0)
	if l.err != nil {
		tell(waiting, nil, l.err)
	} else {
		r.settling.Go(func() {
			fates, err := l.settle(r.life)
			r.s.failures.note("reload", err)
			tell(waiting, fates, err)
		})
	}
	if len(next) > 0 {
		r.run(ctx, next)
	}
}

// tell gives a reload's result to all that wait for it.
func tell(waiting []*reloading, fates []control.Fate, err error) {
	for _, a := range waiting {
		a.fates = fates
		respond(a.reply, err)
	}
}

// abandonPatience is how long a stop waits for the end of a reload.
const abandonPatience = 5 * time.Second

// abandon ends the running reload, if there is one, and answers the callers that wait.
func (r *reloader) abandon() {
	r.end()
	r.settling.Wait()
	if !r.running {
		return
	}
	r.cancel()
	err := errStopping
	select {
	case l := <-r.done:
		if l.err != nil {
			err = l.err
		}
	case <-time.After(abandonPatience): // it waits for a file or a name server, and will not serve
	}
	tell(append(r.waiting, r.next...), nil, err)
}

// reload replaces the running generation by one of the newest configuration.
// A mistake in the configuration changes nothing. reload returns once the new one
// serves, and logs that were moved are reopened. Applications that have changed get new
// workers, and settle waits for them. An application that does not come up keeps its
// workers, and a log that cannot be opened its file; settle's error names it.
func (s *server) reload(ctx context.Context, o control.Reload) (settle func(context.Context) ([]control.Fate, error), err error) {
	s.renewControl()
	s.p.origin.notify.reloading()
	swapped := false
	defer func() { s.p.origin.notify.reloaded(swapped) }()
	old := s.loaded()
	tree, err := s.p.read()
	ld, err := s.bring(ctx, tree, err, old.generation.Resources.Next(s.host), appserver.Policy{
		Survey: !s.p.single, Keep: !o.All && !s.p.single, Replace: o.Apps, Alone: !o.AllOrNothing, Early: !o.AllOrNothing && !s.p.single,
	})
	if err != nil {
		if ctx.Err() != nil {
			err = errStopping // only a stop ends ctx, and that is the cause of the error
		} else {
			err = errors.New(words(err))
		}
		old.generation.LogTo(proxy.LevelEmerg, "reload failed, the old configuration goes on: "+err.Error())
		return nil, err
	}
	if swapped = s.swap(ld); !swapped {
		ld.generation.Stop(cancelled())
		s.undo(ld.generation.Resources)
		return nil, errStopping
	}
	logErr := s.reopenMoved()
	if names := appserver.RolloutOf(ld.main).Starting(); len(names) > 0 {
		ld.generation.LogTo(proxy.LevelLife, fmt.Sprintf("the new configuration serves; new workers start: %s", listed(names)))
	}
	return func(ctx context.Context) ([]control.Fate, error) {
		fates, err := s.settle(ctx, ld)
		return fates, errors.Join(logErr, err)
	}, nil
}

// settle waits for the new workers of ld, and logs the result.
func (s *server) settle(ctx context.Context, ld *loaded) ([]control.Fate, error) {
	outcomes, err := appserver.RolloutOf(ld.main).Outcomes(ctx)
	g := s.loaded().generation // it may be newer than ld's; its logs are open
	if err != nil {
		g.LogTo(proxy.LevelEmerg, "the reload has not finished: "+errStopping.Error())
		return nil, errStopping
	}
	fates, err := fatesOf(outcomes)
	if err != nil {
		g.LogTo(proxy.LevelEmerg, "the reload is done, except for applications that did not come up: "+err.Error())
	} else {
		g.LogTo(proxy.LevelLife, "reloaded"+summary(fates))
	}
	return fates, err
}

// listed returns the first few of names as text.
func listed(names []string) string {
	const most = 10
	if n := len(names); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

// fatesOf returns the applications' fates, and an error about those that have failed.
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

// words returns the lines of err, with the hints of a configuration's mistakes.
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
