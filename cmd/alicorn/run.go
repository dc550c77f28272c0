package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/proxy"
	"alicorn/proxy/errorlog"
	"alicorn/proxy/logfile"

	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the configuration, in the foreground unless it says \"daemon on\"",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runServer(cmd.Context(), o) },
	}
	o.declare(cmd.Flags())
	return cmd
}

// runServer serves the configuration that o names until it is stopped.
func runServer(ctx context.Context, o options) error {
	return start(ctx, fileProgram(o), nil)
}

// start runs p until it is stopped. ready, if not nil, is called once it
// serves, in the process that was started.
func start(ctx context.Context, p *program, ready func(control.Status)) error {
	if isInit() {
		return superviseAsInit()
	}
	settings := p.peek()
	p.loops = settings.Loops
	if err := p.mayStart(settings); err != nil {
		p.failStart(newNotifier(false), err.Error())
		return failed(err)
	}
	if settings.Daemon && !isDaemon() && os.Getenv(upgradeEnv) == "" {
		return daemonize()
	}
	raiseFileLimit()
	p.origin = takeOrigin()
	if p.fd > 0 && p.origin.before == nil {
		p.origin.inherited = p.origin.inherited.With(p.fd)
	}
	p.gated, p.managed = p.origin.before != nil, p.origin.notify != nil
	p.upgrade = newUpgrader(p.origin)
	if os.Geteuid() == 0 && keeper.Supported && !settings.OneProcess {
		return keep(ctx, p, settings, ready)
	}
	err := serveHere(ctx, p, ready)
	p.origin.before.failed(err, "")
	return err
}

// mayStart returns why a server with these settings must not start, or nil.
func (p *program) mayStart(settings *processSettings) error {
	if err := p.folders.secure(); err != nil || os.Getenv(upgradeEnv) != "" {
		return err
	}
	return pidFileIsFree(settings.PIDFile)
}

// bindPatience is how long an address that is in use is tried again, as in nginx:
// the server before this one may be about to end.
const bindPatience = 2500 * time.Millisecond

// serveHere runs p in this process.
func serveHere(ctx context.Context, p *program, ready func(control.Status)) error {
	p.loops = reserveProcessors(p.loops)
	s, err := newServer(p, &keeper.Local{Inherited: p.origin.inherited, Patience: bindPatience, Waiting: p.origin.notify.waiting, Rival: p.rival}, nil)
	if err != nil {
		return failed(err)
	}
	stopping := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hurry := make(chan struct{})
	again := sync.OnceFunc(func() { close(hurry) })
	stopSignals := s.signals(ctx, func() {
		if ctx.Err() != nil {
			again()
		}
		cancel()
	})
	defer stopSignals()
	defer p.upgrade.removePID()
	s.first.serving = func() error { return s.onServing(ready) }
	err = startUntil(ctx, hurry, func() error { return s.open(ctx) })
	switch {
	case err == nil:
		err = s.runWithControl(ctx)
	case ctx.Err() != nil && stopping.Err() == nil:
		return nil // a signal has ended the start
	}
	if err != nil && s.loaded() == nil {
		p.logStart(words(err))
	}
	if err != nil && !s.first.isOver() {
		p.failStart(p.origin.notify, words(err))
		return startError(err)
	}
	return failed(err)
}

// onServing tells all who wait for it that this process serves.
func (s *server) onServing(ready func(control.Status)) error {
	p := s.p
	pid, err := writePID(s.loaded().process.PIDFile)
	if err != nil {
		return err
	}
	p.upgrade.wrote(pid)
	p.forgetStart()
	for _, line := range p.origin.inherited.Rest() {
		s.log().Warn(line)
	}
	s.sayStarted()
	if ready != nil {
		ready(s.Status())
	}
	announce()
	p.origin.takeOver()
	p.origin.notify.ready()
	return nil
}

