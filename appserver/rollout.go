package appserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"alicorn/config"
)

// Policy says how the applications of a generation start. The zero Policy starts new workers
// for every application, and makes the start fail if one of them does not come up.
type Policy struct {
	// Survey records the applications' files, so that a later Rollout can let unchanged
	// applications keep their workers.
	Survey bool
	// Ours are files and folders of the server, which do not belong to applications.
	Ours []string
	// Keep lets unchanged applications keep their workers. It needs Survey.
	Keep bool
	// Replace names applications that get new workers although they are unchanged.
	Replace []string
	// Alone lets the generation start without an application that does not come up. That
	// application keeps its workers or, if it has none, tries again and again.
	Alone bool
	// Early lets the generation serve before its applications are ready. Requests go to the
	// workers that an application has, or wait. It needs Alone.
	Early bool
	// Gate makes the start fail if no application comes up and the generation serves nothing
	// else. It is for a start that is not Early.
	Gate bool
	// Patience is how long a start that is not Early waits for applications. An application
	// that is not ready by then goes on starting. 0: there is no bound.
	Patience time.Duration
}

// Fate is the result for one application when a generation has started.
type Fate string

// The fates.
const (
	Kept     Fate = "kept"     // its workers go on
	Replaced Fate = "replaced" // new workers have taken over
	Started  Fate = "started"  // it has workers for the first time
	Failed   Fate = "failed"   // it has not come up; the workers that it had, if any, go on
)

// Outcome is the fate of one application and its reason.
type Outcome struct {
	App  string `json:"app"`
	Fate Fate   `json:"fate"`
	Why  string `json:"why,omitempty"`
	// Error says why the application has not come up; "": it has.
	Error string `json:"error,omitempty"`
}

// Rollout starts the applications of one generation. The generation calls start, commit and
// stop.
type Rollout struct {
	Policy Policy // to be set before the generation starts

	rt     *Runtime
	apps   []*App
	logs   func() *slog.Logger
	parts  []*part
	others bool // the generation serves something without an application

	temporary []string // folders of temporary files, each once
}

// part is one application of a Rollout.
type part struct {
	app     *App
	service *service
	version *version // the new version; nil: the application keeps the one it has
	attempt *attempt // replaces the current version by the new one; nil: the new one is used at once
	fate    Fate
	why     string // the reason of fate, for people
	err     error  // a *pool.BootError, or why the start was given up
}

// RolloutOf returns the Rollout of the configuration with this main Scope.
func RolloutOf(main *config.Scope) *Rollout {
	return config.Shared(main.Load(), func() *Rollout { return &Rollout{} })
}

// usesTemporary records the folders of a location's temporary files; "" is the
// system's.
func (r *Rollout) usesTemporary(dirs ...string) {
	for _, dir := range dirs {
		if dir = cmp.Or(dir, os.TempDir()); !slices.Contains(r.temporary, dir) {
			r.temporary = append(r.temporary, dir)
		}
	}
}

// start starts the new pools. After an error the generation must be stopped.
func (r *Rollout) start(ctx context.Context) error {
	var wg sync.WaitGroup
	if err := r.judgeNames(); err != nil {
		return err
	}
	for _, app := range r.apps {
		pt := &part{app: app, service: r.rt.join(app.Name)}
		app.service = pt.service
		r.parts = append(r.parts, pt)
	}
	for _, pt := range r.parts {
		wg.Go(func() { r.bring(ctx, pt) })
	}
	wg.Wait()
	var errs []error
	for _, pt := range r.parts {
		if pt.err != nil && (!r.Policy.Alone || ctx.Err() != nil || r.Policy.Gate && !r.others) {
			errs = append(errs, pt.err)
		}
	}
	if r.Policy.Gate && ctx.Err() == nil && len(errs) < len(r.parts) {
		return nil
	}
	return errors.Join(errs...)
}

// judgeNames returns an error for an unknown name in Policy.Replace.
func (r *Rollout) judgeNames() error {
	var names []string
	for _, app := range r.apps {
		names = append(names, app.Name)
	}
	for _, name := range r.Policy.Replace {
		if slices.Contains(names, name) {
			continue
		}
		if near := config.Nearest(name, names); near != "" {
			return fmt.Errorf("there is no app %q; did you mean %q?", name, near)
		}
		return fmt.Errorf("there is no app %q; the configuration has %s", name, strings.Join(names, ", "))
	}
	return nil
}

