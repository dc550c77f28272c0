package appserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/appserver/pool"
	"alicorn/config"
)

// program is one application of an App: its kind of worker, and the settings of its pool.
// The first program of an App answers requests. A second one, an ASGI application beside a
// WSGI one, gets the WebSockets, and the requests of locations with "app_pass NAME asgi".
type program struct {
	pool.Settings
	adapter *adapter
}

// secondMark stands between the name of an app and the kind of its second program in the
// name of that program's pool: "site/asgi". The name of an app has no slash.
const secondMark = "/"

// AppOf returns the name of the app that has the pool of that name.
func AppOf(pool string) string {
	app, _, _ := strings.Cut(pool, secondMark)
	return app
}

// asgiSettings are the settings of an app that only ASGI workers have.
type asgiSettings struct {
	concurrency int
	workers     int // asgi_workers; 0: as many as workers
	stall       time.Duration
	drain       time.Duration
	loop        string
	lifespan    string
	rootPath    string // "" or "/prefix"
	stripped    bool   // a proxy in front removes rootPath from all paths
}

// The values of loop and lifespan.
var (
	loops     = []config.Choice[string]{{Word: "auto", Value: "auto"}, {Word: "asyncio", Value: "asyncio"}, {Word: "uvloop", Value: "uvloop"}}
	lifespans = []config.Choice[string]{{Word: "auto", Value: "auto"}, {Word: "on", Value: "on"}, {Word: "off", Value: "off"}}
)

// setProgram checks the arguments of wsgi and asgi. App.pick uses them.
func setProgram(s *config.Scope, n *config.Node) error {
	if n.Arg(0) == "" {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid application \"\": %s takes a module and a name in it, as in app:app", n.Name)}
	}
	if len(n.Args) > 1 && (len(n.Args) != 3 || n.Arg(1) != "for" || n.Arg(2) != "websocket") {
		return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of asgi: after the application it takes only \"for websocket\"", n.Arg(1))}
	}
	return nil
}

func setRootPath(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		path := n.Arg(0)
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "?#\x00") {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid root_path %q: it begins with a slash, does not end with one, and has no \"?\" or \"#\"", path)}
		}
		a := &k.In(s).app.asgi
		a.rootPath, a.stripped = path, len(n.Args) == 2
		if a.stripped && n.Arg(1) != "stripped" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of root_path, which takes \"stripped\"", n.Arg(1))}
		}
		return nil
	}
}

// pick sets a's programs, from the directives of its block.
func (a *App) pick(s *config.Scope) error {
	w, g := s.Own("wsgi"), s.Own("asgi")
	switch {
	case w == nil && g == nil:
		return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("app %q has no \"wsgi\" and no \"asgi\": they name the application, as in wsgi app:app", a.Name)}
	case w != nil && g != nil && len(g.Args) == 1:
		return &config.Error{Pos: g.Pos, Msg: fmt.Sprintf("app %q has \"wsgi\" too, at %s; \"asgi %s for websocket;\" is for its WebSockets", a.Name, w.Pos, g.Arg(0))}
	case w == nil && len(g.Args) > 1:
		return &config.Error{Pos: g.Args[1].Pos, Msg: fmt.Sprintf("app %q has no \"wsgi\" for other requests; \"asgi %s;\" is for all of them", a.Name, g.Arg(0))}
	case w == nil:
		if err := refuse(s, g, "belongs to \"wsgi\"", "threads", "heartbeat", "asgi_workers"); err != nil {
			return err
		}
	case g == nil:
		if err := refuse(s, w, "belongs to \"asgi\"", "asgi_workers", "concurrency", "stall_timeout", "drain_timeout", "loop", "lifespan", "root_path"); err != nil {
			return err
		}
	}
	if w != nil {
		a.programs = append(a.programs, a.wsgiProgram(w.Arg(0)))
	}
	if g != nil {
		a.programs = append(a.programs, a.asgiProgram(g.Arg(0), w != nil, s.Own("stall_timeout") != nil))
	}
	return nil
}

// instead has hints: which directive to use in place of one that an app's kind of worker does
// not have.
var instead = map[string]string{
	"threads":      "concurrency sets how many requests a worker runs at a time",
	"heartbeat":    "stall_timeout sets how long its event loop may stand still",
	"asgi_workers": "workers sets how many there are",
	"concurrency":  "threads sets how many requests a worker runs at a time",
}

// refuse returns an error for the first of names that s has. The app has only the program
// that has names.
func refuse(s *config.Scope, has *config.Node, why string, names ...string) error {
	for _, name := range names {
		n := s.Own(name)
		if n == nil {
			continue
		}
		if name == "asgi_workers" {
			why = "is for an app with both \"wsgi\" and \"asgi\""
		}
		return &config.Error{Pos: n.Pos, Msg: fmt.Sprintf("%q %s, and this app has only %q, at %s", name, why, has.Name, has.Pos), Hint: instead[name]}
	}
	return nil
}

