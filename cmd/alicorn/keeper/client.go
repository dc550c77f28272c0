package keeper

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/config"
)

// Client is the front's end of the wire. It is a config.Host and an
// appserver.Launcher. Calls may come from any goroutine. They fail once the
// keeper is gone; those that load a configuration also fail after Abandon.
type Client struct {
	w        *wire
	commands chan int
	done     chan struct{}
	leaving  chan struct{} // closed when the server stops: see Abandon
	once     sync.Once
	reserve  *Reserve

	mu      sync.Mutex
	lastID  uint64
	calls   map[uint64]chan reply
	workers map[int]*remoteProcess
	reading uint64 // number of the configuration that was read last
	gone    bool
	again   Again
	failed  string    // why the last upgrade failed; "": none has
	at      time.Time // when it failed
	refused string    // see RefusedPriority
}

type reply struct {
	m       *message
	files   []*os.File
	process *remoteProcess // of a launch
}

// NewClient takes over the socket fd. Run must be running for calls to end.
func NewClient(fd int) (*Client, error) {
	w, err := newWire(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot use the wire to the keeper: %w", err)
	}
	return &Client{w: w, commands: make(chan int, 64), done: make(chan struct{}), leaving: make(chan struct{}), reserve: NewReserve(reserved), calls: map[uint64]chan reply{}, workers: map[int]*remoteProcess{}}, nil
}

// Commands returns the channel of the commands that signals to the keeper stand for.
func (c *Client) Commands() <-chan int { return c.commands }

// Run receives until the wire ends, and returns why.
func (c *Client) Run() error {
	defer c.end()
	for {
		m, files, err := c.w.read()
		if err != nil {
			return err
		}
		c.on(m, files)
	}
}

func (c *Client) on(m *message, files []*os.File) {
	switch m.Kind {
	case answer:
		c.mu.Lock()
		ch := c.calls[m.ID]
		delete(c.calls, m.ID)
		var p *remoteProcess
		if m.PID > 0 {
			// It is listed before the message about its exit is read.
			p = &remoteProcess{c: c, pid: m.PID, user: m.User, exited: make(chan pool.Exit, 1)}
			c.workers[m.PID] = p
		}
		c.mu.Unlock()
		if ch != nil {
			ch <- reply{m, files, p}
			return
		}
	case tellExit:
		c.mu.Lock()
		p := c.workers[m.PID]
		delete(c.workers, m.PID)
		c.mu.Unlock()
		if p != nil {
			p.exited <- pool.Exit{Code: m.Code, Signal: syscall.Signal(m.Number)}
		}
	case tellUpgrade:
		c.mu.Lock()
		c.failed, c.at = string(m.Body), time.Now()
		c.mu.Unlock()
	case tellPriority:
		c.mu.Lock()
		c.refused = string(m.Body)
		c.mu.Unlock()
	case tellCommand:
		select {
		case c.commands <- m.Number:
		default: // 64 signals wait already
		}
	}
	closeAll(files)
}

// end fails every call in progress.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for id, ch := range c.calls {
		delete(c.calls, id)
		close(ch)
	}
	close(c.done)
}

// Abandon ends every call that loads a configuration, now and later, since the
// server stops. Workers can still be launched and signalled.
func (c *Client) Abandon() { c.once.Do(func() { close(c.leaving) }) }

// ends returns a channel that is closed when a call of that kind must end without its answer.
func (c *Client) ends(what kind) <-chan struct{} {
	switch what {
	case askRead, askListen, askFile, askLookUp, askAppend, askControl, askUpgrade:
		return c.leaving
	}
	return nil
}

// call asks and waits for the answer.
func (c *Client) call(m *message, files ...*os.File) (reply, error) {
	ch := make(chan reply, 1)
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return reply{}, errKeeperGone
	}
	c.lastID++
	m.ID = c.lastID
	c.calls[m.ID] = ch
	c.mu.Unlock()
	if err := c.w.write(m, files...); err != nil {
		c.forget(m.ID)
		return reply{}, fmt.Errorf("cannot ask the keeper: %w", err)
	}
	select {
	case r, ok := <-ch:
		return r.checked(ok)
	case <-c.ends(m.Kind):
		if c.forget(m.ID) {
			return reply{}, errStopping
		}
		r, ok := <-ch // the answer is there, or comes at once
		return r.checked(ok)
	}
}

