package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy"
)

// maxAsked bounds how many questions of a front are answered at a time.
const maxAsked = 256

// maxWorkers bounds the processes that a front may have at once.
const maxWorkers = 4096

// serve answers the front until its wire ends. Each question that may take long
// is answered on a goroutine of k.calls.
func (k *Keeper) serve(w *wire) {
	for {
		m, files, err := w.read()
		if err != nil {
			return
		}
		if m.lost != nil {
			k.calls.Go(func() {
				k.reply(w, &message{ID: m.ID, Failure: newFailure(fmt.Errorf("the keeper process: %w", m.lost))})
			})
			continue
		}
		switch m.Kind {
		case tellSettle:
			k.settle(m.OK)
			k.settled(m.OK)
		case tellServing:
			k.onServing(m.Body)
		case tellStopping:
			k.stop(m.OK)
		case tellReopened:
			k.reopen(false)
		case tellFailed:
			k.mu.Lock()
			k.reason = string(m.Body)
			k.mu.Unlock()
		case tellCameUp:
			k.onCameUp(m.PID)
		case tellTrouble:
			if k.o.Trouble != nil {
				k.o.Trouble(string(m.Body[:min(len(m.Body), mostTrouble)]))
			}
		case askUpgrade:
			k.upgrades.Go(func() {
				k.reply(w, &message{ID: m.ID, Failure: newFailure(k.upgrade())})
			})
		case tellAlive:
			k.onAlive()
		case askSignal:
			k.signalWorker(m)
		default:
			k.asked <- struct{}{} // a front that asks too much waits here
			k.calls.Go(func() {
				k.answer(w, m, files)
				closeAll(files)
				<-k.asked
			})
			continue
		}
		closeAll(files)
	}
}

// answer carries out one question.
func (k *Keeper) answer(w *wire, m *message, files []*os.File) {
	reply := &message{ID: m.ID}
	var out *os.File
	var own bool // the keeper closes out
	var err error
	switch m.Kind {
	case askRead:
		reply.Body, err = k.readForFront(w)
	case askListen:
		out, err = k.listener(m.Network, m.Address)
	case askAppend:
		own = true
		out, err = k.openLog(m.Address)
	case askFile:
		reply.Body, err = k.readFile(m.Address)
	case askLookUp:
		reply.Body, err = k.lookUp(m.Address)
	case askControl:
		own = true
		err = k.reserve.Spend(func() (err error) { out, err = k.o.Control(m.OK); return err })
	case askSurvey:
		reply.Body, err = k.survey(m)
	case askLaunch:
		k.launch(w, m, files)
		return
	default:
		err = fmt.Errorf("unknown request %q", m.Kind)
	}
	reply.Failure = newFailure(err)
	if err != nil || out == nil {
		k.reply(w, reply)
		return
	}
	k.reply(w, reply, out)
	if own {
		out.Close()
	}
}

// reply answers the front. When an answer cannot be sent it sends the error in
// its place. When even that cannot be sent it ends the wire, so that the front
// is replaced instead of waiting forever.
func (k *Keeper) reply(w *wire, m *message, files ...*os.File) {
	m.Kind = answer
	err := w.write(m, files...)
	if err == nil {
		return
	}
	if w.write(&message{Kind: answer, ID: m.ID, Failure: newFailure(fmt.Errorf("cannot send the answer: %w", err))}) != nil {
		w.Close()
	}
}

// send writes to the front. Errors are ignored: serve notices that a front is gone.
func (k *Keeper) send(w *wire, m *message, files ...*os.File) { _ = w.write(m, files...) }

// readings returns the newest reading and the one before it.
func (k *Keeper) readings() (pending, current *Reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pending, k.current
}

// readForFront returns the configuration that the front of w is to load: the one
// that it has not seen yet, else a new reading.
func (k *Keeper) readForFront(w *wire) ([]byte, error) {
	k.mu.Lock()
	r, again := k.unseen, k.again
	k.unseen = nil
	k.mu.Unlock()
	if r == nil {
		var err error
		if r, err = k.readAnew(w); err != nil {
			return nil, err // the front logs the error
		}
	}
	return json.Marshal(text{Reading: r.number, Main: r.Main, Files: r.Tree.Files, Contents: r.Tree.Contents, Program: k.o.Program, Again: again})
}

// readAnew reads the configuration for the front of w. Another front may have
// taken its place by the time this is done.
func (k *Keeper) readAnew(w *wire) (*Reading, error) {
	if !k.reading.TryLock() {
		return nil, errors.New("the configuration is being read already")
	}
	defer k.reading.Unlock()
	if k.o.Loading != nil {
		k.o.Loading()
	}
	r, err := k.read()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	current, orphaned := k.current, k.front != w || k.life != lifeServing
	if !orphaned {
		k.pending = r
	}
	k.mu.Unlock()
	if orphaned {
		k.forget(r, current)
		return nil, errStopping
	}
	return r, nil
}

// read reads the configuration with the keeper's own rights.
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
		Undo(res, generationOf(current), k.o.Host.Inherited)
		return nil, err
	}
	r.host = host
	k.mu.Lock()
	k.count++
	r.number = k.count
	k.mu.Unlock()
	return r, nil
}

// carry notes in next the names of logs that stay open.
func (h *recorder) carry(next *recorder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path := range h.logs {
		next.logs[path] = true
	}
}

