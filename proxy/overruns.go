package proxy

import (
	"cmp"
	"slices"
)

// Overrun is a location whose requests have blocked event loops: they kept the lead for
// too long, and the watch gave it to another goroutine. Each time this delays other
// requests by some milliseconds.
type Overrun struct {
	Location *Location
	Times    uint64
}

// Overruns returns the locations of g whose requests have blocked event loops since g was
// made, the most frequent first. Requests without a location count for their server's
// settings.
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

// place returns x's location; before it is found, the server's settings.
func (x *Exchange) place() *Location {
	if x.Location != nil {
		return x.Location
	}
	return x.Server.Root
}
