package keeper

import "alicorn/appserver"

// maxVersions bounds the earlier versions of one app that are remembered.
const maxVersions = 32

// past has the earlier versions of the apps of the configuration that serves, by
// name. A reload that leaves an app as it was adds no version: a pool may outlive
// any number of such reloads.
type past map[string][]version

// version is an app as it was from one reading on, until the next version.
type version struct {
	from uint64 // number of the reading
	app  *appserver.App
}

// add adds the apps of before, which after replaces, and forgets apps that after
// does not have.
func (p past) add(before, after *Reading) {
	for _, app := range before.Apps {
		all := p[app.Name]
		if n := len(all); n > 0 && all[n-1].app.Same(app) {
			continue
		}
		p[app.Name] = append(all[max(len(all)-maxVersions+1, 0):], version{before.number, app})
	}
	for name := range p {
		if after.app(name) == nil {
			delete(p, name)
		}
	}
}

// app returns the app of that name as it was in a reading; nil when it is not known.
func (p past) app(reading uint64, name string) (app *appserver.App) {
	for _, v := range p[name] {
		if v.from <= reading {
			app = v.app
		}
	}
	return app
}
