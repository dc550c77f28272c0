package pool

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"alicorn/appserver/wire"
)

// Status is the state of a pool, for `alicorn status`.
type Status struct {
	App      string         `json:"app"`
	User     string         `json:"user,omitempty"`   // the user that its workers run as
	Kind     string         `json:"kind"`             // of its workers
	Program  string         `json:"program"`          // the application, as the configuration names it
	Found    string         `json:"found,omitempty"`  // the application, as a worker has found it
	Python   string         `json:"python,omitempty"` // the path of the interpreter
	Version  string         `json:"python_version,omitempty"`
	State    State          `json:"state"`
	Since    time.Time      `json:"since"`           // when the pool was started with its present code
	Error    string         `json:"error,omitempty"` // why the last start failed, while none has succeeded since, or why workers end at once
	Next     time.Time      `json:"next,omitzero"`   // the next start, while State is Failed
	Queue    int            `json:"queue"`
	Requests uint64         `json:"requests"` // that were answered
	Refused  uint64         `json:"refused"`  // for which the backlog had no room
	Overran  Overran        `json:"overran"`
	Deaths   Deaths         `json:"deaths"`
	Workers  []WorkerStatus `json:"workers"`
}

// State is whether a pool serves.
type State string

// The states of a pool.
const (
	Starting State = "starting" // no worker is ready yet; requests wait
	Running  State = "running"
	Failed   State = "failed"   // no worker is ready and the last start failed: requests get 503; or workers end at once
	Replaced State = "replaced" // another pool takes new requests
)

// state returns the State of the pool. The caller holds the lock.
func (p *Pool) state() State {
	switch {
	case p.replaced:
		return Replaced
	case p.broken() || p.dying != "" && len(p.ready) == 0:
		return Failed
	case len(p.ready) == 0:
		return Starting
	}
	return Running
}

// stands reports whether a worker has been ready for longer than stableAfter. The caller holds
// the lock.
func (p *Pool) stands(now time.Time) bool {
	return slices.ContainsFunc(p.ready, func(w *worker) bool { return now.Sub(w.readied) > stableAfter })
}

// WorkerStatus is the state of a worker.
type WorkerStatus struct {
	Name        string  `json:"name"`
	PID         int     `json:"pid"`
	State       string  `json:"state"`             // starting, ready, busy, leaving, condemned
	Age         float64 `json:"age"`               // seconds
	Requests    uint64  `json:"requests"`          // that it has answered
	Outstanding int     `json:"outstanding"`       // requests that it runs or that wait at it
	Running     float64 `json:"running"`           // seconds for which its longest request has run
	Request     string  `json:"request,omitempty"` // method and target of that request
	Lag         float64 `json:"lag,omitempty"`     // by how many seconds the event loop of an ASGI worker was late
	Memory      int64   `json:"memory"`            // bytes: its proportional set size, or its resident set size if the former is unknown
}

// Overran counts the requests that took longer than timeout.
type Overran struct {
	Times   uint64    `json:"times"`
	At      time.Time `json:"at,omitzero"`       // the time of the last one
	Request string    `json:"request,omitempty"` // method and target of the last one
}

// Deaths counts the workers that were ready and have ended unexpectedly.
type Deaths struct {
	Times uint64    `json:"times"`
	At    time.Time `json:"at,omitzero"`    // the time of the last one
	Exit  string    `json:"exit,omitempty"` // the text of the last Exit
}

// Status returns the state of the pool.
func (p *Pool) Status() Status {
	s := p.Brief()
	for i := range s.Workers {
		s.Workers[i].Memory = memoryOf(s.Workers[i].PID)
	}
	return s
}

// Brief is Status without the memory of workers, for which Status reads files.
func (p *Pool) Brief() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{App: p.o.Name, Kind: p.o.Kind, Program: p.o.Program, State: p.state(), Since: p.born, Queue: p.queue.length, Requests: p.served, Refused: p.refused, Overran: p.overran, Deaths: p.tally.deaths}
	now := time.Now()
	for _, w := range p.workers {
		s.User = w.process.User()
		ws := WorkerStatus{Name: w.name, PID: w.process.Pid(), State: w.state.String(), Age: now.Sub(w.born).Seconds(), Requests: w.served, Outstanding: w.outstanding}
		if w.state == workerReady && w.outstanding > 0 {
			ws.State = "busy"
		}
		if w.streams != nil && w.page != nil {
			ws.Lag = float64(w.page.Word(0, wire.PageLag).Load()) / 1000
		}
		for _, j := range w.jobs {
			if j == nil || j.started == 0 {
				continue
			}
			if d := now.Sub(time.Unix(0, j.started)).Seconds(); d > ws.Running {
				ws.Running, ws.Request = d, printable(j.owner.Line())
			}
		}
		s.Workers = append(s.Workers, ws)
	}
	if p.failed != nil {
		s.Error = printable(p.failed.Message)
	}
	if s.Error == "" && !p.stands(now) {
		s.Error = printable(p.dying)
	}
	if s.State == Failed {
		s.Next = p.next
	}
	if len(p.ready) > 0 {
		r := p.ready[0].report
		s.Found, s.Python, s.Version = r.App, r.Executable, r.Version
	}
	return s
}

// memoryOf returns the memory of a process; see WorkerStatus.
func memoryOf(pid int) int64 {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		for line := range strings.Lines(string(b)) {
			var kb int64
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
				return kb << 10
			}
		}
	}
	var size, resident int64
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		fmt.Sscan(string(b), &size, &resident)
	}
	return resident * int64(os.Getpagesize())
}
