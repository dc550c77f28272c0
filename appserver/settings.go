package appserver

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
)

// settings are the settings of blocks about applications. app is set inside `app`;
// the other fields belong to servers and locations.
type settings struct {
	app  *App
	pass *App // this location's own app_pass

	folders folderSettings // this location's own app_static

	buffers   int64 // app_buffers: memory that one response may wait in
	maxTemp   int64 // app_max_temp_file_size; usualTemp: the default of the kind of worker
	tempSpace tempSpace
	tempDir   string // app_temp_path, or one of tempPaths
	tempRank  int    // the rank of that directive, in the block that has it
	buffering buffering
	asgi      bool // app_pass names the app's ASGI program
	keeper    bool // the keeper starts workers, and has checked what they need
}

type key = config.Key[settings]

func newKey(rt *Runtime) *key {
	k := config.NewKey(func() settings {
		return settings{buffers: 8 * 32 << 10, maxTemp: usualTemp, tempSpace: tempSpace{percent: 20}, tempDir: rt.o.TempDir, keeper: rt.o.Launcher != nil}
	})
	k.Enter = func(s *config.Scope, c *settings) {
		c.app, c.pass, c.asgi, c.folders, c.tempRank = nil, nil, false, folderSettings{}, 0
	}
	k.Leave = func(s *config.Scope, c *settings) error {
		if c.app == nil {
			return nil
		}
		return c.app.complete(s, c.keeper)
	}
	return k
}

// apps are the applications of one configuration, in the order of the file.
type apps struct {
	list []*App
}

func appsOf(l *config.Load) *apps { return config.Shared(l, func() *apps { return &apps{} }) }

func (a *apps) find(name string) *App {
	for _, app := range a.list {
		if app.Name == name {
			return app
		}
	}
	return nil
}

func (a *apps) names() []string {
	names := make([]string, len(a.list))
	for i, app := range a.list {
		names[i] = app.Name
	}
	return names
}

// Apps returns the applications of the configuration with this main Scope.
// It is complete once the Load has finished without a mistake.
func Apps(main *config.Scope) []*App { return appsOf(main.Load()).list }

func openApp(k *key, rt *Runtime) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name := n.Arg(0)
		k.In(s).app = newApp(name, n.Pos)
		k.In(s).app.rt = rt
		if name == "" || strings.ContainsAny(name, "/: \t\n\"'$") {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid app name %q: use letters, digits, \"-\", \"_\" and \".\"", name)}
		}
		all := appsOf(s.Load())
		if other := all.find(name); other != nil {
			return fmt.Errorf("app %q is duplicate; the first is at %s", name, other.Pos)
		}
		all.list = append(all.list, k.In(s).app)
		return nil
	}
}

func (a *App) complete(s *config.Scope, keeper bool) error {
	if err := a.pick(s); err != nil {
		return err
	}
	pos := a.Pos
	if n := s.Own("directory"); n != nil {
		pos = n.Args[0].Pos
	}
	if a.Directory == "" {
		a.Directory = absolute(s, ".")
	}
	if err := isDirectory(a.Directory); err != nil && !keeper {
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("directory of app %q: %s", a.Name, err)}
	}
	if s.Own("python") != nil && s.Own("virtualenv") != nil {
		return &config.Error{Pos: s.Own("virtualenv").Pos, Msg: fmt.Sprintf("app %q has both \"python\" and \"virtualenv\"; one of them names its interpreter", a.Name)}
	}
	if s.Own("least_conn") != nil && s.Own("round_robin") != nil {
		return &config.Error{Pos: s.Own("round_robin").Pos, Msg: fmt.Sprintf("app %q has both \"least_conn\" and \"round_robin\"", a.Name)}
	}
	if !keeper {
		if err := a.identify(s); err != nil {
			return err
		}
	}
	in, err := findInterpreter(a.search())
	if err != nil && !keeper {
		if n := s.Own("python"); n != nil {
			pos = n.Args[0].Pos
		} else if n := s.Own("virtualenv"); n != nil {
			pos = n.Args[0].Pos
		}
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("app %q: %s", a.Name, err)}
	}
	a.interpreter = in
	return nil
}

// meant returns a hint with the name of an existing folder that path probably means; "": there
// is none.
func meant(path string) string {
	parent := filepath.Dir(path)
	entries, err := os.ReadDir(parent)
	if os.IsNotExist(err) && parent != path {
		return fmt.Sprintf("; neither does %s", parent)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if near := config.Nearest(filepath.Base(path), names); near != "" {
		return fmt.Sprintf("; did you mean %s?", filepath.Join(parent, near))
	}
	return ""
}

func isDirectory(path string) error {
	st, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("%s does not exist%s", path, meant(path))
	case err != nil:
		return fmt.Errorf("cannot use directory: %w", err)
	case !st.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	}
	return nil
}

// absolute makes path absolute, from the prefix of -p.
func absolute(s *config.Scope, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Load().Prefix, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func setDirectory(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		k.In(s).app.Directory = absolute(s, n.Arg(0))
		return nil
	}
}

func setEnv(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name, value := n.Arg(0), n.Arg(1)
		if len(n.Args) == 1 {
			var ok bool
			if name, value, ok = strings.Cut(name, "="); !ok {
				return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("env takes NAME VALUE or NAME=VALUE, not %q alone", n.Arg(0))}
			}
		}
		if !isEnvName(name) || strings.IndexByte(value, 0) >= 0 {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid name of an environment variable: %q", name)}
		}
		a := k.In(s).app
		a.env = append(a.env, name+"="+value)
		return nil
	}
}

