package appserver

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
	"alicorn/proxy/websocket"
)

// Options are settings that the program makes, and not the configuration.
type Options struct {
	// Launcher starts workers; nil: they are children of this process. A
	// Launcher has already checked users, directories and interpreters, with
	// privileges that this process may lack.
	Launcher Launcher
	// Surveyor checks applications' files for changes; nil: this process does.
	Surveyor Surveyor
	// TempDir is the folder for responses that do not fit in memory; "": the system's.
	TempDir string
	// ReportStatic asks workers for their static folders (see pool.Report).
	ReportStatic bool
	// Detect makes workers load an application of any kind and report which it is. They take
	// no requests.
	Detect bool
	// Loops read the frames of workers; nil: each worker has a goroutine that does.
	Loops *eventloop.Group
	// Environ has the variables that workers may inherit; nil: this process's environment.
	Environ []string
	// Version is the value of $alicorn_version, for SERVER_SOFTWARE.
	Version string
}

// Runtime has what all generations share.
type Runtime struct {
	o       Options
	bundle  bundle
	imports *pool.Imports
	space   upstream.Space // bounds temporary files
	surveys chan struct{}  // holds a value for each survey that runs, which bounds them

	// Of the Module that was made last.
	key     *key
	sockets *websocket.Feature // nil: no WebSockets

	mu       sync.Mutex
	pools    []*pool.Pool // running pools, also those that retire
	services map[string]*service
}

// NewRuntime returns a Runtime. It starts nothing.
func NewRuntime(o Options) *Runtime {
	return &Runtime{o: o, imports: pool.NewImports(autoWorkers()), services: map[string]*service{}, surveys: make(chan struct{}, autoWorkers())}
}

// Loops returns the event loops; nil: there are none.
func (rt *Runtime) Loops() *eventloop.Group { return rt.o.Loops }

// Pools returns the running pools: the newest last.
func (rt *Runtime) Pools() []*pool.Pool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return append([]*pool.Pool(nil), rt.pools...)
}

func (rt *Runtime) add(p *pool.Pool) {
	rt.mu.Lock()
	rt.pools = append(rt.pools, p)
	rt.mu.Unlock()
}

func (rt *Runtime) remove(p *pool.Pool) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for i, q := range rt.pools {
		if q == p {
			rt.pools = append(rt.pools[:i:i], rt.pools[i+1:]...)
			return
		}
	}
}

// Module returns the feature: app, app_pass and their directives. sockets does the handshakes
// of WebSockets; nil: applications get none.
func Module(rt *Runtime, sockets *websocket.Feature) proxy.Module {
	k := newKey(rt)
	rt.sockets = sockets
	rt.key = k
	return proxy.Module{
		Name:       "appserver",
		Settings:   k,
		Content:    []string{"app_pass"},
		Directives: slices.Concat(appDirectives(k, rt), passDirectives(k), tempPathDirectives(k)),
		Variables: []proxy.Variable{{Name: "app_worker", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			return append(dst, x.Upstream.Worker...), x.Upstream.Worker != ""
		}}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			folders := c.folders
			if s.Context == config.LimitExcept {
				folders = k.In(s.Parent).folders
			}
			if folders.app != nil {
				RolloutOf(s.Main()).usesTemporary(c.tempDir, l.Core.BodyTempPath)
				l.On(proxy.PreContent, newFolderPass(c, folders, rt).ahead)
			}
			if c.pass == nil {
				if servesWithoutApp(k, s) {
					RolloutOf(s.Main()).others = true
				}
				return nil
			}
			RolloutOf(s.Main()).usesTemporary(c.tempDir, l.Core.BodyTempPath)
			h := newHandler(c, c.pass, rt)
			l.SetContent(&h)
			if l.Kind == proxy.LocationPrefix || l.Kind == proxy.LocationPrefixStop {
				if len(l.Name) > 1 && l.Name[len(l.Name)-1] == '/' {
					l.RedirectSlash()
				}
			}
			return nil
		},
		Generation: func(s *config.Scope, g *proxy.Generation) error {
			r := RolloutOf(s)
			r.rt, r.apps, r.logs = rt, Apps(s), logOf(g)
			if err := openOutputs(s.Load(), r.apps); err != nil {
				return err
			}
			g.OnStart(r.start)
			g.OnServe(r.commit)
			limit, err := k.In(s).tempSpace.bytesIn(r.temporary)
			if err != nil {
				return err
			}
			g.OnServe(func() { rt.space.SetLimit(limit) })
			g.OnStop(r.stop)
			return nil
		},
	}
}

