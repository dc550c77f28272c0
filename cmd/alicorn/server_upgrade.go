package main

import (
	"context"
	"os"
	"time"

	"alicorn/proxy"
)

// Upgrade implements control.Server.
func (s *server) Upgrade(ctx context.Context) error {
	if s.link != nil {
		return s.link.Upgrade()
	}
	return s.ask(ctx, verbUpgrade)
}

// upgrade is the upgrade under way of a server in one process.
type upgrade struct {
	s      *server
	reply  chan error
	cancel context.CancelFunc // nil while there is none
	done   chan error
}

func (u *upgrade) ask(reply chan error) {
	if u.cancel != nil {
		respond(reply, errUpgrading)
		return
	}
	var ctx context.Context
	ctx, u.cancel = context.WithCancel(context.Background())
	u.reply = reply
	var sockets []*os.File
	for _, l := range u.s.loaded().generation.Listeners {
		sockets = append(sockets, l.File())
	}
	go func() { u.done <- u.s.p.upgrade.run(ctx, sockets) }()
}

// finished logs the result, and reports whether the other process has taken over.
func (u *upgrade) finished(err error) bool {
	u.cancel()
	u.cancel = nil
	u.s.failures.note("upgrade", err)
	g := u.s.loaded().generation
	if err != nil {
		g.LogTo(proxy.LevelEmerg, "upgrade failed, the old program goes on: "+err.Error())
	} else {
		g.LogTo(proxy.LevelLife, "the new program has taken over")
	}
	respond(u.reply, err)
	return err == nil
}

// abandon ends the upgrade under way, if there is one.
func (u *upgrade) abandon() {
	if u.cancel != nil {
		u.cancel()
		u.finished(<-u.done)
	}
}

// How long a connection without a request may still send one when the server stops:
// briefly when an operator waits for the stop, longer when another process has taken
// over.
const (
	lastWait     = time.Second
	retiringWait = 10 * time.Second
)

// retire stops the server after another process has taken over.
func (s *server) retire(ctx context.Context) error { return s.end(ctx, false, retiringWait) }
