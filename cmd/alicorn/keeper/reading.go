package keeper

import (
	"os"
	"sync"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
)

// Reading is a configuration as the keeper has read it. The front gets only what
// a Reading names.
type Reading struct {
	Main       string // name of the main file
	Tree       *config.Tree
	Generation *proxy.Generation // never started in this process; it holds the listeners
	Apps       []*appserver.App

	host   *recorder
	number uint64 // counts the keeper's readings
}

// listener returns the socket of that address; nil when the configuration does not listen on it.
func (r *Reading) listener(network, address string) *os.File {
	if r == nil {
		return nil
	}
	for _, l := range r.Generation.Listeners {
		if l.Network == network && l.Address == address {
			return l.File()
		}
	}
	return nil
}

// app returns the app of that name.
func (r *Reading) app(name string) *appserver.App {
	if r == nil {
		return nil
	}
	for _, a := range r.Apps {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// names reports whether the configuration names the path, as a log or as a file.
func (r *Reading) names(what kind, path string) bool {
	if r == nil {
		return false
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return r.host.named[what][path]
}

// closeListeners closes this process's copies of the listening sockets.
func (r *Reading) closeListeners() {
	for _, l := range r.Generation.Listeners {
		l.Close()
	}
}

// recorder is a Local that notes the logs and files that a reading opens. carry
// adds those that it takes over from an earlier one.
type recorder struct {
	*Local
	mu    sync.Mutex
	named map[kind]map[string]bool
}

func newRecorder(h *Local) *recorder {
	return &recorder{Local: h, named: map[kind]map[string]bool{askAppend: {}, askFile: {}}}
}

func (h *recorder) note(what kind, path string) {
	h.mu.Lock()
	h.named[what][path] = true
	h.mu.Unlock()
}

// Append opens a log.
func (h *recorder) Append(path string) (*os.File, error) {
	h.note(askAppend, path)
	return h.Local.Append(path)
}

// ReadFile reads a file.
func (h *recorder) ReadFile(path string) ([]byte, error) {
	h.note(askFile, path)
	return h.Local.ReadFile(path)
}

// RemoveSockets removes the files of unix sockets that before listens on and
// after, which may be nil, does not, except those of in.Spared.
func RemoveSockets(before, after *proxy.Generation, in *Inherited) {
	kept := map[string]bool{}
	for _, file := range in.Spared() {
		kept[file] = true
	}
	if after != nil {
		for _, l := range after.Listeners {
			kept[l.Address] = true
		}
	}
	for _, l := range before.Listeners {
		if l.Network == "unix" && !kept[l.Address] {
			l.RemoveName()
		}
	}
}
