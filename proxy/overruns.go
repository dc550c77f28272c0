package proxy

import (
	"cmp"
	"slices"
)

// Overrun is a location whose requests have blocked event loops: what they did took
// longer than a loop lets its leader go on, and another goroutine took the lead. It
// costs others some milliseconds each time.
type Overrun struct {
	Location *Location
	Times    uint64
}

// Overruns returns the locations of g whose requests have blocked event loops since
// it was made, most often first. Settings of a server, for requests without a
// location, count as one.
func (g *Generation) Overruns() []Overrun {
	var all []Overrun
	for _, l := range g.locations {
		if n := l.overruns.Load(); n > 0 {
			all = append(all, Overrun{l, n})
		}
	}
	slices.SortStableFunc(all, func(a, b Overrun) int { return cmp.Compare(b.Times, a.Times) })
	return all
}

// place returns the location that x is in: its server's settings before one is found.
func (x *Exchange) place() *Location {
	if x.Location != nil {
		return x.Location
	}
	return x.Server.Root
}
