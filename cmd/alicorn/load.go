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

// program is a configuration to run, wherever it comes from.
type program struct {
	options options
	// read returns the configuration; each reload calls it again.
	read func() (*config.Tree, error)
	// name is what the control API and the log call it: the file, or serve's addresses.
	name    string
	port    int  // of a server without listen
	gated   bool // it takes over from another process once its applications have come up, or failed
	single  bool // it is serve's one application: it must come up, and each reload replaces it
	managed bool // a service manager has started it, and shows what it is told
	loops   int  // event loops of the front; 0 before its start: as many as worker_processes auto
	folders folders
	origin  origin
	upgrade *upgrader
	workers *appserver.Runtime // starts workers, in the keeper
	running *appserver.Front   // whom the front runs as since the start; nil: it has not started
}

// fileProgram runs the configuration file that o names.
func fileProgram(o options) *program {
	p := &program{options: o, name: o.file(), port: defaultPort(), folders: findFolders()}
	p.read = p.readFile
	return p
}

// defaultPort is nginx's: 80 for root, 8000 for all others. The process that
// was started decides; its front, which is another user's, is told.
func defaultPort() int {
	if os.Geteuid() == 0 {
		return 80
	}
	return 8000
}

func (p *program) readFile() (*config.Tree, error) {
	l := config.Loader{Source: config.OS(), Builtin: builtinFiles(), Foreign: proxy.NginxFile}
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

// compile gives tree its meaning, taking what it needs through res. Mistakes
// of reading and of meaning are reported together.
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
	ld := &loaded{tree: tree, load: l}
	ld.main = l.Read(tree.Root)
	ld.process = proc.settings(ld.main)
	ld.process.note(l, p.name)
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

// serveNothing judges a configuration without servers. As in nginx http { } may
// be empty: its include may match nothing yet. Without that block too, a file is
// taken for the wrong one.
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

// peek returns what the configuration says of the process, before anything is
// taken from the system for it. Mistakes are left to compile.
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
