package main

import (
	"fmt"
	"os"
	"time"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
)

// processSettings is what the configuration says about the process.
type processSettings struct {
	User            keeper.Identity // the user that the front runs as; without a Name the default user
	UserPos         config.Pos      // of the directive user
	PIDFile         string
	Daemon          bool
	OneProcess      bool
	OnePos          config.Pos    // of master_process
	ShutdownTimeout time.Duration // 0: as long as it takes
	GC              gcSettings
	Loops           int        // worker_processes; 0: auto
	LoopsPos        config.Pos // of worker_processes
	Priority        keeper.Priority
}

func newProcess() process {
	return process{config.NewKey(func() processSettings { return processSettings{} })}
}

// settings returns the settings in main.
func (p process) settings(main *config.Scope) *processSettings { return p.key.In(main) }

func (p process) directives() []config.Directive {
	return append([]config.Directive{
		config.Include(),
		{Name: "user", In: config.Main, Args: config.Arity{Min: 1, Max: 2}, Syntax: "USER [GROUP]", Default: "www-data, else nobody", Set: p.setUser,
			Help: "The user that the process that speaks to clients runs as, when the server is started as root. Only the keeper, which never speaks to clients, stays root."},
		{Name: "pid", In: config.Main, Args: config.OneArg, Syntax: "FILE", Set: p.setPID,
			Help: "A file that holds the process ID of the running server, the process that was started. A server that has stopped listening and finishes the requests in progress adds an empty line; another server may then take the file. Relative to the prefix directory."},
		{Name: "daemon", In: config.Main, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Help: "Runs in the background: the command returns when the server is serving, with its exit code when it cannot.",
			Set:  config.Flag(p.key, func(c *processSettings) *bool { return &c.Daemon })},
		{Name: "master_process", In: config.Main, Args: config.OneArg, Syntax: "on | off", Default: "on", Set: p.setMaster,
			Help: "off serves in the process that was started, even as root and with its privileges. It is for debugging only. A server that is not root is one process anyway."},
		{Name: "worker_shutdown_timeout", In: config.Main, Args: config.OneArg, Syntax: "TIME",
			Help: "How long requests in progress may take to end, after a reload or when the server stops; then their connections are closed. Without it they may take as long as they need, but for tunnels (WebSockets): when the server stops, or another program has taken over, they are closed after 5 seconds.",
			Set:  config.Duration(p.key, func(c *processSettings) *time.Duration { return &c.ShutdownTimeout })},
		p.gcDirective(),
		p.loopsDirective(),
		p.priorityDirective(),
		{Name: "events", In: config.Main, Block: true, Inside: eventsWithoutEffect(), Args: config.NoArgs, NoEffect: true,
			Help: "connections need no settings."},
	}, withoutEffect()...)
}

// noEffect returns directives of nginx that mean nothing here; why is their help text.
func noEffect(in config.Context, args config.Arity, why string, names ...string) (out []config.Directive) {
	for _, n := range names {
		out = append(out, config.Directive{Name: n, In: in, Args: args, NoEffect: true, Repeat: true, Help: why})
	}
	return out
}

// eventsWithoutEffect are the directives inside events { }.
func eventsWithoutEffect() []config.Directive {
	return noEffect(0, config.OneArg, "connections are bounded by descriptors only, and Go's runtime waits for them.",
		"worker_connections", "use", "multi_accept", "accept_mutex", "accept_mutex_delay", "worker_aio_requests", "debug_connection")
}

// withoutEffect are directives of nginx in shared blocks that mean nothing here.
func withoutEffect() []config.Directive {
	all := noEffect(config.Main, config.SomeArg, "one process serves all connections, and the system chooses where it runs.",
		"worker_cpu_affinity", "thread_pool")
	all = append(all, noEffect(config.Main, config.SomeArg, "the limit is raised to the system's hard limit at start.", "worker_rlimit_nofile")...)
	all = append(all, noEffect(config.Main, config.OneArg, "there are no nginx worker processes to manage.",
		"worker_rlimit_core", "working_directory", "lock_file", "timer_resolution", "debug_points")...)
	all = append(all, noEffect(config.Main, config.OneArg, "features are built in; nothing is loaded.", "load_module", "pcre_jit", "ssl_engine")...)
	all = append(all, noEffect(config.Main, config.OneArg, "workers of an application get variables by env inside app { }.", "env")...)
	all = append(all, noEffect(config.AnyLevel, config.SomeArg, "sockets are set up for low latency and full segments already.",
		"tcp_nodelay", "tcp_nopush", "server_names_hash_bucket_size", "server_names_hash_max_size", "types_hash_max_size",
		"types_hash_bucket_size", "variables_hash_max_size", "variables_hash_bucket_size", "connection_pool_size", "request_pool_size",
		"output_buffers", "postpone_output", "client_body_in_single_buffer", "keepalive_disable", "sendfile_max_chunk")...)
	all = append(all, noEffect(config.AnyLevel, config.OneArg, "each part of an answer is passed on at once, in the size it came in.",
		"proxy_busy_buffers_size", "proxy_temp_file_write_size", "uwsgi_busy_buffers_size", "uwsgi_temp_file_write_size",
		"fastcgi_busy_buffers_size", "fastcgi_temp_file_write_size", "scgi_busy_buffers_size", "scgi_temp_file_write_size")...)
	all = append(all, noEffect(config.Server|config.Location, config.OneArg, "referers are found without a table of fixed size.", "referer_hash_bucket_size", "referer_hash_max_size")...)
	all = append(all, noEffect(config.HTTP, config.OneArg, "a map has the size that it needs.", "map_hash_bucket_size", "map_hash_max_size")...)
	all = append(all, noEffect(config.AnyLevel, config.OneArg, "fields are found without a hash table.",
		"proxy_headers_hash_bucket_size", "proxy_headers_hash_max_size")...)
	all = append(all, noEffect(config.AnyLevel, config.SomeArg, "answers are not cached.", "proxy_cache_bypass", "proxy_no_cache",
		"uwsgi_cache_bypass", "uwsgi_no_cache", "fastcgi_cache_bypass", "fastcgi_no_cache", "scgi_cache_bypass", "scgi_no_cache")...)
	return all
}

func (p process) setUser(s *config.Scope, n *config.Node) error {
	id, err := keeper.LookupIdentity(n.Arg(0), n.Arg(1))
	if err != nil {
		return &config.Error{Pos: n.Args[0].Pos, Msg: "user: " + err.Error()}
	}
	if euid := os.Geteuid(); euid != 0 && id.UID != euid {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("cannot run as user %q: only root can change users, and this process is not root", n.Arg(0))}
	}
	p.key.In(s).User, p.key.In(s).UserPos = id, n.Args[0].Pos
	return nil
}

func (p process) setMaster(s *config.Scope, n *config.Node) error {
	c := p.key.In(s)
	on := config.Flag(p.key, func(c *processSettings) *bool { return &c.OneProcess })
	if err := on(s, n); err != nil {
		return err
	}
	c.OneProcess, c.OnePos = !c.OneProcess, n.Args[0].Pos
	return nil
}

func (p process) setPID(s *config.Scope, n *config.Node) error {
	p.key.In(s).PIDFile = s.Load().Path(n.Arg(0))
	return nil
}