func (a *App) wsgiProgram(name string) *program {
	p := &program{Settings: a.Settings, adapter: &wsgiAdapter}
	p.Kind, p.Program = p.adapter.kind, name
	return p
}

// asgiProgram returns the program of asgi. second: it is beside another one. stall: the app
// has a stall_timeout.
func (a *App) asgiProgram(name string, second, stall bool) *program {
	p := &program{Settings: a.Settings, adapter: &asgiAdapter}
	p.Kind, p.Program, p.Heartbeat = p.adapter.kind, name, a.Timeout
	p.Threads, p.Streams, p.DrainTimeout = 1, a.asgi.concurrency, a.asgi.drain
	if stall {
		p.Heartbeat = a.asgi.stall
	}
	if second {
		p.Name += secondMark + p.Kind
		if a.asgi.workers > 0 {
			p.Workers = a.asgi.workers
		}
	}
	return p
}

// Kinds returns the kinds of a's programs, in their order.
func (a *App) Kinds() []string {
	kinds := make([]string, len(a.programs))
	for i, p := range a.programs {
		kinds[i] = p.Kind
	}
	return kinds
}

// program returns a's program of that kind; nil: it has none.
func (a *App) program(kind string) *program {
	if i := slices.IndexFunc(a.programs, func(p *program) bool { return p.Kind == kind }); i >= 0 {
		return a.programs[i]
	}
	return nil
}

// asgiDirectives are the directives that only ASGI applications have.
func asgiDirectives(k *key) []config.Directive {
	return []config.Directive{
		{Name: "asgi", Args: config.Arity{Min: 1, Max: 3}, Syntax: "MODULE:CALLABLE | MODULE:FACTORY(ARGS) | MODULE | FILE.py [for websocket]", Set: setProgram,
			Help: "The ASGI application (ASGI 3.0), in place of wsgi. Every worker imports it and runs its requests in one event loop. With \"for websocket\" it stands beside a wsgi of the same app: it has workers of its own and gets the app's WebSockets, and all requests of locations with \"app_pass NAME asgi;\". New versions of both take over together or not at all. Its workers are named \"NAME/asgi:1\"."},
		{Name: "asgi_workers", Args: config.OneArg, Default: "as many as workers", Syntax: "N", Set: config.Int(k, 1, 1024, func(c *settings) *int { return &c.app.asgi.workers }),
			Help: "How many processes run the ASGI application of an app with \"wsgi\" and \"asgi\"."},
		{Name: "concurrency", Args: config.OneArg, Default: "10000", Syntax: "N", Set: config.Int(k, 1, pool.MaxStreams, func(c *settings) *int { return &c.app.asgi.concurrency }),
			Help: "How many requests, event streams and WebSockets one ASGI worker runs at a time. Further ones wait in the app's queue (backlog, queue_timeout). Uvicorn's --limit-concurrency answers them 503 at once."},
		{Name: "stall_timeout", Args: config.OneArg, Default: "the value of timeout", Syntax: "TIME | off", Set: positiveOrOff(k, func(a *App) *time.Duration { return &a.asgi.stall }),
			Help: "How long the event loop of an ASGI worker may stand still: a call that blocks keeps all requests of the worker waiting. After that its requests get 504, the worker's Python stacks go to the error log, and it is replaced."},
		{Name: "drain_timeout", Args: config.OneArg, Default: "5m", Syntax: "TIME", Set: positive(k, func(a *App) *time.Duration { return &a.asgi.drain }),
			Help: "How long responses that an ASGI worker has begun, such as event streams and downloads, may go on once it is being replaced, by a reload for example. After that the application gets http.disconnect. Event streams end only then, and their old workers stay in memory that long beside the new ones; five minutes let downloads end, and keep reloads in a row from leaving many old workers behind. WebSockets are closed earlier: with status 1012 (\"service restart\") after graceful_timeout. Of workers that max_requests replaces, as many as workers says have that time; where more of them leave, the oldest have graceful_timeout."},
		{Name: "loop", Args: config.OneArg, Default: "auto", Syntax: "auto | asyncio | uvloop", Set: config.Enum(k, loops, func(c *settings) *string { return &c.app.asgi.loop }),
			Help: "The event loop of ASGI workers. auto is uvloop where the application's environment has it, else asyncio."},
		{Name: "lifespan", Args: config.OneArg, Default: "auto", Syntax: "auto | on | off", Set: config.Enum(k, lifespans, func(c *settings) *string { return &c.app.asgi.lifespan }),
			Help: "Whether an ASGI application hears of the start and the end of its worker (lifespan protocol). With auto one that raises an exception for it goes on without. With on that is a failed start."},
		{Name: "root_path", Args: config.Arity{Min: 1, Max: 2}, Syntax: "PREFIX [stripped]", Set: setRootPath(k),
			Help: "The path below which an ASGI application lies (root_path of its scope), as in \"/api\". The application sees whole paths, which begin with it: it is put before those that do not; with \"stripped\" before all of them, for a proxy in front that takes it off. Starlette before 0.33, and FastAPI with it, get paths as they come, which is how they want them."},
	}
}
