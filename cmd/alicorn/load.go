package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/acme"
	"alicorn/proxy/errorlog"
)

func itoa(n int) string { return strconv.Itoa(n) }

// program is a configuration to run, from a file or from serve's flags.
type program struct {
	options options
	// read returns the configuration; each reload calls it again.
	read func() (*config.Tree, error)
	// name is its name for the control API and the log: the file, or serve's addresses.
	name    string
	port    int  // the port of a server without listen
	gated   bool // it takes over from another process once its applications have come up, or failed
	single  bool // one application of serve, which must come up, and which each reload replaces
	split   bool // it runs as a keeper and a front, and this is one of them
	managed bool // a service manager has started it, and shows its messages
	loops   int  // event loops of the front; 0 before its start: as many as worker_processes auto
	folders folders
	fd      int // a listening socket that another program has opened for this one; 0: none
	origin  origin
	upgrade *upgrader
	workers *appserver.Runtime // starts workers, in the keeper
	running *appserver.Front   // the user that the front runs as; nil before the start
}

// fileProgram runs the configuration file that o names.
func fileProgram(o options) *program {
	p := &program{options: o, name: o.file(), port: defaultPort(), folders: findFolders()}
	p.read = p.readFile
	return p
}

// defaultPort returns nginx's default: 80 for root, 8000 for all others. The process
// that was started decides; its front, which runs as another user, gets the number.
func defaultPort() int {
	if os.Geteuid() == 0 {
		return 80
	}
	return 8000
}

func (p *program) readFile() (*config.Tree, error) {
	l := config.Loader{Source: config.OS(), Builtin: builtinFiles}
	tree, err := l.Load(p.options.file())
	if errors.Is(err, fs.ErrNotExist) && p.options.config == "" {
		return nil, fmt.Errorf("there is no configuration: neither ./alicorn.conf nor /etc/alicorn/alicorn.conf exists; name one with -c FILE, or serve an application with \"alicorn serve\"")
	}
	if err != nil {
		return tree, err
	}
	return tree, p.addGlobal(tree)
}

// addGlobal puts the directives of -g before the file's.
func (p *program) addGlobal(tree *config.Tree) error {
	if p.options.global == "" {
		return nil
	}
	extra, err := config.Parse("-g", []byte(p.options.global))
	if err != nil {
		return err
	}
	tree.Root.Children = append(extra.Children, tree.Root.Children...)
	return nil
}

// loaded is a configuration that was read and compiled.
type loaded struct {
	tree       *config.Tree
	load       *config.Load
	main       *config.Scope
	process    *processSettings
	generation *proxy.Generation
}

// compile compiles tree, with resources from res. It reports mistakes of reading and
// of compiling together.
func (p *program) compile(tree *config.Tree, readErr error, res *config.Resources, apps *appserver.Runtime) (*loaded, error) {
	if tree == nil {
		return nil, readErr
	}
	proc := newProcess()
	mods := modules(p.features(apps))
	l := &config.Load{Schema: schemaOf(mods, proc), Resources: res, Prefix: p.options.directory(), ConfDir: filepath.Dir(p.options.file())}
	l.FailWith(config.Pos{File: p.name}, readErr)
	proxy.Declare(l, mods)
	appserver.SetFront(l, p.fronts(proc))
	l.Hides(p.folders.state)
	ld := &loaded{tree: tree, load: l}
	ld.main = l.Read(tree.Root)
	ld.process = proc.settings(ld.main)
	ld.process.note(l, p.name)
	ld.process.warnOfPriority(l, p.split)
	g, err := proxy.Compile(l, ld.main, mods)
	if err == nil && len(g.Servers) == 0 {
		err = ld.serveNothing(p.name)
	}
	ld.generation = g
	if err == nil {
		ld.warnOfBarred()
	}
	return ld, err
}

// serveNothing handles a configuration without servers. As in nginx http { } may be
// empty, since its include may match no file yet. Without http { } it is an error: the
// file is probably the wrong one.
func (ld *loaded) serveNothing(name string) error {
	h := ld.main.Own("http")
	if h == nil {
		return fmt.Errorf("%s: there is no server { } block, so there is nothing to serve", name)
	}
	ld.load.Warn(h.Pos, "there is no server { } block in http, so nothing is served")
	return nil
}

func (p *program) features(apps *appserver.Runtime) features {
	log := errorlog.Options{Default: "stderr", Level: proxy.LevelError}
	if e := p.options.errorLog; e != "" {
		log.Default = e
	}
	return features{
		core:     proxy.Options{TempDir: filepath.Join(p.folders.cache, "client_body"), Port: p.port},
		errorLog: log,
		apps:     apps,
		acme:     acme.Options{State: p.folders.state},
	}
}

// peek returns the settings of the process, and opens nothing. compile reports the
// mistakes.
func (p *program) peek() *processSettings {
	tree, err := p.read()
	if tree == nil || tree.Root == nil || err != nil {
		return &processSettings{}
	}
	proc := newProcess()
	mods := modules(p.features(appserver.NewRuntime(appserver.Options{})))
	l := &config.Load{Schema: schemaOf(mods, proc), Resources: config.NewResources(checkHost{Local: &keeper.Local{}}), Prefix: p.options.directory(), ConfDir: filepath.Dir(p.options.file())}
	defer l.Resources.Release()
	proxy.Declare(l, mods)
	appserver.SetFront(l, p.fronts(proc))
	return proc.settings(l.Read(tree.Root))
}
