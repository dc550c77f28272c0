package keeper

import (
	"os"
	"sync"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
)

// Reading is a configuration as the keeper has read it: what it may give out.
type Reading struct {
	Main       string // name of the main file
	Tree       *config.Tree
	Generation *proxy.Generation // never started here; it holds the listeners
	Apps       []*appserver.App

	host   *recorder
	number uint64 // of the keeper's readings
}

// listener returns the socket that the configuration listens on there.
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

// names says whether the configuration names the path, as a log or as a file.
func (r *Reading) names(what kind, path string) bool {
	if r == nil {
		return false
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return r.host.named[what][path]
}

// closeListeners stops taking part in the listening sockets.
func (r *Reading) closeListeners() {
	for _, l := range r.Generation.Listeners {
		l.Close()
	}
}

// recorder is a Local that notes what was taken. What an earlier reading has
// taken and this one takes over is carried along.
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
// after, which may be nil, does not, but for those that in spares.
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
