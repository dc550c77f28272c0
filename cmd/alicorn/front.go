package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy"
)

// runFront is the front process. It serves the configuration that the keeper, at the
// other end of the descriptor, has read, and ends with the keeper.
func runFront(ctx context.Context, descriptor string) error {
	fd, err := strconv.Atoi(descriptor)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s is for alicorn's own use", keeper.WireEnv)}
	}
	if err := keeper.Shield(); err != nil {
		return failed(err)
	}
	os.Unsetenv(keeper.WireEnv)
	// The keeper alone acts on signals. A service manager may send them to both processes.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGPIPE)
	raiseFileLimit()
	defer profile()()
	link, err := keeper.NewClient(fd)
	if err != nil {
		return failed(err)
	}
	var serving atomic.Pointer[server]
	go func() {
		endWithKeeper(link.Run(), serving.Load())
		os.Exit(exitFailed) // without the keeper no worker can be started or stopped
	}()
	return serveFor(ctx, link, &serving)
}

// endWithKeeper logs why the front of s, which may be nil, ends.
func endWithKeeper(reason error, s *server) {
	text := "the keeper process has ended (" + reason.Error() + "), so the front ends"
	if s == nil || s.loaded() == nil {
		fmt.Fprintln(os.Stderr, "alicorn: "+text)
		return
	}
	g := s.loaded().generation
	g.LogTo(proxy.LevelEmerg, text)
	g.Resources.Each(func(_ string, v any) {
		if log, ok := v.(interface{ Flush() }); ok {
			log.Flush() // this process ends without closing the log
		}
	})
}

// serveFor serves until the keeper stops it. It sets serving as soon as there is a
// server.
func serveFor(ctx context.Context, link *keeper.Client, serving *atomic.Pointer[server]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, tree, readErr := programOf(link)
	if p == nil {
		return failed(readErr)
	}
	p.loops = reserveProcessors(p.loops)
	s, err := newServer(p, link, link)
	if err != nil {
		return failed(err)
	}
	s.link = link
	serving.Store(s)
	go s.obey(ctx, cancel)
	s.first.serving = func() error {
		s.sayStarted()
		detach()
		link.Serving(s.Status())
		return nil
	}
	err = startUntil(ctx, nil, func() error { return s.begin(ctx, tree, readErr) }) // a second stop comes from the keeper
	if err == nil {
		err = s.runWithControl(ctx)
	}
	if err != nil && !s.first.isOver() {
		link.Failed(words(err))
		return startError(err)
	}
	return failed(err)
}

// programOf returns the program that the keeper runs, and its first configuration.
func programOf(link *keeper.Client) (*program, *config.Tree, error) {
	var im image
	tree, err := link.Read(builtinFiles, &im)
	if tree == nil {
		return nil, nil, err
	}
	p := im.program()
	p.read = func() (*config.Tree, error) {
		tree, err := link.Read(builtinFiles, &im)
		if err != nil {
			return tree, err
		}
		return tree, p.addGlobal(tree)
	}
	return p, tree, errors.Join(err, p.addGlobal(tree))
}

// obey runs the commands that the keeper passes on.
func (s *server) obey(ctx context.Context, abort context.CancelFunc) {
	for {
		select {
		case n := <-s.link.Commands():
			v := verb(n)
			if s.loaded() == nil && (v == verbStop || v == verbStopNow) {
				abort()
				return
			}
			go s.send(ctx, command{verb: v})
		case <-ctx.Done():
			return
		}
	}
}
