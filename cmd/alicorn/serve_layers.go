package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"alicorn/config"
	"alicorn/proxy"

	"github.com/spf13/pflag"
)

// layers merges the sources of settings, in gunicorn's order:
// environment, configuration file, GUNICORN_CMD_ARGS, command line.
func (f *serveFlags) layers(ctx context.Context, words []string) (*serveFlags, error) {
	all, err := fromEnvironment()
	if err != nil {
		return nil, err
	}
	variable, err := fromVariable()
	if err != nil {
		return nil, err
	}
	file, err := f.configFile(ctx, variable, words)
	if err != nil {
		return nil, err
	}
	for _, layer := range []*serveFlags{file, variable, f} {
		if layer == nil {
			continue
		}
		all.yieldPlace(layer)
		if err := all.merge(layer); err != nil {
			return nil, err
		}
	}
	if err := all.judgeUser(f, variable); err != nil {
		return nil, err
	}
	if err := all.judgeFiles(); err != nil {
		return nil, err
	}
	return all, all.judgeNotes()
}

// fromEnvironment returns the settings with environment variables of their own.
func fromEnvironment() (*serveFlags, error) {
	f := newLayer("serve", "")
	for _, v := range []struct{ variable, flag string }{{"WEB_CONCURRENCY", "workers"}, {"FORWARDED_ALLOW_IPS", "forwarded-allow-ips"}} {
		text, ok := os.LookupEnv(v.variable)
		if !ok || text == "" && v.flag == "workers" {
			continue
		}
		if err := f.set.Set(v.flag, text); err != nil {
			return nil, fmt.Errorf("%s: invalid value %q: %w", v.variable, text, err)
		}
		f.given[v.flag] = v.variable
	}
	return f, f.fromUvicorns()
}

// fromUvicorns sets what the variables UVICORN_* say of the flags that uvicorn has, too.
func (f *serveFlags) fromUvicorns() (err error) {
	f.set.VisitAll(func(flag *pflag.Flag) {
		names := []string{flag.Name}
		for theirs, ours := range uvicornNames {
			if ours == flag.Name {
				names = append(names, theirs)
			}
		}
		for _, name := range names {
			variable := "UVICORN_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			text := os.Getenv(variable)
			if text == "" || !isUvicorns(name) && uvicornNames[name] == "" && !slices.Contains([]string{"workers", "log-level", "forwarded-allow-ips", "backlog", "reload"}, name) {
				continue
			}
			if flag.NoOptDefVal != "" {
				text = truth(text)
			}
			if bad := f.set.Set(flag.Name, text); bad != nil && err == nil {
				err = fmt.Errorf("%s: invalid value %q: %w", variable, text, bad)
			}
			f.given[flag.Name] = variable
		}
	})
	return err
}

// truth returns the words of click's booleans as pflag takes them.
func truth(text string) string {
	switch strings.ToLower(text) {
	case "yes", "y", "on":
		return "true"
	case "no", "n", "off":
		return "false"
	}
	return text
}

// yieldPlace forgets where the environment says to listen if a higher layer says it otherwise.
func (f *serveFlags) yieldPlace(upper *serveFlags) {
	var names []string
	switch {
	case upper.has("bind") || upper.has("uds") || upper.has("fd"):
		names = []string{"host", "port", "uds", "fd"}
	case upper.has("host") || upper.has("port"):
		names = []string{"uds", "fd"}
	}
	for _, name := range names {
		if strings.HasPrefix(f.given[name], "UVICORN_") {
			f.set.Lookup(name).Changed = false
		}
	}
}

// fromVariable returns the settings of GUNICORN_CMD_ARGS.
func fromVariable() (*serveFlags, error) {
	const name = "GUNICORN_CMD_ARGS"
	words, err := splitArgs(os.Getenv(name))
	if err != nil {
		return nil, err
	}
	f := newLayer(name, " in "+name)
	if err := f.set.Parse(words); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, word := range f.set.Args() {
		f.notes = append(f.notes, note{name: fmt.Sprintf("%q in %s", word, name), reason: "the variable holds flags; the application is named on the command line"})
	}
	return f, nil
}

