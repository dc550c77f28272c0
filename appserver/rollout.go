package appserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"alicorn/config"
)

// Policy says how the applications of a generation start. The zero Policy
// starts every one anew, and fails when one does not come up.
type Policy struct {
	// Survey takes note of the applications' files, so that a later Rollout can
	// let them keep their workers.
	Survey bool
	// Ours are files and folders of the server, which are not the applications'.
	Ours []string
	// Keep lets applications that are as they were keep their workers. It needs Survey.
	Keep bool
	// Replace names applications that get new workers all the same.
	Replace []string
	// Alone lets an application that does not come up fail alone: it keeps the
	// workers that it has, or is tried again and again.
	Alone bool
	// Early lets the generation serve before its applications are ready, which
	// requests wait for. It needs Alone.
	Early bool
}

// Fate is what became of an application when a generation started.
type Fate string

// The fates.
const (
	Kept     Fate = "kept"     // its workers go on
	Replaced Fate = "replaced" // new workers have taken over
	Started  Fate = "started"  // it has workers for the first time
	Failed   Fate = "failed"   // it has not come up; what ran before goes on
)

// Outcome is the fate of one application and its reason.
type Outcome struct {
	App  string `json:"app"`
	Fate Fate   `json:"fate"`
	Why  string `json:"why,omitempty"`
	// Error is a *BootError's text when the application has not come up.
	Error string `json:"error,omitempty"`
}

// Rollout brings up the applications of one generation, which starts, commits
// and stops it.
type Rollout struct {
	Policy Policy // to be set before the generation starts

	rt     *Runtime
	apps   []*App
	logs   func() *slog.Logger
	parts  []*part
	others bool // something is served without an application

	temporary []string // folders of temporary files, each once
}

// part is one application of a Rollout.
type part struct {
	app     *App
	service *service
	pool    *Pool // its new one; nil: it keeps the one it has
	fate    Fate
	why     string
	err     error // a *BootError, or why the start was given up
}

// RolloutOf returns the Rollout of the configuration that main was read from.
func RolloutOf(main *config.Scope) *Rollout {
	return config.Shared(main.Load(), func() *Rollout { return &Rollout{} })
}

// usesTemporary records folders that a location has its temporary files in; ""
// is the system's.
func (r *Rollout) usesTemporary(dirs ...string) {
	for _, dir := range dirs {
		if dir = cmp.Or(dir, os.TempDir()); !slices.Contains(r.temporary, dir) {
			r.temporary = append(r.temporary, dir)
		}
	}
}

// start brings the new pools up. On error the generation must be stopped.
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
		if pt.err != nil && (!r.Policy.Alone || ctx.Err() != nil) {
			errs = append(errs, pt.err)
		}
	}
	return errors.Join(errs...)
}

// judgeNames refuses the name of an application that there is not.
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

// bring starts pt's new pool, if it needs one.
func (r *Rollout) bring(ctx context.Context, pt *part) {
	old := pt.service.pool.Load()
	f := r.survey(pt, old)
	if old != nil && !old.isBroken() && r.keeps(pt, old, f) {
		pt.fate = Kept
		return
	}
	pt.pool = newPool(r.rt, pt.app)
	pt.pool.service, pt.pool.tree, pt.pool.identity = pt.service, f.Tree, f.Identity
	pt.fate = Replaced
	if old == nil {
		pt.fate, pt.why = Started, ""
	}
	// Where nothing serves there is nothing to keep: the new pool goes on trying.
	insists := r.Policy.Alone && (old == nil || old.isBroken())
	pt.pool.start(r.logs)
	if old == nil {
		r.rt.use(pt.service, pt.pool) // nobody but this generation knows it
	}
	if r.Policy.Early {
		return
	}
	if pt.err = pt.pool.await(ctx); pt.err == nil {
		return
	}
	pt.fate = Failed
	if !insists {
		pt.pool.stop(ended())
		pt.pool = nil
		return
	}
	pt.pool.speak(false)
}

// survey looks at pt's files, and at what has become of those of old, if there is one.
func (r *Rollout) survey(pt *part, old *Pool) (f Findings) {
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
		f.Why = "its files could not be looked at: " + err.Error()
	case doubt != "":
		f.Why = doubt
	}
	return f
}

// look answers a survey where that can be done.
func (rt *Runtime) look(app *App, q Survey) (Findings, error) {
	if rt.o.Surveyor != nil {
		return rt.o.Surveyor.Survey(app.Name, q)
	}
	return app.Survey(q), nil
}

// keeps reports whether pt's application is as it was, and why not.
func (r *Rollout) keeps(pt *part, old *Pool, f Findings) bool {
	switch {
	case !r.Policy.Keep || slices.Contains(r.Policy.Replace, pt.app.Name):
		pt.why = "as asked"
	case f.Identity == "" || f.Identity != old.identity:
		pt.why = "its settings or its environment have changed"
	case f.Why != "":
		pt.why = f.Why
	case len(old.tree) == 0:
		pt.why = "its files were not known"
	}
	return pt.why == ""
}

// commit gives requests to the new pools.
func (r *Rollout) commit() {
	for _, pt := range r.parts {
		if pt.pool != nil {
			r.rt.use(pt.service, pt.pool)
		} else if p := pt.service.pool.Load(); p != nil {
			p.logs.Store(&r.logs)
		}
	}
}

// stop ends the generation's part in its applications: those that no other
// generation has end, as ctx says.
func (r *Rollout) stop(ctx context.Context) {
	var wg sync.WaitGroup
	for _, pt := range r.parts {
		wg.Go(func() {
			if pt.pool != nil && pt.service.pool.Load() != pt.pool && !pt.pool.isSucceeded() {
				pt.pool.stop(ended()) // it was never used
			}
			r.rt.leave(ctx, pt.service)
		})
	}
	wg.Wait()
}

// Verdict returns nil once something can be served: an application is ready, or
// there is something else. It returns an error of all *BootErrors when no
// application has come up. With all it waits for every application, and one that
// has not come up is an error. Failures that are not in the error are logged.
func (r *Rollout) Verdict(ctx context.Context, all bool) error {
	var err error
	if len(r.parts) > 0 && (all || !r.others) {
		err = r.judge(ctx, all)
	}
	if err == nil {
		for _, pt := range r.parts {
			pt.service.pool.Load().speak(true)
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
		p := pt.service.pool.Load()
		go func() {
			errs[i] = p.await(ctx)
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

// Outcomes returns the fates of all applications, in the order of the
// configuration, once the generation has started.
func (r *Rollout) Outcomes() []Outcome {
	var all []Outcome
	for _, pt := range r.parts {
		o := Outcome{App: pt.app.Name, Fate: pt.fate, Why: pt.why}
		if pt.err != nil {
			o.Error = pt.err.Error()
		}
		all = append(all, o)
	}
	return all
}

// ended returns a context that has ended: for stops without waiting.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