func newHandler(c *settings, app *App, rt *Runtime) handler {
	h := handler{app: app, buffers: c.buffers, maxTemp: c.maxTemp, tempDir: c.tempDir, space: &rt.space, asgi: c.asgi, buffering: c.buffering, told: new(atomic.Bool)}
	if app.program(asgiAdapter.kind) != nil {
		h.sockets = rt.sockets
	}
	return h
}

// servesWithoutApp reports whether s, which has no app_pass, serves requests without an
// application: it is a location, or a server with a root and no app_pass in it.
func servesWithoutApp(k *key, s *config.Scope) bool {
	if s.Context == config.Location {
		return true
	}
	return s.Context == config.Server && s.Own("root") != nil && !passes(k, s)
}

// passes reports whether s or a block in it has an app_pass.
func passes(k *key, s *config.Scope) bool {
	return k.In(s).pass != nil || slices.ContainsFunc(s.Blocks, func(b *config.Scope) bool { return passes(k, b) })
}

func logOf(g *proxy.Generation) func() *slog.Logger {
	return func() *slog.Logger { return g.ErrorLog }
}

func appDirectives(k *key, rt *Runtime) []config.Directive {
	return []config.Directive{
		{Name: "app", In: config.HTTP, Block: true, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: openApp(k, rt),
			Inside: slices.Concat(programDirectives(k), environmentDirectives(k), workerDirectives(k), asgiDirectives(k), forwardingDirectives(k)),
			Help:   "An application that this server runs itself, and its workers. Locations pass requests to it with app_pass."},
	}
}

// programDirectives are the directives for the program, its user, its output and the balance of requests.
func programDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "wsgi", Args: config.OneArg, Syntax: "MODULE:CALLABLE | MODULE:FACTORY(ARGS) | MODULE | FILE.py | FILE.wsgi",
			Set:  setProgram,
			Help: "The WSGI application (PEP 3333), in the notation of FLASK_APP. Every worker imports it."},
		{Name: "directory", Args: config.OneArg, Syntax: "DIR", Default: "the prefix of the configuration", Set: setDirectory(k),
			Help: "The working directory of the workers and the first entry of sys.path. When the server is started as root, workers run as its owner unless user names another."},
		{Name: "user", Args: config.Arity{Min: 1, Max: 2}, Default: "the owner of directory, when started as root", Syntax: "USER [GROUP]", Set: setUser(k),
			Help: "The user that the workers run as; only root can choose. If directory belongs to root, it is alicorn-app, which \"alicorn install\" makes, or nobody if there is no such user: workers run as root only with \"user root;\". The user of the process that speaks to clients (user at the main level) is refused, since applications could read private keys in its memory."},
		{Name: "group", Args: config.OneArg, Default: "the user's group", Syntax: "GROUP", Set: setGroup(k),
			Help: "The group that the workers run as, in place of the user's own."},
		{Name: "output", Args: config.Arity{Min: 1, Max: 2}, Default: "error_log", Syntax: "error_log | stderr | FILE | syslog:server=ADDRESS[,...] [prefix]", Set: setOutput(k),
			Help: "The destination of the lines that the workers print on standard output and standard error. They are written unchanged. With error_log they go to the destinations of error_log at the main level that have the lowest level, whatever that is. With prefix each line begins with the worker's name, as in \"shop:1: \". A line of more than 256k is split. The messages of the logger gunicorn.error and the text that is written to wsgi.errors go to the error log in the same way, whatever output says."},
		{Name: "output_limit", Args: config.Arity{Min: 1, Max: 2}, Default: "1000 burst=10000", Syntax: "LINES [burst=LINES] | off", Set: setOutputLimit(k),
			Help: "How many lines per second all workers of the app together may print to the error log, from 1 to 1000000; burst (10 times as many) is how many at once. A line counts once more for each KiB. Further lines are left out until as many as for one second may be printed again; then one line at the level warn says how many were left out. Stacks of requests past their timeout are counted separately, for each of the app's programs. Lines that go elsewhere by output are not bounded."},
		{Name: "logger_level", Args: config.OneArg, Default: "info", Syntax: "debug | info | warning | error | critical", Set: config.Enum(k, logLevels, func(c *settings) *string { return &c.app.LogLevel }),
			Help: "The level of Python's logger gunicorn.error in the workers, which applications take over as in app.logger.setLevel(logging.getLogger(\"gunicorn.error\").level). It and gunicorn.access have gunicorn's handlers and format. Uncaught exceptions of requests are logged there, at the level error."},
		{Name: "least_conn", Args: config.NoArgs, Set: func(s *config.Scope, n *config.Node) error { k.In(s).app.Balance = pool.LeastConn; return nil },
			Help: "Gives a request to the worker with the fewest outstanding requests; a stalled worker gets none. This is the default."},
		{Name: "round_robin", Args: config.NoArgs, Set: func(s *config.Scope, n *config.Node) error { k.In(s).app.Balance = pool.RoundRobin; return nil },
			Help: "Gives requests to the workers evenly, except that no worker is idle while a request waits."},
	}
}

