package main

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"alicorn/cmd/alicorn/control"
)

// failures remembers the actions that have failed, each until it succeeds.
type failures struct {
	mu  sync.Mutex
	all map[string]control.Failure
}

// note records how the action what has ended.
func (f *failures) note(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.all, what)
		return
	}
	if f.all == nil {
		f.all = map[string]control.Failure{}
	}
	f.all[what] = control.Failure{What: what, At: time.Now(), Error: gist(words(err))}
}

// list returns the failed actions, by name.
func (f *failures) list() (out []control.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b control.Failure) int { return cmp.Compare(a.What, b.What) })
	return out
}

// gist returns the most informative line of an error's text: for an application that
// did not come up the one behind the traceback, else the first.
func gist(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "app \"") && strings.Contains(line, "did not come up: ") {
			return line
		}
	}
	return first
}