// bring starts pt's new version, if it needs one.
func (r *Rollout) bring(ctx context.Context, pt *part) {
	old := pt.service.version.Load()
	f := r.survey(pt, old)
	if old != nil && r.keeps(pt, old, f) {
		return
	}
	if a := r.underWay(pt); a != nil {
		pt.version, pt.attempt = a.version, a
		return
	}
	pt.version = newVersion(r.rt, pt.app)
	pt.version.service, pt.version.tree, pt.version.identity = pt.service, f.Tree, f.Identity
	pt.version.start(r.logs)
	pt.fate = Replaced
	if old == nil {
		pt.fate, pt.why = Started, ""
		r.rt.use(pt.service, pt.version) // only this generation has the app
	}
	if !r.Policy.Early {
		r.await(ctx, pt, old)
	}
}

// await waits until pt's new version has come up, or has failed to. old is the version before;
// nil: there is none.
func (r *Rollout) await(ctx context.Context, pt *part, old *version) {
	// Without an old version that serves there is nothing to keep: the new one tries again.
	insists := r.Policy.Alone && (old == nil || old.IsBroken())
	within := ctx
	if r.Policy.Patience > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, r.Policy.Patience, fmt.Errorf("app %q is not ready after %s", pt.app.Name, r.Policy.Patience))
		defer cancel()
	}
	if pt.err = pt.version.Await(within); pt.err == nil {
		return
	}
	if ctx.Err() == nil && within.Err() != nil {
		pt.err = context.Cause(within)
	} else {
		pt.fate = Failed
	}
	if !insists {
		pt.version.Stop(ended())
		pt.version = nil
	} else if pt.fate == Failed && !r.Policy.Gate { // with Gate, Verdict logs it
		pt.version.Speak(false)
	}
}

// survey looks at pt's files, and compares them with those of old, which may be nil.
func (r *Rollout) survey(pt *part, old *version) (f Findings) {
	if !r.Policy.Survey {
		return f
	}
	var q Survey
	var doubt string
	if old != nil {
		q, doubt = old.journal.question()
		q.Tree = old.tree
	}
	var many bool
	if q.Written, many = r.rt.writtenBy(pt.app.Directory); many {
		doubt = fmt.Sprintf("it writes more than %d files", mostNotes)
	}
	q.Ours = r.Policy.Ours
	r.rt.surveys <- struct{}{}
	defer func() { <-r.rt.surveys }()
	f, err := r.rt.look(pt.app, q)
	switch {
	case err != nil:
		f.Why = "its files could not be checked: " + err.Error()
	case doubt != "":
		f.Why = doubt
	}
	return f
}

// look answers a survey, in the process that has the rights to do so.
func (rt *Runtime) look(app *App, q Survey) (Findings, error) {
	if rt.o.Surveyor != nil {
		return rt.o.Surveyor.Survey(app.Name, q)
	}
	return app.Survey(q), nil
}

// keeps reports whether pt keeps its version, because its application has not changed. An
// unchanged application that is broken keeps its time of the next try, and the reload does
// not wait for that.
func (r *Rollout) keeps(pt *part, old *version, f Findings) bool {
	if pt.why = old.difference(f); r.forced(pt) {
		pt.why = "as asked"
	}
	failed, next := old.Failure()
	switch {
	case pt.why != "":
	case !old.IsBroken() || failed == nil:
		pt.fate = Kept
	case !r.Policy.Alone:
		pt.why = "it has not come up"
	default:
		soon := "now"
		if wait := time.Until(next); wait > 0 {
			soon = fmt.Sprintf("in %d s", int(math.Ceil(wait.Seconds())))
		}
		pt.fate = Failed
		pt.why = fmt.Sprintf("still broken: %s; next try %s", failed.Message, soon)
		pt.err = fmt.Errorf("app %q did not come up: %s; next try %s, or with \"alicorn reload %s\"", pt.app.Name, failed.Message, soon, pt.app.Name)
	}
	return pt.fate != ""
}

