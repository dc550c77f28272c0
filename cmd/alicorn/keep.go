package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
)

// image is a program in the form that the front gets.
type image struct {
	Config, Prefix, ErrorLog, Global string
	Name                             string
	Port, Loops                      int
	Single, Gated, Managed           bool
	Run, State, Cache, Logs          string
}

func (p *program) image() image {
	o, f := p.options, p.folders
	return image{o.config, o.prefix, o.errorLog, o.global, p.name, p.port, p.loops, p.single, p.origin.before != nil, p.managed, f.run, f.state, f.cache, f.logs}
}

func (i image) program() *program {
	return &program{
		options: options{config: i.Config, prefix: i.Prefix, errorLog: i.ErrorLog, global: i.Global},
		name:    i.Name, port: i.Port, loops: i.Loops, single: i.Single, managed: i.Managed, gated: i.Gated && os.Getenv(keeper.AgainEnv) == "", split: true, folders: folders{i.Run, i.State, i.Cache, i.Logs},
	}
}

// keep runs p in two processes: this one, with privileges, and the front.
func keep(ctx context.Context, p *program, settings *processSettings, ready func(control.Status)) error {
	if err := keeper.Shield(); err != nil {
		return failed(err)
	}
	user := settings.identity()
	p.options.config, p.options.prefix = p.options.file(), p.options.directory()
	encoded, err := json.Marshal(p.image())
	if err != nil {
		return failed(err)
	}
	if err := ownFolders(p.folders, user); err != nil {
		return failed(err)
	}
	p.running, p.split = settings.front(), true
	p.workers = appserver.NewRuntime(appserver.Options{ReportStatic: true, Environ: p.environ()})
	made := leftovers{upgrade: p.upgrade}
	defer made.remove()
	k := p.keeper(&made, settings, user, encoded, ready)
	code, err := runKeeper(ctx, k, p.origin.notify)
	if err == nil && code == exitOK {
		return nil
	}
	if err != nil && !made.served {
		p.logStart(words(err))
	}
	if !made.served {
		p.failStart(p.origin.notify, cmp.Or(k.Reason(), words(cmp.Or(err, errNoFront))))
	}
	err = &exitError{max(code, exitFailed), err}
	p.origin.before.failed(err, k.Reason())
	return err
}

// errNoFront is returned when the front has not said why it ended.
var errNoFront = errors.New("the process that serves has ended before it served")

// keeper returns the keeper of p.
func (p *program) keeper(made *leftovers, settings *processSettings, user keeper.Identity, encoded json.RawMessage, ready func(control.Status)) (k *keeper.Keeper) {
	k = keeper.New(keeper.Options{
		Host: &keeper.Local{Owner: user, Inherited: p.origin.inherited, Patience: bindPatience, Waiting: p.origin.notify.waiting, Rival: p.rival}, User: user, Program: encoded,
		Stop: int(verbStop), StopNow: int(verbStopNow), Reopen: int(verbReopen), Alive: int(verbAlive), Upgrade: int(verbUpgrade), Retire: int(verbRetire),
		Read: p.readForKeeper,
		Control: func(gone bool) (*os.File, error) {
			if gone && made.stands() {
				return nil, nil
			}
			path := control.SocketPath(p.folders.run, p.name)
			p.origin.before.replaceControl(path)
			return made.control(path, user)
		},
		Trouble: p.origin.notify.trouble,
		Loading: p.origin.notify.reloading, Settled: p.origin.notify.reloaded, Stopping: made.stopping(p.origin.notify),
		HandOver: p.upgrade.run,
		Serving: func(status json.RawMessage) error {
			for _, line := range p.origin.inherited.Rest() {
				k.Log(proxy.LevelWarn, line)
			}
			err := made.serving(settings.PIDFile, status, ready)
			if err == nil {
				made.served = true
				p.forgetStart()
				p.origin.takeOver()
				p.origin.notify.ready()
			}
			return err
		},
	})
	return k
}

