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
	half map[string]half
	// the apps that start in place of those of that reading
	reading uint64
	instead map[string]*appserver.App
}

// run is what a worker runs: the app as it was started, and the kind of its program.
type run struct {
	app  *appserver.App
	kind string
}

// half is a version of an app of which some programs have come up.
type half struct {
	app   *appserver.App
	kinds map[string]bool
}

func newProven() proven {
	return proven{apps: map[string]*appserver.App{}, half: map[string]half{}}
}

// add notes that a program has come up. A version is proven once all its programs have.
func (p *proven) add(r run) {
	name := r.app.Name
	if p.apps[name] == r.app {
		return
	}
	h := p.half[name]
	if h.app != r.app {
		h = half{r.app, map[string]bool{}}
		p.half[name] = h
	}
	h.kinds[r.kind] = true
	if len(h.kinds) == len(r.app.Kinds()) {
		p.apps[name] = r.app
		delete(p.half, name)
	}
}

// choose has the proven version started of each app that r describes otherwise,
// and returns the names of these apps. It forgets apps that r does not have.
func (p *proven) choose(r *Reading) (names []string) {
	p.reading, p.instead = r.number, map[string]*appserver.App{}
	clear(p.half) // all workers start again
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
	if r, ok := k.runs[pid]; ok {
		k.proven.add(r)
	}
}
