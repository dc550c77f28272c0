package keeper

import (
	"slices"

	"alicorn/appserver"
)

// proven has the version of each app that came up last, by name. After a reload
// an app that does not come up with its new settings keeps its old workers. They
// end when the front ends, and the next front starts the proven version again.
type proven struct {
	apps map[string]*appserver.App
	// the apps that start in place of those of that reading
	reading uint64
	instead map[string]*appserver.App
}

// choose has the proven version started of each app that r describes otherwise,
// and returns the names of these apps. It forgets apps that r does not have.
func (p *proven) choose(r *Reading) (names []string) {
	p.reading, p.instead = r.number, map[string]*appserver.App{}
	for name, app := range p.apps {
		now := r.app(name)
		switch {
		case now == nil:
			delete(p.apps, name)
		case !app.Same(now) && app.Interchangeable(now):
			p.instead[name] = app
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// standIn returns the app that starts in place of the reading's own; nil: there is none.
func (p *proven) standIn(reading uint64, name string) *appserver.App {
	if reading != p.reading {
		return nil
	}
	return p.instead[name]
}

// onCameUp notes that the app of a worker has come up.
func (k *Keeper) onCameUp(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if app := k.runs[pid]; app != nil {
		k.proven.apps[app.Name] = app
	}
}