func setEnvFile(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		path := absolute(s, n.Arg(0))
		defaults := len(n.Args) == 2
		if defaults && n.Arg(1) != "defaults" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of env_file, which takes \"defaults\"", n.Arg(1))}
		}
		b, err := osfile.Read(path, osfile.MaxEnvironment)
		switch {
		case err != nil && k.In(s).keeper:
			return nil // only the keeper needs to read it, and this process may not be able to
		case err != nil:
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("cannot read env_file: %s", err)}
		}
		a := k.In(s).app
		vars, unset, err := parseDotenv(string(b), a.env)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("env_file %s:%s", path, err)}
		}
		for _, line := range unset {
			s.Load().Warn(n.Args[0].Pos, "env_file %s:%d refers to a variable that no line above it and no env before it sets; the value is empty", path, line)
		}
		for _, v := range vars {
			name, _, _ := strings.Cut(v, "=")
			if _, given := os.LookupEnv(name); !defaults || !given {
				a.env = append(a.env, v)
			}
		}
		return nil
	}
}

func setWorkers(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		a := k.In(s).app
		if n.Arg(0) == "auto" {
			return nil
		}
		v, err := config.ParseInt(n.Arg(0), 1, 1024)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("workers takes \"auto\" or a whole number from 1 to 1024, not %q", n.Arg(0))}
		}
		a.Workers = v
		return nil
	}
}

func setMaxRequests(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		a := k.In(s).app
		for i, field := range []*int{&a.MaxRequests, &a.MaxJitter} {
			if i >= len(n.Args) {
				break
			}
			v, err := config.ParseInt(n.Arg(i), 0, math.MaxInt32)
			if err != nil {
				return &config.Error{Pos: n.Args[i].Pos, Msg: "max_requests: " + err.Error()}
			}
			*field = v
		}
		return nil
	}
}

// setForwardedAllowIPs reads addresses and ranges, also several in one argument with commas
// between them, as gunicorn.
func setForwardedAllowIPs(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		f := &k.In(s).app.forwarding
		f.listed, f.all, f.allowed = true, false, nil
		for i := range n.Args {
			for word := range strings.SplitSeq(n.Arg(i), ",") {
				word = strings.TrimSpace(word)
				prefix, err := proxy.ParsePrefix(word)
				switch {
				case word == "*":
					f.all = true
				case word == "none" && len(n.Args) == 1 && n.Arg(0) == word:
				case err != nil:
					return &config.Error{Pos: n.Args[i].Pos, Msg: fmt.Sprintf("invalid address %q: forwarded_allow_ips takes addresses, ranges such as 192.0.2.0/24, *, or none", word)}
				default:
					f.allowed = append(f.allowed, prefix)
				}
			}
		}
		return nil
	}
}

// setSchemeHeaders reads gunicorn's secure_scheme_headers.
func setSchemeHeaders(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		f := &k.In(s).app.forwarding
		f.schemes = []schemeField{}
		if len(n.Args) == 1 && n.Arg(0) == "none" {
			return nil
		}
		for i := range n.Args {
			name, value, ok := strings.Cut(n.Arg(i), "=")
			name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if !ok || !isFieldName(name) {
				return &config.Error{Pos: n.Args[i].Pos, Msg: fmt.Sprintf("invalid value %q: secure_scheme_headers takes NAME=VALUE, the name of a header field and the value that means https, or none", n.Arg(i))}
			}
			f.schemes = append(f.schemes, schemeField{name, value})
		}
		return nil
	}
}

// isFieldName reports whether name, in lower case, consists of letters, digits and
// hyphens. Applications see only header fields with such names.
func isFieldName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func setForwardedFor(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if n.Arg(0) != "append" && n.Arg(0) != "keep" {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid value %q: forwarded_for is append or keep", n.Arg(0))}
		}
		k.In(s).app.forwarding.keep = n.Arg(0) == "keep"
		return nil
	}
}

// positive sets a time that must not be 0.
func positive(k *key, field func(a *App) *time.Duration) config.Setter {
	return longerThanZero(k, field, "")
}

func longerThanZero(k *key, field func(a *App) *time.Duration, hint string) config.Setter {
	set := config.Duration(k, func(c *settings) *time.Duration { return field(c.app) })
	return func(s *config.Scope, n *config.Node) error {
		if err := set(s, n); err != nil {
			return err
		}
		if *field(k.In(s).app) == 0 {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid value %q: %s must be longer than 0", n.Arg(0), n.Name), Hint: hint}
		}
		return nil
	}
}

// positiveOrOff is positive for a bound that "off" removes: then the field is 0.
func positiveOrOff(k *key, field func(a *App) *time.Duration) config.Setter {
	set := longerThanZero(k, field, `"off" means without a bound`)
	return func(s *config.Scope, n *config.Node) error {
		if n.Arg(0) == "off" {
			*field(k.In(s).app) = 0
			return nil
		}
		return set(s, n)
	}
}

// addWords adds a directive's arguments to a list.
func addWords(k *key, field func(c *settings) *[]string) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		list := field(k.In(s))
		for i := range n.Args {
			if n.Arg(i) == "" {
				return &config.Error{Pos: n.Args[i].Pos, Msg: fmt.Sprintf("%s has an empty word", n.Name)}
			}
			*list = append(*list, n.Arg(i))
		}
		return nil
	}
}
