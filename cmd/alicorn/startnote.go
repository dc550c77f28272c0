package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
	"alicorn/proxy/errorlog"
)

// startNote says why the last start of a server failed. The verbs show it, since a
// service manager writes the server's output to a log of its own.
type startNote struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// startNotePath returns the path of the note of the server with that name, beside its
// control socket.
func startNotePath(dir, name string) string {
	return strings.TrimSuffix(control.SocketPath(dir, name), ".sock") + ".failed"
}

// failStart tells the service manager n why p does not come up, and writes the note. It
// does nothing for a start by hand, whose output the operator has seen. Errors of the
// note do not matter.
func (p *program) failStart(n *notifier, why string) {
	if n == nil || p.origin.before != nil { // the server before goes on
		return
	}
	why = gist(why)
	n.failed(why)
	text, err := json.Marshal(startNote{time.Now(), why})
	if err != nil {
		return
	}
	path := startNotePath(p.folders.run, p.name)
	if osfile.MkdirAll(p.folders.run, 0o755) != nil {
		return
	}
	f, err := osfile.Open(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, _ = f.Write(text)
		f.Close()
	}
}

// logStart writes why p does not come up to the error log of its configuration, where
// that is a file. As in nginx, operators look there even for failures before the log is
// open.
func (p *program) logStart(why string) {
	if p.origin.before != nil { // the server before logs it
		return
	}
	tree, _ := p.read() // a mistake in it may be the reason
	if tree == nil || tree.Root == nil {
		return
	}
	i := slices.IndexFunc(tree.Root.Children, func(n *config.Node) bool { return n.Name == "error_log" && len(n.Args) > 0 })
	if i < 0 {
		return
	}
	path := tree.Root.Children[i].Arg(0)
	if path == "stderr" || strings.HasPrefix(path, "syslog:") {
		return
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.options.directory(), path)
	}
	f, err := (&keeper.Local{}).Append(path)
	if err != nil {
		return // the log may be the reason
	}
	defer f.Close()
	log := proxy.Generation{ErrorLog: slog.New(errorlog.NewHandler(f, proxy.LevelEmerg))}
	log.LogTo(proxy.LevelEmerg, "the start has failed: "+why)
}

// forgetStart removes the note, once p serves.
func (p *program) forgetStart() { _ = osfile.Remove(startNotePath(p.folders.run, p.name)) }

// lastStart returns a text about the failure of the last start of the server with that
// name, or "".
func lastStart(dirs []string, name string) string {
	for _, dir := range dirs {
		text, err := osfile.ReadSmall(startNotePath(dir, name))
		var note startNote
		if err == nil && json.Unmarshal(text, &note) == nil {
			return fmt.Sprintf("; the last start failed at %s: %s", moment(note.At), note.Error)
		}
	}
	return ""
}
