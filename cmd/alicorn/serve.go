package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
	"alicorn/tls/acme"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [APP]",
		Short: "Serve a Python application without a configuration",
		Long: "Serves a WSGI or an ASGI application: MODULE:NAME, MODULE:FACTORY(), a module, or a .py or .wsgi file. Without APP\n" +
			"it is FLASK_APP, wsgi.py, app.py, asgi.py, main.py or a Django project. Flags are gunicorn's and uvicorn's, with\n" +
			"gunicorn's meaning where both have one; gunicorn.conf.py, GUNICORN_CMD_ARGS, UVICORN_*, WEB_CONCURRENCY and PORT are honoured. --print-config shows the configuration it builds.",
		Args: oneApp,
	}
	flags := newServeFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return serve(cmd, flags, args) }
	return cmd
}

// oneApp refuses a second application, whose flag may have lost its dashes.
func oneApp(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("unexpected argument %q after application %q: serve takes one application, and flags begin with - or --", args[1], args[0])
	}
	return nil
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

func serve(cmd *cobra.Command, command *serveFlags, args []string) error {
	f, err := command.layers(cmd.Context(), os.Args[min(2, len(os.Args)):])
	if err != nil {
		return usage(err)
	}
	if err := f.activate(); err != nil {
		return usage(err)
	}
	if !isInit() && !isDaemon() { // the process beside this one prints them
		f.say(os.Stderr)
	}
	if err := f.judgeHTTPS(); err != nil {
		return usage(err)
	}
	if len(args) > 0 {
		f.wsgiApp = args[0]
	}
	app, err := f.find()
	if err != nil {
		return err
	}
	f.defaultBind(app)
	f.onTerminal = !f.noRequests && !f.daemon && !f.has("access-logfile") && isTerminal(os.Stdout)
	p, err := f.program(app)
	if err != nil {
		return usage(err)
	}
	if f.checkConfig {
		return startError(p.checkApp(cmd.Context(), f, app))
	}
	serves := !isInit() && (!f.daemon || isDaemon()) // otherwise another process does
	if (serves || f.printConfig) && !app.demo && (app.kind == "" || app.kind == "wsgi" && len(f.static) == 0) {
		if app, err = p.ask(cmd.Context(), f, app); err != nil {
			return startError(err)
		}
	}
	if serves && !app.demo {
		f.notes = f.foreign(app.kind)
		f.sayNotes(os.Stderr)
	}
	if f.printConfig {
		tree, err := p.read()
		if err == nil {
			_, err = cmd.OutOrStdout().Write(tree.Contents[tree.Files[0]])
		}
		return failed(err)
	}
	return start(cmd.Context(), p, func(st control.Status) {
		fmt.Fprintln(os.Stderr, proxy.Printable(startLine(st, app, f)))
		if f.https {
			fmt.Fprintln(os.Stderr, howToTrust(acme.RootFile(filepath.Join(p.folders.state, "acme"))))
		}
	})
}

// find enters the application's folder and finds the application.
func (f *serveFlags) find() (found, error) {
	dir, err := filepath.Abs(f.chdir)
	if err != nil || !isDirectory(dir) {
		return found{}, usage(fmt.Errorf("%s: there is no folder %q", f.label("chdir"), f.chdir))
	}
	f.enter(dir)
	app, err := discover(dir, f.wsgiApp, os.Getenv)
	if err != nil {
		return found{}, &exitError{exitApp, err}
	}
	app.take(f)
	return app, nil
}

// defaultBind chooses the address when none was given: $PORT on every address, as
// platforms expect, else the loopback. The demo listens on the loopback only.
func (f *serveFlags) defaultBind(app found) {
	switch port := os.Getenv("PORT"); {
	case len(f.binds) > 0:
	case len(f.domains) > 0:
		f.binds = []string{"0.0.0.0:443"}
		if hasIPv6() {
			f.binds = append(f.binds, "[::]:443")
		}
	case port != "" && !app.demo:
		f.binds = []string{"0.0.0.0:" + port}
	case port != "":
		f.binds = []string{"127.0.0.1:" + port}
	default:
		f.binds = []string{"127.0.0.1:8000"}
	}
}

// program returns the program that serve runs: one tree, built once. The application
// is asked for its static folders once, before the first start; a reload loads new
// code, but not new flags.
func (f *serveFlags) program(app found) (*program, error) {
	dir, err := filepath.Abs(f.chdir)
	if err != nil {
		return nil, err
	}
	statics, err := f.staticFlags(dir)
	if err != nil {
		return nil, err
	}
	tree, err := f.tree(app, statics)
	if err != nil {
		return nil, err
	}
	where, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p := &program{
		options: options{config: filepath.Join(where, "serve.conf"), prefix: where},
		name:    "serve " + strings.Join(f.binds, " "), single: true, fd: f.uvicorn.fd, port: defaultPort(), folders: findFolders(),
	}
	p.read = func() (*config.Tree, error) { return tree, nil }
	return p, nil
}

