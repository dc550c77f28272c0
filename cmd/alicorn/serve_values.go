package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// count is a flag that takes a whole number of at least min.
type count struct {
	value *int
	min   int
}

func newCount(value *int, min int) *count { return &count{value, min} }

// Set reads a whole number.
func (c *count) Set(text string) error {
	n, err := parseNumber(text, c.min)
	if err == nil {
		*c.value = n
	}
	return err
}

// String returns the number as Set takes it; help shows no default of 0.
func (c *count) String() string {
	if c.value == nil {
		return ""
	}
	return strconv.Itoa(*c.value)
}

// Type returns the name of the value in help.
func (c *count) Type() string { return "N" }

// mask is a flag that takes a umask.
type mask struct{ value *string }

// Set reads a umask and keeps it in octal.
func (m *mask) Set(text string) error {
	n, err := parseMask(text)
	if err == nil {
		*m.value = fmt.Sprintf("%#o", n)
	}
	return err
}

// String returns the mask as Set takes it.
func (m *mask) String() string {
	if m.value == nil {
		return ""
	}
	return *m.value
}

// Type returns the name of the value in help.
func (m *mask) Type() string { return "MASK" }

// logLevels are gunicorn's, which takes them in any case.
var logLevels = []string{"debug", "info", "warning", "error", "critical"}

// level is the flag of the log's level.
type level struct {
	value *string
	into  *serveFlags
}

// Set takes one of the levels, or other programs' names of some of them. As in
// gunicorn any other word means info; here it gets a note.
func (l *level) Set(text string) error {
	word := strings.ToLower(strings.TrimSpace(text))
	switch word {
	case "":
		word = "info"
	case "warn":
		word = "warning"
	case "notice":
		word = "info"
	case "trace":
		word = "debug"
	case "fatal", "crit":
		word = "critical"
	}
	if !slices.Contains(logLevels, word) {
		l.into.noteValue("log-level", fmt.Sprintf("%q is none of %s; info is used, as in gunicorn", text, strings.Join(logLevels, ", ")))
		word = "info"
	}
	*l.value = word
	return nil
}

// String returns the level.
func (l *level) String() string {
	if l.value == nil {
		return ""
	}
	return *l.value
}

// Type returns the name of the value in help.
func (l *level) Type() string { return "NAME" }

// workerClass is the flag of how workers run.
type workerClass struct{ value *string }

// Set takes the names and the classes of gunicorn's workers that run WSGI
// applications in processes and threads, and of uvicorn's.
func (w *workerClass) Set(text string) error {
	switch strings.TrimPrefix(strings.TrimSpace(text), "egg:gunicorn#") {
	case "sync", "gunicorn.workers.sync.SyncWorker":
		*w.value = "sync"
	case "gthread", "threads", "gunicorn.workers.gthread.ThreadWorker":
		*w.value = "gthread"
	case "asgi", "uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornH11Worker", "uvicorn_worker.UvicornWorker", "uvicorn_worker.UvicornH11Worker":
		*w.value = "asgi"
	default:
		return errors.New("it takes sync, gthread or uvicorn.workers.UvicornWorker: WSGI applications run in processes and threads; leave -k out, and use --threads for more requests at once. For ASGI a worker class of one's own is uvicorn.workers.UvicornWorker with its CONFIG_KWARGS as flags, such as --root-path, --ws-ping-interval, --lifespan or --loop")
	}
	return nil
}

// String returns the name.
func (w *workerClass) String() string {
	if w.value == nil {
		return ""
	}
	return *w.value
}

// Type returns the name of the value in help.
func (w *workerClass) Type() string { return "NAME" }

// pairs is a flag with the pairs of a dictionary, NAME=VALUE.
type pairs struct{ value *[]string }

// Set adds a pair.
func (p *pairs) Set(text string) error { return p.Append(text) }

// Append adds a pair; it ignores "".
func (p *pairs) Append(text string) error {
	if text != "" {
		*p.value = append(*p.value, text)
	}
	return nil
}

// Replace replaces the pairs.
func (p *pairs) Replace(all []string) error {
	*p.value = slices.Clone(all)
	return nil
}

// GetSlice returns the pairs.
func (p *pairs) GetSlice() []string { return *p.value }

// String returns "": help does not show the flag.
func (p *pairs) String() string { return "" }

// Type is never shown.
func (p *pairs) Type() string { return "NAME=VALUE" }

// notedFlag is a flag without effect here. It notes when the flag is given.
type notedFlag struct {
	setting gunicornSetting
	into    *serveFlags
}

// Set notes the flag, unless its value is gunicorn's default.
func (n *notedFlag) Set(text string) error {
	words := []string{text}
	if n.setting.name == "sendfile" {
		words = []string{"false"} // --no-sendfile
	}
	if n.setting.kind == number {
		if _, err := parseNumber(text, 0); err != nil {
			return err
		}
	}
	if !n.setting.asksNothing(words) {
		n.into.note(n.setting.flag, n.setting.why, n.setting.guards)
	}
	return nil
}

// String returns "": the value does not matter.
func (n *notedFlag) String() string { return "" }

// Type is never shown.
func (n *notedFlag) Type() string { return "VALUE" }