// environmentDirectives are the directives for the interpreter and the environment of workers.
func environmentDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "python", Args: config.OneArg, Syntax: "PATH | NAME", Set: config.String(k, func(c *settings) *string { return &c.app.python }),
			Help: "The interpreter: a path, a program in PATH, or the name of an environment in $WORKON_HOME or ~/.virtualenvs. Without python and virtualenv it is the first that exists of $VIRTUAL_ENV, .venv and venv in directory, pipenv --venv, and python3 in PATH."},
		{Name: "virtualenv", Args: config.OneArg, Syntax: "DIR | NAME", Set: config.String(k, func(c *settings) *string { return &c.app.virtualenv }),
			Help: "The virtual environment whose interpreter runs the workers: a folder, or a name in $WORKON_HOME or ~/.virtualenvs."},
		{Name: "env", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "NAME VALUE | NAME=VALUE", Set: setEnv(k),
			Help: "Sets an environment variable of the workers. Among env and env_file the last one wins. Unlike nginx's env of the main level, it needs a value: workers inherit the server's environment. If the server runs as root, they inherit no variables of root's session (HOME, SUDO_*, SSH_*, XDG_* and the like), and if it was also started by hand with \"alicorn run\", only PATH, LANG, LC_* and TZ."},
		{Name: "env_unset", Args: config.SomeArg, Repeat: true, Syntax: "NAME ...",
			Set:  addWords(k, func(c *settings) *[]string { return &c.app.unset }),
			Help: "Environment variables of the server that the workers do not inherit. It does not affect env and env_file."},
		{Name: "env_file", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "FILE [defaults]", Set: setEnvFile(k),
			Help: "Sets environment variables from a file of NAME=VALUE lines in dotenv's syntax: comments, export, quotes, and outside single quotes ${NAME} and ${NAME:-DEFAULT}, which take variables from above. With \"defaults\" the file does not change variables that the server's own environment has. LD_* and DYLD_* are refused."},
		{Name: "pythonpath", Args: config.SomeArg, Repeat: true, Syntax: "DIR ...",
			Set:  addWords(k, func(c *settings) *[]string { return &c.app.PythonPath }),
			Help: "Folders to import from before directory, which may be one of them: the start of sys.path. A relative one starts from directory."},
		{Name: "pythonpath_last", Args: config.SomeArg, Repeat: true, Syntax: "DIR ...",
			Set:  addWords(k, func(c *settings) *[]string { return &c.app.pythonPathLast }),
			Help: "Folders to import from after all others: the end of sys.path. A relative one starts from directory."},
	}
}