// newLayer returns an empty layer of settings. where is appended to their names in
// messages.
func newLayer(name, where string) *serveFlags {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	f := newServeFlags(set)
	f.where = where
	return f
}

// Bounds of a request's header: gunicorn's defaults, which the front always allows.
const (
	usualLine  = 4094
	usualField = 8190
)

// judgeNotes returns an error when a given setting about security has no effect here.
func (f *serveFlags) judgeNotes() error {
	var errs []error
	for _, bound := range []struct {
		flag         string
		value, least int
	}{{"limit-request-line", f.requestLine, usualLine}, {"limit-request-field_size", f.fieldSize, usualField}} {
		if f.has(bound.flag) && bound.value != 0 && bound.value < bound.least {
			errs = append(errs, fmt.Errorf("%s has no equivalent here: the front takes as much as %d bytes in any case, and %d is less", f.label(bound.flag), usualField, bound.value))
		}
	}
	if f.certificate == "" && f.key != "" {
		errs = append(errs, fmt.Errorf("%s needs --certfile: without a certificate the server would speak plain HTTP", f.label("keyfile")))
	}
	for _, n := range f.notes {
		if n.guards {
			errs = append(errs, fmt.Errorf("%s has no equivalent here: %s", n.name, n.reason))
		}
	}
	return errors.Join(errs...)
}

// sayLine prints a line of notes.
func sayLine(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "alicorn: %s\n", proxy.Printable(fmt.Sprintf(format, args...)))
}

// sayNotes prints the notes.
func (f *serveFlags) sayNotes(w io.Writer) {
	said := map[note]bool{}
	for _, n := range f.notes {
		if n.guards || said[n] {
			continue
		}
		said[n] = true
		if n.value {
			sayLine(w, "%s: %s", n.name, n.reason)
		} else {
			sayLine(w, "%s has no equivalent here: %s", n.name, n.reason)
		}
	}
}

// say prints the given settings of gunicorn's and uvicorn's that have no effect here.
func (f *serveFlags) say(w io.Writer) {
	f.sayNotes(w)
	if len(f.hooks) > 0 {
		sayLine(w, "hooks%s are not called, since this version has none: %s; a later version calls them", f.file.where(), strings.Join(f.hooks, ", "))
	}
	if f.file == nil {
		return
	}
	for _, s := range f.file.strange() {
		hint := ""
		if s.near != "" {
			hint = fmt.Sprintf("; did you mean %q?", s.near)
		}
		sayLine(w, "%s:%d sets %q, which is none of gunicorn's settings and is read nowhere in the file%s", f.file.path, s.line, s.name, hint)
	}
}

// strange returns the names that the file sets and that are not used, in the order of
// lines. They may be misspelled settings.
func (c *confFile) strange() (all []strangeName) {
	for _, name := range sortedKeys(c.unread) {
		s := strangeName{name: name, line: c.unread[name], near: nearSetting(name)}
		constant := name == strings.ToUpper(name)
		if strings.HasPrefix(name, "_") || constant && s.near == "" {
			continue
		}
		all = append(all, s)
	}
	return all
}

// strangeName is a name that a file sets and that is not used.
type strangeName struct {
	name string
	line int
	near string // the setting that may be meant
}

// nearSetting returns the setting that name may mean: in another spelling, by its
// flag's name, or misspelled; "": none.
func nearSetting(name string) string {
	plain := func(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)) }
	for _, g := range gunicornSettings {
		if g.name != "" && (plain(g.name) == plain(name) || g.flag != "" && plain(g.flag) == plain(name)) {
			return g.name
		}
	}
	return config.Nearest(strings.ToLower(name), settingNames())
}