// forget gives up a call; it returns false when the answer has come.
func (c *Client) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := c.calls[id]
	delete(c.calls, id)
	return waits
}

// checked returns r, or the error that it stands for.
func (r reply) checked(answered bool) (reply, error) {
	if !answered {
		return reply{}, errKeeperGone
	}
	err := r.m.Failure.err()
	if err == nil {
		err = r.m.lost
	}
	if err != nil {
		closeAll(r.files)
		return reply{}, err
	}
	return r, nil
}

// file asks for one descriptor.
func (c *Client) file(m *message) (*os.File, error) {
	f, err := c.optionalFile(m)
	if f == nil && err == nil {
		err = errors.New("the keeper sent no descriptor")
	}
	return f, err
}

// optionalFile asks for one descriptor, or none.
func (c *Client) optionalFile(m *message) (*os.File, error) {
	var r reply
	err := c.reserve.Spend(func() (err error) { r, err = c.call(m); return err })
	switch {
	case err != nil:
		return nil, err
	case len(r.files) == 1:
		return r.files[0], nil
	}
	closeAll(r.files)
	return nil, nil
}

// Listen implements config.Host.
func (c *Client) Listen(network, address string, o config.ListenOptions) (*os.File, error) {
	return c.file(&message{Kind: askListen, Network: network, Address: address, Listen: o})
}

// Append implements config.Host.
func (c *Client) Append(path string) (*os.File, error) {
	return c.file(&message{Kind: askAppend, Address: path})
}

// ReadFile implements config.Host.
func (c *Client) ReadFile(path string) ([]byte, error) {
	r, err := c.call(&message{Kind: askFile, Address: path})
	if err != nil {
		return nil, err
	}
	return r.m.Body, nil
}

// LookUp implements config.Host.
func (c *Client) LookUp(host string) (found []netip.Addr, err error) {
	r, err := c.call(&message{Kind: askLookUp, Address: host})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(r.m.Body, &found); err != nil || len(found) == 0 {
		return nil, fmt.Errorf("cannot read the addresses of %q that the keeper sent: %w", host, cmp.Or(err, errors.New("there are none")))
	}
	return found, nil
}

// Control returns the listening socket of the control API. With gone it returns
// a new one only when the name of the last one is gone from the file system,
// else nil.
func (c *Client) Control(gone bool) (*os.File, error) {
	return c.optionalFile(&message{Kind: askControl, OK: gone})
}

// Read returns the configuration as the keeper reads it (anew for each call but
// the first), and decodes Options.Program into program. The caller must then
// call Settle.
func (c *Client) Read(builtin map[string][]byte, program any) (*config.Tree, error) {
	r, err := c.call(&message{Kind: askRead})
	if err != nil {
		return nil, err
	}
	var t text
	if err := json.Unmarshal(r.m.Body, &t); err != nil {
		return nil, fmt.Errorf("cannot read the configuration that the keeper sent: %w", err)
	}
	c.mu.Lock()
	c.reading, c.again = t.Reading, t.Again
	c.mu.Unlock()
	if err := json.Unmarshal(t.Program, program); err != nil {
		return nil, fmt.Errorf("cannot read what the keeper was started with: %w", err)
	}
	tree, err := config.Loader{Source: config.Memory(t.Contents), Builtin: builtin}.Load(t.Main)
	return tree, err
}

// Settle tells the keeper that the configuration of the last Read serves, or
// that it does not come up.
func (c *Client) Settle(ok bool) { c.tell(&message{Kind: tellSettle, OK: ok}) }

// Serving tells the keeper that the first configuration serves. status goes to
// Options.Serving.
func (c *Client) Serving(status any) {
	body, err := json.Marshal(status)
	if err != nil {
		body = []byte("null")
	}
	c.tell(&message{Kind: tellServing, Body: body})
}