// sayStarted logs that the server serves, and prints it on standard error where the
// log goes elsewhere. (serve prints a line of its own.)
func (s *server) sayStarted() {
	st := s.Status()
	name := itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	text := fmt.Sprintf("alicorn %s serves %s on %s as user %s (pid %d)", st.Version, st.Config, cmp.Or(strings.Join(st.Listeners, ", "), "no address"), name, st.PID)
	g := s.loaded().generation
	g.LogTo(proxy.LevelLife, text)
	if !s.logsToStderr() && !s.p.single {
		logfile.Say(text)
	}
}

// logsToStderr reports whether the error log is standard error.
func (s *server) logsToStderr() bool {
	h, ok := s.loaded().generation.ErrorLog.Handler().(*errorlog.Handler)
	return ok && h.ToStderr
}

// logElsewhere logs a text that is printed on standard error as well, unless standard
// error is the error log.
func (s *server) logElsewhere(text string) {
	if !s.logsToStderr() {
		s.loaded().generation.LogTo(proxy.LevelEmerg, text)
	}
}

// runWithControl serves, and speaks to the verbs, until it is stopped.
func (s *server) runWithControl(ctx context.Context) error {
	apiCtx, endAPI := context.WithCancel(ctx)
	var api sync.WaitGroup
	speak := func() { api.Go(func() { s.control(apiCtx, s.log()) }) }
	if s.p.gated { // until this process serves, the other one answers verbs
		s.first.then(speak)
	} else {
		speak()
	}
	api.Go(func() { giveBack(apiCtx, collectIdle) })
	look(apiCtx, s.paceGC)
	api.Go(func() {
		s.p.origin.notify.watch(apiCtx, func(ctx context.Context) error { return s.ask(ctx, verbAlive) })
	})
	api.Go(func() { s.watchTrouble(apiCtx) })
	go s.find(apiCtx)
	err := s.run(ctx)
	endAPI()
	api.Wait()
	return err
}

// cancelled returns a context that has ended: for stops without waiting.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// startError returns the error of a failed start with its exit code.
func startError(err error) error {
	var boot *pool.BootError
	if errors.As(err, &boot) {
		return &exitError{exitApp, err}
	}
	return failed(err)
}

// log returns the log of the running generation.
func (s *server) log() *slog.Logger {
	if l := s.loaded().generation.ErrorLog; l != nil {
		return l
	}
	return slog.New(errorlog.NewHandler(os.Stderr, proxy.LevelNotice))
}

// listenForSignals returns a channel of the signals that the server acts on. It
// ignores WINCH, with which nginx ends its worker processes, because terminals send it.
func listenForSignals() chan os.Signal {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU)
	signal.Ignore(syscall.SIGWINCH, syscall.SIGPIPE)
	return ch
}

// signals turns signals into commands until the returned function is called.
// While the server starts, TERM, INT and QUIT call abort, each time: the first
// ends ctx, and a second may follow.
func (s *server) signals(ctx context.Context, abort func()) (stop func()) {
	ch := listenForSignals()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case sig := <-ch:
				s.signal(ctx, sig, abort)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		cancel()
		<-done
	}
}

func (s *server) signal(ctx context.Context, sig os.Signal, abort func()) {
	v := verbOf(sig)
	if s.loaded() == nil {
		if v == verbStop {
			abort()
		}
		return
	}
	go s.send(ctx, command{verb: v})
}

// verbOf returns the verb of a signal.
func verbOf(sig os.Signal) verb {
	switch sig {
	case syscall.SIGHUP:
		return verbReload
	case syscall.SIGUSR1:
		return verbReopen
	case syscall.SIGUSR2:
		return verbUpgrade
	case syscall.SIGTTIN:
		return verbScaleUp
	case syscall.SIGTTOU:
		return verbScaleDown
	}
	return verbStop
}

// raiseFileLimit raises the limit on descriptors to the system's hard limit.
func raiseFileLimit() {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) == nil && lim.Cur < lim.Max {
		lim.Cur = lim.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
	}
}
