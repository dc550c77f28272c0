package keeper

import (
	"slices"

	"alicorn/appserver"
)

// proven are the apps as they have come up last, by name. A reload may have given
// an app settings with which it does not come up: it keeps its workers then, and
// when they end with their front, the new front is to have them again.
type proven struct {
	apps map[string]*appserver.App
	// in place of those of the reading of that number
	reading uint64
	instead map[string]*appserver.App
}

// choose has apps that have not come up as r describes them start as they have
// come up before, and returns their names. It forgets those that r does not have.
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

// standIn returns the app that starts in place of a reading's; nil: its own.
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
