package appserver

import "log/slog"

// version is one version of an app, its settings and its code, with the pools that run it.
type version struct {
	runners          // of the app's programs, in their order
	asgi     *runner // of an ASGI program; nil: there is none
	app      *App
	rt       *Runtime
	service  *service
	journal  journal
	folders  folders
	tree     []byte // Findings.Tree when the pools were started; empty: the files are not known
	identity string // Findings.Identity at that time
}

func newVersion(rt *Runtime, app *App) *version {
	v := &version{app: app, rt: rt}
	for _, p := range app.programs {
		r := newRunner(v, p)
		v.runners = append(v.runners, r)
		if p.adapter == &asgiAdapter {
			v.asgi = r
		}
	}
	return v
}

// start starts the pools of v. errors returns the error log, for messages of no request.
func (v *version) start(errors func() *slog.Logger) {
	v.SetLogs(v.app.logs(errors))
	for _, r := range v.runners {
		v.rt.add(r.Pool)
	}
	v.Start()
}

// runner returns the runner for a request: that of the ASGI program, or the first one. It is
// nil if the app has no ASGI program any more.
func (v *version) runner(asgi bool) *runner {
	if asgi {
		return v.asgi
	}
	return v.runners[0]
}

// noted records a file that a worker notes.
func (v *version) noted(kind, path, stamp string) {
	if kind == noteMade || kind == noteWritten {
		v.service.wrote(path, kind == noteMade)
	} else {
		v.journal.add(kind, path, stamp)
	}
}

// difference says what has changed since v was started; "": nothing.
func (v *version) difference(f Findings) string {
	switch {
	case f.Identity == "" || f.Identity != v.identity:
		return "its settings or its environment have changed"
	case f.Why != "":
		return f.Why
	case len(v.tree) == 0:
		return "its files were not known"
	}
	return ""
}
