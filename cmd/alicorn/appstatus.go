package main

import (
	"fmt"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
)

// appStatus is a pool as the control API shows it.
func appStatus(p *appserver.Pool) control.App {
	ps := p.Status()
	a := control.App{Name: ps.App, User: ps.User, WSGI: ps.WSGI, Found: ps.Found, Python: ps.Python, PythonVersion: ps.Version, Queue: ps.Queue,
		State: string(ps.State), Since: ps.Since, Error: ps.Error, Next: ps.Next, Workers: []control.Worker{}}
	if r, ok := p.Report(); ok {
		a.Framework = r.Framework
	}
	for _, w := range ps.Workers {
		cw := control.Worker{Name: w.Name, PID: w.PID, State: w.State, Age: w.Age, Requests: int64(w.Requests), Memory: w.Memory}
		if w.Running > 0 {
			cw.Request = fmt.Sprintf("%d in progress or waiting, the longest for %.1f s", w.Outstanding, w.Running)
		}
		a.Workers = append(a.Workers, cw)
	}
	return a
}