// ask asks the application, in a worker without requests, which kind it is and which static
// folders its framework has, and puts both into the configuration. Folders of --static
// replace those of the framework.
func (p *program) ask(ctx context.Context, f *serveFlags, app found) (found, error) {
	if err := p.folders.secure(); err != nil {
		return app, failed(err)
	}
	one := *f
	one.workers = 1
	tree, err := one.written(append(one.global(app), one.app(app), passing("127.0.0.1:1")))
	report, user, err := p.probe(ctx, app, tree, err)
	if err != nil {
		return app, err
	}
	if app.kind == "" {
		app.kind = report.Kind
	}
	statics, err := f.staticFlags(app.directory)
	if err == nil && len(f.static) == 0 {
		statics = published(report, user)
	}
	if err != nil {
		return app, usage(err)
	}
	if tree, err = f.tree(app, statics); err != nil {
		return app, err
	}
	p.read = func() (*config.Tree, error) { return tree, nil }
	return app, nil
}

// published returns the static folders of a report that may be served, and prints what is to
// be said of them. user is the application's user; nil: this process's.
func published(report pool.Report, user *osfile.User) (statics []staticDir) {
	for _, note := range report.Notes {
		fmt.Fprintf(os.Stderr, "alicorn: %s\n", proxy.Printable(note))
	}
	for _, s := range report.Static {
		if !strings.HasPrefix(s.URL, "/") || s.URL == "/" || !isDirectory(s.Dir) {
			continue
		}
		d := newStaticDir(s.URL, s.Dir)
		d.framework = report.Framework
		if user != nil {
			if err := osfile.Readable(d.dir, *user, mostStatics); err != nil {
				fmt.Fprintf(os.Stderr, "alicorn: static folder %s is not published: the application runs as user %q, who may not read all of it: %s; \"--static %s=%s\" publishes it\n",
					proxy.Printable(d.dir), user.Name(), proxy.Printable(err.Error()), proxy.Printable(s.URL), proxy.Printable(s.Dir))
				continue
			}
			d.checked = true
		}
		statics = append(statics, d)
	}
	return statics
}

// mostStatics bounds how many files of a static folder are checked.
const mostStatics = 200_000

// checkApp loads the application in a worker without requests.
func (p *program) checkApp(ctx context.Context, f *serveFlags, app found) error {
	if err := p.folders.secure(); err != nil {
		return failed(err)
	}
	one := *f
	one.workers = 1
	tree, err := one.tree(app, nil)
	_, _, err = p.probe(ctx, app, tree, err)
	return err
}

// probe starts one worker of the application in tree and returns its report, and the user it
// runs as; nil: this process's. The worker finds out the application's kind, if it is not known.
func (p *program) probe(ctx context.Context, app found, tree *config.Tree, err error) (none pool.Report, user *osfile.User, _ error) {
	rt := appserver.NewRuntime(appserver.Options{TempDir: p.folders.cache, ReportStatic: true, Detect: app.kind == ""})
	res := config.NewResources(checkHost{Local: &keeper.Local{}})
	defer res.Release()
	ld, err := p.compile(tree, err, res, rt)
	if err != nil {
		return none, nil, err
	}
	if err := ld.generation.Start(ctx); err != nil {
		return none, nil, err
	}
	defer ld.generation.Stop(ctx)
	for _, a := range appserver.Apps(ld.main) {
		c, err := a.Command()
		if err != nil {
			return none, nil, err
		}
		if c.Switch && c.UID != 0 {
			user = &osfile.User{UID: c.UID, GID: c.GID, Groups: c.Groups}
		}
	}
	for _, ran := range rt.Pools() {
		if r, ok := ran.Report(); ok {
			return r, user, nil
		}
	}
	return none, nil, errors.New("the application's worker ended before it could be asked for its static folders")
}

// startLine is the one line that a start prints.
func startLine(st control.Status, app found, f *serveFlags) string {
	what, python, workers := strings.ToUpper(app.kind)+" app '"+app.app+"'", "", 0
	if len(st.Apps) > 0 {
		a := st.Apps[0]
		workers = len(a.Workers)
		python = " " + shortPath(a.Python) + " " + a.PythonVersion + ","
		if a.Framework != "" {
			what = a.Framework + " app '" + a.Found + "'"
		}
	}
	if app.demo {
		what = "Demo"
	} else {
		what += " from " + app.from
	}
	plural := "s"
	if workers == 1 {
		plural = ""
	}
	return what + "," + python + " " + strconv.Itoa(workers) + " worker" + plural + f.asUser(st) + ", " + strings.Join(f.urls(st), " ") + ", Ctrl-C stops"
}

// asUser names the user of the workers, where it may differ from this process's.
func (f *serveFlags) asUser(st control.Status) string {
	if os.Geteuid() != 0 || len(st.Apps) == 0 || st.Apps[0].User == "" {
		return ""
	}
	if f.user == "" {
		return " as user " + st.Apps[0].User + " (--user names another)"
	}
	return " as user " + st.Apps[0].User
}

func shortPath(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return path
}

func (f *serveFlags) urls(st control.Status) []string {
	scheme := "http://"
	if f.secure() {
		scheme = "https://"
	}
	var urls []string
	for _, name := range f.domains {
		urls = append(urls, scheme+name)
	}
	if len(urls) > 0 {
		return urls
	}
	for _, l := range st.Listeners {
		if strings.HasPrefix(l, "/") {
			urls = append(urls, "unix:"+l)
		} else {
			urls = append(urls, scheme+l)
		}
	}
	return urls
}

// hasIPv6 reports whether the machine supports IPv6.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

func isDirectory(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
