package appserver

import (
	"log/slog"

	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
)

// version is one version of an app, its settings and its code, with the pool that runs it.
type version struct {
	*pool.Pool
	app      *App
	rt       *Runtime
	service  *service
	journal  journal
	folders  folders
	tree     []byte // stands for the files when the pool was started; empty: they are not known
	identity string // and this for its settings and environment
}

func newVersion(rt *Runtime, app *App) *version {
	v := &version{app: app, rt: rt}
	launch := app.Launch
	if l := rt.o.Launcher; l != nil {
		launch = l.For(app.Name)
	}
	v.Pool = pool.New(pool.Options{
		Settings: app.Settings, Observer: v, Launch: launch, ParseHead: gateway.ParseHead, Imports: rt.imports, Loops: rt.o.Loops,
	})
	return v
}

// start starts the pool. errors gives the error log for what belongs to no request.
func (v *version) start(errors func() *slog.Logger) {
	v.SetLogs(v.app.output.logs(errors))
	v.rt.add(v.Pool)
	v.Start()
}

// Reported implements pool.Observer.
func (v *version) Reported(all []pool.Report) { v.folders.agree(all) }

// Noted implements pool.Observer.
func (v *version) Noted(kind, path, stamp string) {
	if kind == noteMade || kind == noteWritten {
		v.service.wrote(path, kind == noteMade)
	} else {
		v.journal.add(kind, path, stamp)
	}
}

// Ended implements pool.Observer.
func (v *version) Ended() { v.rt.remove(v.Pool) }

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
