package pool

import (
	"fmt"
	"sync"
	"unicode/utf8"

	"alicorn/proxy"
)

// Report is a worker's report about its application, which it sends when it is ready.
type Report struct {
	Version    string   // of Python
	Executable string   // the path of the interpreter
	Kind       string   // of the application: "wsgi", "asgi"
	App        string   // the application as the worker has found it: "module:name"
	Framework  string   // "Flask", "Django", "WSGI", ...
	Static     []Folder // the static folders of the application
	Notes      []string // for the log
}

// Folder is a static folder of an application, as a worker reports it.
type Folder struct {
	URL, Dir string // Dir exists
	// Plain is set if the application answers each request for a file in Dir with that
	// file, so that the front may serve it. Otherwise the application must be asked first,
	// and the front may serve the file after a 404.
	Plain bool
}

// newReport returns the report in v, which a worker has marshalled.
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

// remarks are the lines with wire.FlagOnce that workers have sent.
type remarks struct {
	mu  sync.Mutex
	all map[string]bool
}

// maxRemarks bounds how many different remarks a pool logs.
const maxRemarks = 64

// first reports whether text may be logged: it is new, and there are not too many.
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

// textIn returns the text with name in m, made printable.
func textIn(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return printable(s)
}

// printable replaces characters of a worker's text that could control a terminal by "?".
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
