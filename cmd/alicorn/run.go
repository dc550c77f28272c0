package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"alicorn/appserver"
	"alicorn/proxy"
	"alicorn/proxy/errorlog"

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

// start runs p until it is stopped. ready, if not nil, is called once it serves.
func start(ctx context.Context, p *program, ready func(s *server)) error {
	raiseFileLimit()
	s := newServer(p, localHost{}, nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopSignals := s.signals(ctx, cancel)
	defer stopSignals()
	if err := s.open(ctx); err != nil {
		return startError(err)
	}
	if err := s.writePID(); err != nil {
		return failed(err)
	}
	defer s.removePID()
	if ready != nil {
		ready(s)
	}
	apiCtx, endAPI := context.WithCancel(ctx)
	apiDone := make(chan struct{})
	go func() { defer close(apiDone); s.control(apiCtx, s.log()) }()
	err := s.run(ctx)
	endAPI()
	<-apiDone
	return failed(err)
}

// startError gives a failed start its exit code.
func startError(err error) error {
	var boot *appserver.BootError
	if errors.As(err, &boot) {
		return &exitError{exitApp, err}
	}
	return failed(err)
}

// log is the log of the running generation.
func (s *server) log() *slog.Logger {
	if l := s.loaded().generation.ErrorLog; l != nil {
		return l
	}
	return slog.New(errorlog.NewHandler(os.Stderr, proxy.LevelNotice))
}

// signals turns signals into commands until the returned function is called.
// While the server starts, TERM, INT and QUIT end the start.
func (s *server) signals(ctx context.Context, abort context.CancelFunc) (stop func()) {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTTIN, syscall.SIGTTOU)
	signal.Ignore(syscall.SIGWINCH, syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
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

func (s *server) signal(ctx context.Context, sig os.Signal, abort context.CancelFunc) {
	verbs := map[os.Signal]verb{syscall.SIGTERM: verbStop, syscall.SIGINT: verbStop, syscall.SIGQUIT: verbStop, syscall.SIGHUP: verbReload,
		syscall.SIGUSR1: verbReopen, syscall.SIGTTIN: verbScaleUp, syscall.SIGTTOU: verbScaleDown}
	v := verbs[sig]
	if s.loaded() == nil {
		if v == verbStop {
			abort()
		}
		return
	}
	go s.send(ctx, command{verb: v})
}

func serverPID() int { return os.Getpid() }

// writePID writes the pid file once the listeners are bound, as nginx does.
func (s *server) writePID() error {
	path := s.loaded().process.PIDFile
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of pid file %s: %w", path, cause(err))
	}
	if err := os.WriteFile(path, []byte(itoa(serverPID())+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot write pid file %s: %w", path, cause(err))
	}
	return nil
}

func (s *server) removePID() {
	path := s.loaded().process.PIDFile
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == itoa(serverPID()) {
		os.Remove(path)
	}
}

// raiseFileLimit lets the process have as many descriptors as the system allows it.
func raiseFileLimit() {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) == nil && lim.Cur < lim.Max {
		lim.Cur = lim.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
	}
}