// leftovers are the files that a keeper makes and removes at its end.
type leftovers struct {
	upgrade *upgrader
	served  bool // set when the first front serves; only Run uses it until it returns

	mu     sync.Mutex
	socket osfile.Name // the control API's socket
}

// serving writes the pid file and calls ready, once the front serves.
func (m *leftovers) serving(pidFile string, status json.RawMessage, ready func(control.Status)) error {
	pid, err := writePID(pidFile)
	if err != nil {
		return err
	}
	m.upgrade.wrote(pid)
	var st control.Status
	if err := json.Unmarshal(status, &st); err != nil {
		return fmt.Errorf("cannot read the front's status: %w", err)
	}
	if ready != nil {
		ready(st)
	}
	announce()
	return nil
}

// control binds the control API's socket for the front.
func (m *leftovers) control(path string, user keeper.Identity) (*os.File, error) {
	f, err := controlFor(path, user)
	if err == nil {
		m.mu.Lock()
		m.socket = osfile.NameOf(path)
		m.mu.Unlock()
	}
	return f, err
}

// stands reports whether the socket is still where control made it.
func (m *leftovers) stands() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.socket.Ours()
}

// stopping returns the function to call when the server stops listening. It notes
// that in the pid file, so that another server may start while this one finishes.
func (m *leftovers) stopping(n *notifier) func() {
	return func() {
		n.stopping()
		if !m.upgrade.handedOver() {
			m.upgrade.leavePID()
		}
	}
}

func (m *leftovers) remove() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.socket.Remove()
	m.upgrade.removePID()
}

// runKeeper runs k with the signals to this process.
func runKeeper(ctx context.Context, k *keeper.Keeper, notify *notifier) (int, error) {
	ch := listenForSignals()
	defer signal.Stop(ch)
	watching, cancel := context.WithCancel(ctx)
	var watchdog sync.WaitGroup
	watchdog.Go(func() { notify.watch(watching, k.Alive) })
	defer watchdog.Wait()
	defer cancel()
	numbers := make(chan int)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-ch:
				select {
				case numbers <- int(verbOf(sig)):
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return k.Run(ctx, numbers)
}

// readForKeeper reads the configuration and compiles it, with resources from res.
func (p *program) readForKeeper(res *config.Resources) (*keeper.Reading, error) {
	tree, err := p.read()
	ld, err := p.compile(tree, err, res, p.workers)
	if err != nil {
		return nil, err
	}
	if err := ownFolders(p.folders, ld.process.identity()); err != nil { // somebody may have removed them since the start
		ld.generation.LogTo(proxy.LevelError, err.Error())
	}
	for _, err := range p.ownWritable(ld) {
		ld.generation.LogTo(proxy.LevelError, err.Error())
	}
	if len(tree.Files) == 0 {
		if tree, err = p.written(tree); err != nil {
			return nil, err
		}
	}
	return &keeper.Reading{Main: tree.Files[0], Tree: tree, Generation: ld.generation, Apps: appserver.Apps(ld.main), Priority: ld.process.Priority}, nil
}

// written returns the tree, which is in no file, with its text.
func (p *program) written(tree *config.Tree) (*config.Tree, error) {
	var text bytes.Buffer
	if err := config.Print(&text, tree.Root); err != nil {
		return nil, fmt.Errorf("cannot write the configuration for the front: %w", err)
	}
	return &config.Tree{Root: tree.Root, Files: []string{p.name}, Contents: map[string][]byte{p.name: text.Bytes()}}, nil
}

// controlFor binds the control API's socket for the front.
func controlFor(path string, user keeper.Identity) (*os.File, error) {
	l, err := control.Listen(path)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := osfile.GiveSocket(path, user.Files()); err != nil {
		_ = osfile.Remove(path)
		return nil, fmt.Errorf("cannot give %s to user %q: %w", filepath.Base(path), user.Name, osfile.Cause(err))
	}
	return l.(*net.UnixListener).File()
}
