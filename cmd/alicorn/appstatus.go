package main

import (
	"fmt"

	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
)

// appStatus returns the pool p with status ps in the form of the control API.
func appStatus(p *pool.Pool, ps pool.Status) control.App {
	a := control.App{Name: ps.App, User: ps.User, Kind: ps.Kind, Program: ps.Program, Found: ps.Found, Python: ps.Python, PythonVersion: ps.Version, Queue: ps.Queue,
		State: string(ps.State), Since: ps.Since, Error: ps.Error, Next: ps.Next, Workers: []control.Worker{}}
	if o := ps.Overran; o.Times > 0 {
		a.Overran = &control.Overran{Times: o.Times, At: o.At, Request: o.Request}
	}
	if d := ps.Deaths; d.Times > 0 {
		a.Deaths = &control.Deaths{Times: d.Times, At: d.At, Exit: d.Exit}
	}
	if r, ok := p.Report(); ok {
		a.Framework = r.Framework
	}
	for _, w := range ps.Workers {
		cw := control.Worker{Name: w.Name, PID: w.PID, State: w.State, Age: w.Age, Requests: int64(w.Requests), Memory: w.Memory, Lag: w.Lag}
		if w.Running > 0 {
			cw.Request = fmt.Sprintf("%d in progress or waiting, the longest for %.1f s: %s", w.Outstanding, w.Running, w.Request)
		}
		a.Workers = append(a.Workers, cw)
	}
	return a
}