// settle makes the pending reading the current one, or forgets it. It reopens the keeper's
// own logs that were moved.
func (k *Keeper) settle(ok bool) {
	k.mu.Lock()
	pending, before := k.pending, k.current
	k.pending, k.replacing = nil, false
	if pending != nil && ok {
		if before != nil {
			k.past.add(before, pending)
		}
		k.current = pending
	}
	k.mu.Unlock()
	switch {
	case pending == nil:
	case !ok:
		k.forget(pending, before)
	case before != nil:
		RemoveSockets(before.Generation, pending.Generation, k.o.Host.Inherited)
		before.Generation.Resources.Release()
		k.reopen(true)
	}
	if ok {
		k.prioritize(pending)
	}
}

// forget releases a reading that does not serve, and removes the socket files
// that it alone has made.
func (k *Keeper) forget(forgotten, current *Reading) {
	Undo(forgotten.Generation.Resources, generationOf(current), k.o.Host.Inherited)
}

// generationOf returns the Generation of r; nil where there is no r.
func generationOf(r *Reading) *proxy.Generation {
	if r == nil {
		return nil
	}
	return r.Generation
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

// errUnnamed is returned for a path that the front may not have.
func errUnnamed(path string) error { return fmt.Errorf("the configuration does not name %s", path) }

func (k *Keeper) openLog(path string) (*os.File, error) {
	pending, current := k.readings()
	if !pending.logsTo(path) && !current.logsTo(path) {
		return nil, errUnnamed(path)
	}
	var f *os.File
	err := k.reserve.Spend(func() (err error) { f, err = k.o.Host.Append(path); return err })
	if err != nil && k.isReplacing() {
		if f = current.openLog(path); f != nil {
			k.log(proxy.LevelAlert, err.Error()+"; the new front goes on with the file that was open")
			return f, nil
		}
	}
	return f, err
}

// isReplacing reports whether a front that replaces another one comes up.
func (k *Keeper) isReplacing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.replacing
}

func (k *Keeper) readFile(path string) ([]byte, error) {
	pending, current := k.readings()
	for _, r := range []*Reading{pending, current} {
		if f, ok := r.file(path); ok {
			return f.content, f.err
		}
	}
	return nil, errUnnamed(path)
}

func (k *Keeper) lookUp(host string) ([]byte, error) {
	pending, current := k.readings()
	for _, r := range []*Reading{pending, current} {
		if h, ok := r.resolved(host); ok && h.err == nil {
			return json.Marshal(h.addresses)
		} else if ok {
			return nil, h.err
		}
	}
	return nil, errUnnamed(host)
}

// launch starts a worker as the keeper's reading describes its app, answers, and
// tells the front when the worker has ended.
func (k *Keeper) launch(w *wire, m *message, files []*os.File) {
	p, err := k.start(m, files)
	reply := &message{ID: m.ID, Failure: newFailure(err)}
	if err != nil {
		k.reply(w, reply)
		return
	}
	reply.PID, reply.User = p.Pid(), p.User()
	k.reply(w, reply)
	k.reaping.Go(func() {
		exit := <-p.Exited()
		k.mu.Lock()
		delete(k.workers, p.Pid())
		delete(k.runs, p.Pid())
		k.mu.Unlock()
		k.send(w, &message{Kind: tellExit, PID: p.Pid(), Code: exit.Code, Number: int(exit.Signal)})
	})
}

func (k *Keeper) start(m *message, files []*os.File) (pool.Process, error) {
	app := k.app(m.Reading, m.App)
	if app == nil {
		return nil, fmt.Errorf("the configuration has no app %q", m.App)
	}
	if err := k.admit(); err != nil {
		return nil, err
	}
	m.Order.Files = files
	p, err := app.Launch(m.Order) // may run pipenv first
	k.mu.Lock()
	defer k.mu.Unlock()
	k.starting--
	if err == nil {
		k.workers[p.Pid()], k.runs[p.Pid()] = p, run{app, m.Order.Kind}
		if k.stopped { // while it was started
			_ = p.Signal(syscall.SIGKILL)
		}
	}
	return p, err
}

// app returns the app of that name as the reading of that number describes it,
// because a pool that outlives a reload starts workers with its old settings.
// When that reading is not known any more it returns the app of the
// configuration that serves, or nil.
func (k *Keeper) app(reading uint64, name string) *appserver.App {
	k.mu.Lock()
	defer k.mu.Unlock()
	if app := k.proven.standIn(reading, name); app != nil {
		return app
	}
	if k.pending != nil && (k.current == nil || reading == k.pending.number) {
		return k.pending.app(name)
	}
	app := k.current.app(name)
	if old := k.past.app(reading, name); app != nil && old != nil && reading != k.current.number {
		return old
	}
	return app
}

// admit counts one more worker that starts, or returns why it may not.
func (k *Keeper) admit() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return errors.New("the server is stopping")
	}
	if len(k.workers)+k.starting >= maxWorkers {
		return fmt.Errorf("%d worker processes run already", maxWorkers)
	}
	k.starting++
	return nil
}

// survey looks at an app's files with the rights of its user, so that the front
// learns no more than that user could.
func (k *Keeper) survey(m *message) ([]byte, error) {
	app := k.app(m.Reading, m.App)
	if app == nil {
		return nil, fmt.Errorf("the configuration has no app %q", m.App)
	}
	var q appserver.Survey
	if err := json.Unmarshal(m.Body, &q); err != nil {
		return nil, fmt.Errorf("cannot read a survey: %w", err)
	}
	return json.Marshal(app.Survey(q))
}

// signalWorker sends a signal to a worker that was started for the front. Only
// the signals that pools use are sent.
func (k *Keeper) signalWorker(m *message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.workers[m.PID]; p != nil && pool.Sends(syscall.Signal(m.Number)) {
		_ = p.Signal(syscall.Signal(m.Number)) // the worker may have ended meanwhile
	}
}
