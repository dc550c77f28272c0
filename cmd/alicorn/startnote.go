package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/config/osfile"
)

// startNote says why the last start of a server failed. A service manager shows
// what is printed in a log of its own; the note is what the verbs can tell.
type startNote struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// startNotePath is where the note of the server that is called name is, beside
// its control socket.
func startNotePath(dir, name string) string {
	return strings.TrimSuffix(control.SocketPath(dir, name), ".sock") + ".failed"
}

// failStart tells the service manager n, and who asks later, why p does not
// come up. Who starts it by hand has read it. The note is a help: a folder that
// takes none is no other failure.
func (p *program) failStart(n *notifier, why string) {
	if n == nil || p.origin.before != nil { // the one before goes on
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

// forgetStart removes the note, once p serves.
func (p *program) forgetStart() { _ = osfile.Remove(startNotePath(p.folders.run, p.name)) }

// lastStart says why the last start of the server that is called name failed;
// "": that is not known.
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
