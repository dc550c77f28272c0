package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
)

// maxWorkers bounds the processes that a front may have at once.
const maxWorkers = 4096

// serve answers the front until its wire ends. What it asks that may take
// long runs beside; serve waits for that before it returns.
func (k *Keeper) serve(w *wire) {
	for {
		m, files, err := w.read()
		if err != nil {
			k.calls.Wait()
			return
		}
		switch m.Kind {
		case tellSettle:
			k.settle(m.OK)
			k.settled(m.OK)
		case tellServing:
			k.onServing(m.body)
		case tellStopping:
			k.stop()
		case tellReopened:
			k.reopen()
		case tellFailed:
			k.mu.Lock()
			k.reason = string(m.body)
			k.mu.Unlock()
		case askUpgrade:
			k.upgrades.Go(func() {
				k.send(w, &message{Kind: answer, ID: m.ID, Failure: newFailure(k.upgrade())})
			})
		case tellAlive:
			k.onAlive()
		case askSignal:
			k.signalWorker(m)
		default:
			k.calls.Go(func() {
				k.answer(w, m, files)
				closeAll(files)
			})
			continue
		}
		closeAll(files)
	}
}

// answer carries out one question.
func (k *Keeper) answer(w *wire, m *message, files []*os.File) {
	reply := &message{Kind: answer, ID: m.ID}
	var out *os.File
	var own bool // out is ours to close
	var err error
	switch m.Kind {
	case askRead:
		reply.body, err = k.readForFront()
	case askListen:
		out, err = k.listener(m.Network, m.Address)
	case askAppend:
		own = true
		out, err = k.openLog(m.Address)
	case askFile:
		reply.body, err = k.readFile(m.Address)
	case askControl:
		own = true
		out, err = k.o.Control()
	case askLaunch:
		k.launch(w, m, files)
		return
	default:
		err = fmt.Errorf("unknown request %q", m.Kind)
	}
	reply.Failure = newFailure(err)
	if err != nil || out == nil {
		k.send(w, reply)
		return
	}
	k.send(w, reply, out)
	if own {
		out.Close()
	}
}

// send writes to the front; a front that is gone shows when it is read from.
func (k *Keeper) send(w *wire, m *message, files ...*os.File) { _ = w.write(m, files...) }

// readings returns the newest reading and the one before it.
func (k *Keeper) readings() (pending, current *Reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pending, k.current
}

// readForFront returns the configuration for the front to load: read anew,
// unless there is one that the front has not seen.
func (k *Keeper) readForFront() ([]byte, error) {
	k.mu.Lock()
	unseen := k.unseen
	k.unseen = nil
	k.mu.Unlock()
	if unseen == nil {
		if k.o.Loading != nil {
			k.o.Loading()
		}
		r, err := k.read()
		if err != nil {
			return nil, err // the front logs it
		}
		k.mu.Lock()
		k.pending = r
		k.mu.Unlock()
		unseen = r
	}
	return json.Marshal(text{Main: unseen.Main, Files: unseen.Tree.Files, Contents: unseen.Tree.Contents, Program: k.o.Program})
}

// read reads the configuration with our own rights.
func (k *Keeper) read() (*Reading, error) {
	k.settle(false)
	_, current := k.readings()
	host := newRecorder(k.o.Host)
	res := config.NewResources(host)
	if current != nil {
		res = current.Generation.Resources.Next(host)
		current.host.carry(host)
	}
	r, err := k.o.Read(res)
	if err != nil {
		res.Release()
		return nil, err
	}
	r.host = host
	return r, nil
}

// carry gives the next reading the names of logs that are open and stay so.
func (h *recorder) carry(next *recorder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path := range h.named[askAppend] {
		next.named[askAppend][path] = true
	}
}

// settle makes the pending reading the current one, or forgets it.
func (k *Keeper) settle(ok bool) {
	k.mu.Lock()
	pending, before := k.pending, k.current
	k.pending = nil
	if pending != nil && ok {
		k.current = pending
	}
	k.mu.Unlock()
	switch {
	case pending == nil:
	case !ok:
		k.removeNew(pending, before)
		pending.Generation.Resources.Release()
	case before != nil:
		RemoveSockets(before.Generation, pending.Generation, k.o.Host.Inherited)
		before.Generation.Resources.Release()
	}
}

// removeNew removes the socket files that only the forgotten reading made.
func (k *Keeper) removeNew(forgotten, current *Reading) {
	var kept *proxy.Generation
	if current != nil {
		kept = current.Generation
	}
	RemoveSockets(forgotten.Generation, kept, k.o.Host.Inherited)
}

func (k *Keeper) listener(network, address string) (*os.File, error) {
	pending, current := k.readings()
	for _, r := range []*Reading{pending, current} {
		if f := r.listener(network, address); f != nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("the configuration does not listen on %s", address)
}

func (k *Keeper) named(what kind, path string) error {
	pending, current := k.readings()
	if pending.names(what, path) || current.names(what, path) {
		return nil
	}
	return fmt.Errorf("the configuration does not name %s", path)
}

func (k *Keeper) openLog(path string) (*os.File, error) {
	if err := k.named(askAppend, path); err != nil {
		return nil, err
	}
	return k.o.Host.Append(path)
}

func (k *Keeper) readFile(path string) ([]byte, error) {
	if err := k.named(askFile, path); err != nil {
		return nil, err
	}
	return k.o.Host.ReadFile(path)
}

// launch starts a worker as our own reading describes its app, answers, and
// tells the front of its end.
func (k *Keeper) launch(w *wire, m *message, files []*os.File) {
	p, err := k.start(m, files)
	reply := &message{Kind: answer, ID: m.ID, Failure: newFailure(err)}
	if err != nil {
		k.send(w, reply)
		return
	}
	reply.PID = p.Pid()
	k.send(w, reply)
	k.reaping.Go(func() {
		exit := <-p.Exited()
		k.mu.Lock()
		delete(k.workers, p.Pid())
		k.mu.Unlock()
		k.send(w, &message{Kind: tellExit, PID: p.Pid(), Code: exit.Code, Number: int(exit.Signal)})
	})
}

func (k *Keeper) start(m *message, files []*os.File) (appserver.Process, error) {
	pending, current := k.readings()
	app := pending.app(m.App)
	if app == nil {
		app = current.app(m.App)
	}
	if app == nil {
		return nil, fmt.Errorf("the configuration has no app %q", m.App)
	}
	c, err := app.Command()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return nil, errors.New("the server is stopping")
	}
	if len(k.workers) >= maxWorkers {
		return nil, fmt.Errorf("%d worker processes run already", maxWorkers)
	}
	p, err := c.Start(m.Worker, files)
	if err == nil {
		k.workers[p.Pid()] = p
	}
	return p, err
}

// signalWorker sends a signal to a worker that was started for the front.
func (k *Keeper) signalWorker(m *message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.workers[m.PID]; p != nil {
		_ = p.Signal(syscall.Signal(m.Number)) // it may have ended meanwhile
	}
}