// Again returns how many fronts were replaced before this one.
func (c *Client) Again() Again {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again
}

// UpgradeFailure returns when and why the last upgrade failed; why is "" when none has.
func (c *Client) UpgradeFailure() (at time.Time, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.failed
}

// RefusedPriority returns why this process has not the priority that worker_priority says;
// "": it has, or the directive is not there.
func (c *Client) RefusedPriority() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Stopping tells the keeper that the front is about to end, with now without
// waiting for requests in progress. The keeper stops listening, and expects the
// end.
func (c *Client) Stopping(now bool) { c.tell(&message{Kind: tellStopping, OK: now}) }

// Reopened has the keeper open its logs again.
func (c *Client) Reopened() { c.tell(&message{Kind: tellReopened}) }

// Upgrade starts another process of the program and returns when it has taken
// over, or the reason why it has not.
func (c *Client) Upgrade() error {
	_, err := c.call(&message{Kind: askUpgrade})
	return err
}

// Failed tells the keeper why the front does not come up.
func (c *Client) Failed(reason string) { c.tell(&message{Kind: tellFailed, Body: []byte(reason)}) }

// Trouble tells the keeper what fails although the front serves; "" ends the trouble.
func (c *Client) Trouble(text string) { c.tell(&message{Kind: tellTrouble, Body: []byte(text)}) }

// Alive tells the keeper that the front works.
func (c *Client) Alive() { c.tell(&message{Kind: tellAlive}) }

// tell sends a message without an answer. When it cannot be sent the wire ends,
// and so does Run: the keeper would otherwise go by another configuration than
// the front.
func (c *Client) tell(m *message) {
	if c.w.write(m) != nil {
		c.w.Close()
	}
}

// For implements appserver.Launcher. The keeper starts workers of the app as
// the configuration of the last Read describes it.
func (c *Client) For(app string) func(pool.Order) (pool.Process, error) {
	c.mu.Lock()
	reading := c.reading
	c.mu.Unlock()
	return func(o pool.Order) (pool.Process, error) { return c.launch(app, reading, o) }
}

// Survey implements appserver.Surveyor, for an app of the configuration of the
// last Read.
func (c *Client) Survey(app string, q appserver.Survey) (f appserver.Findings, err error) {
	c.mu.Lock()
	reading := c.reading
	c.mu.Unlock()
	body, err := json.Marshal(q)
	if err != nil {
		return f, err
	}
	r, err := c.call(&message{Kind: askSurvey, App: app, Reading: reading, Body: body})
	if err != nil {
		return f, err
	}
	closeAll(r.files)
	if err := json.Unmarshal(r.m.Body, &f); err != nil {
		return f, fmt.Errorf("cannot read the keeper's findings: %w", err)
	}
	return f, nil
}

func (c *Client) launch(app string, reading uint64, o pool.Order) (pool.Process, error) {
	r, err := c.call(&message{Kind: askLaunch, App: app, Reading: reading, Order: o}, o.Files...)
	if err != nil {
		return nil, err
	}
	closeAll(r.files)
	if r.process == nil {
		return nil, errors.New("the keeper named no process")
	}
	return r.process, nil
}

// remoteProcess is a worker that the keeper started.
type remoteProcess struct {
	c      *Client
	pid    int
	user   string
	exited chan pool.Exit
}

// Pid returns the process id.
func (p *remoteProcess) Pid() int { return p.pid }

// User returns the name of the user that it runs as.
func (p *remoteProcess) User() string { return p.user }

// Signal asks the keeper to send s, and does not wait for that.
func (p *remoteProcess) Signal(s syscall.Signal) error {
	return p.c.w.write(&message{Kind: askSignal, PID: p.pid, Number: int(s)})
}

// CameUp tells the keeper that the application of this process has come up with
// its settings.
func (p *remoteProcess) CameUp() { p.c.tell(&message{Kind: tellCameUp, PID: p.pid}) }

// Exited returns the channel that the exit comes from.
func (p *remoteProcess) Exited() <-chan pool.Exit { return p.exited }
