package pool

import (
	"fmt"
	"sync"
	"unicode/utf8"

	"alicorn/proxy"
)

// Report is what a worker tells of its application once it is ready.
type Report struct {
	Version    string // of Python
	Executable string
	Kind       string // of the application: "wsgi", "asgi"
	App        string // "module:name" as found
	Framework  string // "Flask", "Django", "WSGI", ...
	Static     []Folder
	Notes      []string
}

// Folder is a static folder of an application, as a worker reports it.
type Folder struct {
	URL, Dir string // the latter exists
	// Plain says that the application answers every request for a file in Dir
	// with that file, so that the front may serve it. Otherwise the application
	// must be asked first, and the front may serve the file after a 404.
	Plain bool
}

func newReport(v any) (Report, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return Report{}, fmt.Errorf("malformed report")
	}
	r := Report{Version: textIn(m, "version"), Executable: textIn(m, "executable"), Kind: textIn(m, "kind"), App: textIn(m, "app"), Framework: textIn(m, "framework")}
	static, _ := m["static"].([]any)
	for _, e := range static {
		parts, _ := e.([]any)
		if len(parts) != 3 {
			continue
		}
		url, ok1 := parts[0].(string)
		dir, ok2 := parts[1].(string)
		how, ok3 := parts[2].(string)
		if ok1 && ok2 && ok3 {
			r.Static = append(r.Static, Folder{url, dir, how == "plain"})
		}
	}
	notes, _ := m["notes"].([]any)
	for _, n := range notes {
		if s, ok := n.(string); ok {
			r.Notes = append(r.Notes, printable(s))
		}
	}
	return r, nil
}

// remarks are what workers have said of their application, each once.
type remarks struct {
	mu  sync.Mutex
	all map[string]bool
}

// maxRemarks bounds how many different remarks a pool logs.
const maxRemarks = 64

// first reports that text was not said before, and may be logged.
func (m *remarks) first(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[text] || len(m.all) >= maxRemarks {
		return false
	}
	if m.all == nil {
		m.all = map[string]bool{}
	}
	m.all[text] = true
	return true
}

func textIn(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return printable(s)
}

// printable keeps a worker's text from ruling the terminal that shows it.
func printable(s string) string {
	clean := []byte(nil)
	for i, r := range s {
		if r != '\n' && r != '\t' && !proxy.IsPrintable(r) {
			if clean == nil {
				clean = append(clean, s[:i]...)
			}
			clean = append(clean, '?')
		} else if clean != nil {
			clean = utf8.AppendRune(clean, r)
		}
	}
	if clean == nil {
		return s
	}
	return string(clean)
}