// workerDirectives are the directives for the number of workers, their life and the queue.
func workerDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "workers", Args: config.OneArg, Syntax: "auto | N", Default: "auto", Set: setWorkers(k),
			Help: "How many processes run the application. auto is the number of CPUs that this server's cgroup may use, at least 2."},
		{Name: "threads", Args: config.OneArg, Default: "1", Syntax: "N", Set: config.Int(k, 1, pool.MaxThreads, func(c *settings) *int { return &c.app.Threads }),
			Help: "How many requests one worker runs at a time, each in a thread. With 1 the application runs in the main thread."},
		{Name: "timeout", Args: config.OneArg, Default: "30s", Syntax: "TIME | off", Set: positiveOrOff(k, func(a *App) *time.Duration { return &a.Timeout }),
			Help: "How long one request may run; off: without a bound. After that the client gets 504, the worker's Python stacks go to the error log, and the worker is replaced when the requests of its other threads have ended (graceful_timeout bounds that)."},
		{Name: "heartbeat", Args: config.OneArg, Default: "off", Syntax: "TIME | off", Set: positiveOrOff(k, func(a *App) *time.Duration { return &a.Heartbeat }),
			Help: "How long a worker that runs requests may give no sign of life. A thread in the worker gives one regularly as long as Python runs at all. After that time the requests get 504, the worker's Python stacks go to the error log, and the worker is replaced. This is what gunicorn's timeout does for workers with threads; a request may take longer."},
		{Name: "graceful_timeout", Args: config.OneArg, Default: "30s", Syntax: "TIME", Set: positive(k, func(a *App) *time.Duration { return &a.GracefulTimeout }),
			Help: "How long a worker that is being replaced may go on with its requests. After that it gets TERM, and then KILL."},
		{Name: "startup_timeout", Args: config.OneArg, Default: "60s", Syntax: "TIME", Set: positive(k, func(a *App) *time.Duration { return &a.StartupTimeout }),
			Help: "How long a worker may take to import the application. After that its Python stacks go to the error log, and it is killed."},
		{Name: "max_requests", Args: config.Arity{Min: 1, Max: 2}, Default: "0", Syntax: "N [JITTER]", Set: setMaxRequests(k),
			Help: "The most requests that a worker is given: N plus a random number up to JITTER, so that not all are replaced at once; 0 is no limit. The new worker is started early enough to be ready when the old one gets its last request, and replaces it as soon as it is ready, which may be earlier."},
		{Name: "backlog", Args: config.OneArg, Default: "2048", Syntax: "N", Set: config.Int(k, 0, 1<<20, func(c *settings) *int { return &c.app.Backlog }),
			Help: "How many requests may wait for a worker. Further requests get 503 with Retry-After."},
		{Name: "queue_timeout", Args: config.OneArg, Default: "30s", Syntax: "TIME", Set: positive(k, func(a *App) *time.Duration { return &a.QueueTimeout }),
			Help: "How long a request may wait for a worker. After that it gets 503."},
	}
}

// forwardingDirectives are the directives for header fields of proxies in front of this server.
func forwardingDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "forwarded_allow_ips", Args: config.SomeArg, Default: "loopback and private addresses", Syntax: "ADDRESS | CIDR ... | * | none", Set: setForwardedAllowIPs(k),
			Help: "The peers that are trusted proxies: applications see their X-Forwarded-*, Forwarded and X-Real-IP, and their X-Forwarded-Proto sets wsgi.url_scheme. For other peers the server sets these fields itself. Peers on unix sockets are always trusted. The peer is that of the connection ($realip_remote_addr), also where set_real_ip_from gives $remote_addr the address of its client. Without forwarded_allow_ips the address in a PROXY header counts in place of the peer's, as whoever sends one passes on the bytes of its clients."},
		{Name: "secure_scheme_headers", Args: config.SomeArg, Default: "X-Forwarded-Proto=https X-Forwarded-Protocol=ssl X-Forwarded-Ssl=on", Syntax: "NAME=VALUE ... | none", Set: setSchemeHeaders(k),
			Help: "The header fields in which a peer of forwarded_allow_ips says that its client used https: wsgi.url_scheme is https for the value VALUE and http for any other. They replace the usual fields. Fields that contradict each other are ignored."},
		{Name: "forwarded_for", Args: config.OneArg, Default: "append", Syntax: "append | keep", Set: setForwardedFor(k),
			Help: "Whether $remote_addr, the address of a trusted peer or of the client that set_real_ip_from has found behind it, is appended to its X-Forwarded-For, as nginx's $proxy_add_x_forwarded_for does, or the field stays as it came, as under gunicorn."},
	}
}

func passDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "app_pass", In: config.Location | config.LocationIf | config.LimitExcept, Args: config.Arity{Min: 1, Max: 2}, Syntax: "NAME [asgi]", Set: setPass(k),
			Help: "Passes the location's requests to the app of that name. As PATH_INFO the application sees the whole path, decoded and otherwise as it came: slashes, \".\" and \"..\" stay, as behind nginx's proxy_pass without a URI, unless a rewrite or an internal redirect has put another path in its place. SCRIPT_NAME is empty, unless the workers' environment has the variable SCRIPT_NAME: then the application lies below that path, and other paths are answered 404. With asgi all of them go to the ASGI application of an app that has wsgi too."},
		{Name: "app_static", In: config.Location, Args: config.Arity{Min: 3, Max: -1}, Syntax: "NAME URL DIR ... [@LOCATION]", Set: setFolderPass(k),
			Help: "Serves the location's files only if the app of that name would give the same answer. Its workers report their static folders: whether those below URL are DIR, and whether a hook, a middleware or another route of the application could answer otherwise. The front serves only plain GET and HEAD requests with a normal path. Other requests go to the application, through the named location if there is one, and so do all requests if the workers report no such folder. If the workers cannot tell, the application gets the request first, and a file is served in place of its 404. \"alicorn serve\" writes this directive for Flask and Django."},
		{Name: "app_request_buffering", In: config.AnyLevel, Args: config.OneArg, Default: "on", Syntax: "on | off", Set: setRequestBuffering(k),
			Help: "Whether a request's body is read before the application gets the request. With off the application reads it while the client sends it, and a slow client occupies a thread of a worker. A read waits for the client, no longer than client_body_timeout, and raises ConnectionResetError if the body ends too early; the time that the client takes does not count for timeout. A chunked body has no CONTENT_LENGTH then. On a system without epoll the body is always read first. Without the directive, for an ASGI application a body with a Content-Length of at most client_body_buffer_size is read first, and any other is passed on while it comes; a slow client occupies no thread there."},
		{Name: "app_buffers", In: config.AnyLevel, Args: config.TwoArgs, Default: "8 32k", Syntax: "NUMBER SIZE", Set: setBuffers(k),
			Help: "How much of a response may wait in memory for its client: NUMBER times SIZE. The rest goes to a temporary file."},
		{Name: "app_max_temp_file_size", In: config.AnyLevel, Args: config.OneArg, Default: "256m, or 0 for ASGI applications", Syntax: "SIZE",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.maxTemp }),
			Help: "How much of a response that does not fit in memory may wait in a temporary file, so that a slow reader does not hold a worker. Beyond that, and with 0, the worker waits for the client; in an ASGI application only the coroutine of that response waits."},
		{Name: "temp_space", In: config.HTTP, Args: config.OneArg, Syntax: "SIZE | PERCENT%", Default: "20%", Set: setTempSpace(k),
			Help: "How much all temporary files of request bodies and responses may take together. A percentage is one of the smallest file system that has one of their folders (client_body_temp_path, app_temp_path). Beyond that, a request whose body needs a file is answered with 413, and a worker whose response needs one waits for its client."},
		{Name: "app_temp_path", In: config.AnyLevel, Args: config.OneArg, Syntax: "DIR", Default: "the temporary directory", Set: setTempPath(k, len(tempPaths)+1),
			Help: "The folder for temporary files of responses, which have no names. Unlike nginx's directives of this kind, it takes no levels."},
	}
}

// tempPaths are nginx's directives for the folder of app_temp_path, one for each protocol.
// If a block has several, app_temp_path counts, otherwise the last one of this list.
var tempPaths = []string{"fastcgi_temp_path", "scgi_temp_path", "proxy_temp_path", "uwsgi_temp_path"}

func tempPathDirectives(k *key) []config.Directive {
	var d []config.Directive
	for i, name := range tempPaths {
		d = append(d, config.Directive{Name: name, In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 4}, Syntax: "DIR [LEVEL ...]", Default: "the temporary directory", Set: setTempPath(k, i+1),
			Help: "The folder for temporary files of responses, the same as that of app_temp_path: the responses of all protocols have one folder. If a block has several of these directives, app_temp_path counts, otherwise uwsgi_temp_path, proxy_temp_path, scgi_temp_path or fastcgi_temp_path, in this order. Levels have no effect: the files have no names."})
	}
	return d
}