// forced reports whether pt's application gets new workers even if it has not changed.
func (r *Rollout) forced(pt *part) bool {
	return !r.Policy.Keep || slices.Contains(r.Policy.Replace, pt.app.Name)
}

// underWay returns the attempt of an earlier reload that starts the application as it is now;
// nil: there is none.
func (r *Rollout) underWay(pt *part) *attempt {
	if !r.Policy.Early || r.forced(pt) {
		return nil
	}
	a := r.rt.newest(pt.service)
	if a == nil || a.difference(r.survey(pt, a.version)) != "" {
		return nil
	}
	return a
}

// commit makes the new versions take requests, at once or when they are ready. From now on
// the pools refer to the error log and not to the generation: a pool may live longer than the
// generation, and would keep it in memory.
func (r *Rollout) commit() {
	l := r.logs()
	errors := func() *slog.Logger { return l }
	for _, pt := range r.parts {
		old := pt.service.version.Load()
		for _, v := range []*version{old, pt.version} {
			if v != nil {
				v.SetLogs(pt.app.logs(errors))
			}
		}
		switch {
		case pt.attempt != nil:
		case pt.version == nil:
			r.rt.giveUp(pt.service)
		case r.Policy.Early && old != pt.version:
			pt.attempt = r.rt.attempt(pt.service, pt.version)
		default:
			r.rt.giveUp(pt.service)
			r.rt.use(pt.service, pt.version)
		}
	}
}

// stop removes the generation's shares in its applications. An application that no other
// generation has ends; when ctx ends, it ends at once.
func (r *Rollout) stop(ctx context.Context) {
	var wg sync.WaitGroup
	for _, pt := range r.parts {
		wg.Go(func() {
			if pt.version != nil && pt.attempt == nil && pt.service.version.Load() != pt.version && !pt.version.IsSucceeded() {
				pt.version.Stop(ended()) // it was never used
			}
			r.rt.leave(ctx, pt.service)
		})
	}
	wg.Wait()
}

// Verdict returns nil once an application is ready, or at once if the generation serves
// something without an application. It returns all *pool.BootErrors if no application has
// come up. With all it waits for every application, and returns an error if one has not
// come up. It logs the failures that are not in the error.
func (r *Rollout) Verdict(ctx context.Context, all bool) error {
	var err error
	if len(r.parts) > 0 && (all || !r.others) {
		err = r.judge(ctx, all)
	}
	if err == nil {
		for _, pt := range r.parts {
			pt.service.version.Load().Speak(true)
		}
	}
	return err
}

func (r *Rollout) judge(ctx context.Context, all bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(r.parts))
	ready := make(chan int, len(r.parts))
	for i, pt := range r.parts {
		v := pt.service.version.Load()
		go func() {
			errs[i] = v.Await(ctx)
			ready <- i
		}()
	}
	for range r.parts {
		if errs[<-ready] == nil && !all {
			return nil
		}
	}
	return errors.Join(errs...)
}

// Starting returns the applications whose outcomes are not known yet. The generation
// must serve.
func (r *Rollout) Starting() (names []string) {
	for _, pt := range r.parts {
		if pt.starts() {
			names = append(names, pt.app.Name)
		}
	}
	return names
}

func (pt *part) starts() bool {
	switch {
	case pt.version == nil || pt.fate == Failed:
		return false
	case pt.attempt != nil:
		select {
		case <-pt.attempt.settled:
			return false
		default:
			return true
		}
	}
	ready, failed := pt.version.Outcome()
	return !ready && failed == nil
}

// Outcomes waits for the fates of all applications, and returns them in the order of
// the configuration. The generation must serve. It returns an error when ctx ends.
func (r *Rollout) Outcomes(ctx context.Context) ([]Outcome, error) {
	var all []Outcome
	for _, pt := range r.parts {
		o := Outcome{App: pt.app.Name, Fate: pt.fate, Why: pt.why}
		err := pt.err
		switch {
		case pt.attempt != nil:
			o.Fate, err = pt.attempt.outcome(ctx)
		case pt.fate == Started && err == nil:
			if err = pt.version.Await(ctx); err != nil {
				o.Fate = Failed
				pt.version.Speak(false)
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			o.Error = err.Error()
		}
		all = append(all, o)
	}
	return all, nil
}

// ended returns a context that has ended, for stops that do not wait.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
