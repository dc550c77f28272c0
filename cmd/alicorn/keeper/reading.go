package keeper

import (
	"net/netip"
	"os"
	"slices"
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
	Priority   Priority // of the front

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

// logsTo reports whether the configuration names a log of that path.
func (r *Reading) logsTo(path string) bool {
	if r == nil {
		return false
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return r.host.logs[path]
}

// openLog returns a descriptor of the log at path that the keeper itself has open; nil
// where it has none.
func (r *Reading) openLog(path string) (f *os.File) {
	if r == nil {
		return nil
	}
	r.Generation.Resources.Each(func(_ string, v any) {
		if log, ok := v.(interface {
			Duplicate(path string) (*os.File, error)
		}); ok && f == nil {
			f, _ = log.Duplicate(path) // on an error the front is told why the log cannot be opened
		}
	})
	return f
}

// file returns what the reading has found at path; false where it has read no such file.
// A front that replaces one that has crashed gets that, too, whatever has become of the
// file since.
func (r *Reading) file(path string) (f found, ok bool) {
	if r == nil {
		return found{}, false
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	f, ok = r.host.files[path]
	return f, ok
}

// resolved returns the addresses that the reading has found for a host; false where it
// has looked up no such host. Like file it gives each front the same.
func (r *Reading) resolved(host string) (h resolved, ok bool) {
	if r == nil {
		return resolved{}, false
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	h, ok = r.host.hosts[host]
	return h, ok
}

// closeListeners closes this process's copies of the listening sockets.
func (r *Reading) closeListeners() {
	for _, l := range r.Generation.Listeners {
		l.Close()
	}
}

// recorder is a Local that notes the logs that a reading opens, the files that it
// reads and the hosts that it looks up. carry adds the logs that it takes over from an earlier one.
type recorder struct {
	*Local
	mu    sync.Mutex
	logs  map[string]bool
	files map[string]found
	hosts map[string]resolved
}

// found is the content of a file, or why it could not be read.
type found struct {
	content []byte
	err     error
}

// resolved are the addresses of a host, or why there are none.
type resolved struct {
	addresses []netip.Addr
	err       error
}

func newRecorder(h *Local) *recorder {
	return &recorder{Local: h, logs: map[string]bool{}, files: map[string]found{}, hosts: map[string]resolved{}}
}

// LookUp looks a host up, once for the reading.
func (h *recorder) LookUp(host string) ([]netip.Addr, error) {
	h.mu.Lock()
	known, ok := h.hosts[host]
	h.mu.Unlock()
	if !ok {
		known.addresses, known.err = h.Local.LookUp(host)
		h.mu.Lock()
		h.hosts[host] = known
		h.mu.Unlock()
	}
	return slices.Clone(known.addresses), known.err
}

// Append opens a log.
func (h *recorder) Append(path string) (*os.File, error) {
	h.mu.Lock()
	h.logs[path] = true
	h.mu.Unlock()
	return h.Local.Append(path)
}

// ReadFile reads a file.
func (h *recorder) ReadFile(path string) ([]byte, error) {
	content, err := h.Local.ReadFile(path)
	h.mu.Lock()
	h.files[path] = found{content, err}
	h.mu.Unlock()
	return content, err
}

// RemoveSockets removes the files of unix sockets that before listens on and
// after, which may be nil, does not, except those of in.Spared.
func RemoveSockets(before, after *proxy.Generation, in *Inherited) {
	removeSockets(before.Listeners, after, in)
}

// Undo releases what a configuration that does not serve has taken, and removes the files
// of the unix sockets that serving, which may be nil, does not have, except those of
// in.Spared.
func Undo(taken *config.Resources, serving *proxy.Generation, in *Inherited) {
	var all []*proxy.Listener
	taken.Each(func(_ string, v any) {
		if l, ok := v.(*proxy.Listener); ok {
			all = append(all, l)
		}
	})
	removeSockets(all, serving, in)
	taken.Release()
}

func removeSockets(listeners []*proxy.Listener, after *proxy.Generation, in *Inherited) {
	kept := map[string]bool{}
	for _, file := range in.Spared() {
		kept[file] = true
	}
	if after != nil {
		for _, l := range after.Listeners {
			kept[l.Address] = true
		}
	}
	for _, l := range listeners {
		if l.Network == "unix" && !kept[l.Address] {
			l.RemoveName()
		}
	}
}
