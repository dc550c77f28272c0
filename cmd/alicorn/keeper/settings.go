package keeper

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Settings are what the main level says about processes.
type Settings struct {
	User            Identity // whose process the front is, when started as root
	Pid             string   // file for the process id, absolute; "" when not said
	Daemon          bool
	OneProcess      bool          // master_process off
	ShutdownTimeout time.Duration // 0: as long as requests take
	CPUs            int           // that the front uses at once; 0: all it may
	Files           uint64        // open files the front may have; 0: as inherited
}

const moduleName = "process"

// Module declares the directives of processes.
func Module() proxy.Module {
	k := config.NewKey(func() Settings { return Settings{} })
	k.Leave = func(s *config.Scope, c *Settings) error {
		if s.Parent != nil || c.User.Name != "" {
			return nil
		}
		c.User = defaultIdentity()
		return nil
	}
	return proxy.Module{Name: moduleName, Settings: k, Directives: append(processDirectives(k), unneeded()...)}
}

// SettingsOf returns what the configuration read into main says.
func SettingsOf(main *config.Scope, modules []proxy.Module) *Settings {
	for _, m := range modules {
		if m.Name == moduleName {
			return m.Settings.(*config.Key[Settings]).In(main)
		}
	}
	return &Settings{}
}

func processDirectives(k *config.Key[Settings]) []config.Directive {
	in := config.Main
	return []config.Directive{
		{Name: "user", In: in, Args: config.Arity{Min: 1, Max: 2}, Syntax: "USER [GROUP]", Default: "www-data where it exists, else nobody", Set: setUser(k),
			Help: "Whose process the front is, which reads what clients send; only root can choose. Without GROUP it is the group of the user's name, else the user's own. Not started as root, a user other than the one that starts it is an error."},
		{Name: "pid", In: in, Args: config.OneArg, Syntax: "FILE", Default: "a file in the runtime directory, where that can be written",
			Set:  func(s *config.Scope, n *config.Node) error { k.In(s).Pid = s.Load().Path(n.Arg(0)); return nil },
			Help: "The file that holds the process id of the process that was started. It is written once the listeners are bound and removed at the end."},
		{Name: "daemon", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off", Set: config.Flag(k, func(c *Settings) *bool { return &c.Daemon }),
			Help: "Runs in the background: the command returns when the server serves, or with the failure's exit code. nginx's default is on."},
		{Name: "master_process", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on", Set: setMaster(k),
			Help: "off serves in the process that was started even as root, with its privileges; for debugging only."},
		{Name: "worker_shutdown_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "none",
			Set:  config.Duration(k, func(c *Settings) *time.Duration { return &c.ShutdownTimeout }),
			Help: "How long requests in progress may go on after a reload or a graceful stop; then their connections are closed."},
		{Name: "worker_processes", In: in, Args: config.OneArg, Syntax: "auto | N", Default: "auto", Set: setCPUs(k),
			Help: "How many CPUs the front uses at once: one process does the work of nginx's N. auto is all that its cgroup allows; nginx's default is 1."},
		{Name: "worker_rlimit_nofile", In: in, Args: config.OneArg, Syntax: "N", Default: "as inherited", Set: setFiles(k),
			Help: "How many files and connections the front may have open at once."},
		{Name: "events", In: in, Args: config.NoArgs, Block: true, Opens: config.Events,
			Help: "Holds nginx's directives about connection processing; none of them is needed here."},
	}
}

func setUser(k *config.Key[Settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		id, err := lookupIdentity(n.Arg(0), n.Arg(1))
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
		}
		if euid := os.Geteuid(); euid != 0 && id.UID != euid && !s.Load().Delegated {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("cannot run as user %q: only root can change users, and this process is not root", n.Arg(0))}
		}
		k.In(s).User = id
		return nil
	}
}

func setMaster(k *config.Key[Settings]) config.Setter {
	var on bool
	flag := config.Flag(k, func(*Settings) *bool { return &on })
	return func(s *config.Scope, n *config.Node) error {
		if err := flag(s, n); err != nil {
			return err
		}
		k.In(s).OneProcess = n.Arg(0) == "off"
		return nil
	}
}

func setCPUs(k *config.Key[Settings]) config.Setter {
	number := config.Int(k, 1, 1<<16, func(c *Settings) *int { return &c.CPUs })
	return func(s *config.Scope, n *config.Node) error {
		if n.Arg(0) == "auto" {
			k.In(s).CPUs = 0
			return nil
		}
		return number(s, n)
	}
}

func setFiles(k *config.Key[Settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		v, err := strconv.ParseUint(n.Arg(0), 10, 32)
		if err != nil || v < 64 {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("worker_rlimit_nofile: %q is not a whole number of at least 64", n.Arg(0))}
		}
		k.In(s).Files = v
		return nil
	}
}

// unneeded is nginx's directives that have no meaning here.
func unneeded() []config.Directive {
	var out []config.Directive
	for _, d := range []struct {
		name   string
		in     config.Context
		args   config.Arity
		reason string
	}{
		{"worker_connections", config.Events, config.OneArg, "connections are bounded by the files that may be open, see worker_rlimit_nofile"},
		{"use", config.Events, config.OneArg, "the runtime picks the system's event interface"},
		{"multi_accept", config.Events, config.OneArg, "every listener accepts as fast as connections come"},
		{"accept_mutex", config.Events, config.OneArg, "one process accepts"},
		{"accept_mutex_delay", config.Events, config.OneArg, "one process accepts"},
		{"worker_aio_requests", config.Events, config.OneArg, "files are read by threads of the runtime"},
		{"debug_connection", config.Events, config.OneArg, "the debug level applies to all connections"},
		{"load_module", config.Main, config.OneArg, "all features are built in"},
		{"pcre_jit", config.Main, config.OneArg, "regular expressions run in linear time wherever they can"},
		{"thread_pool", config.Main, config.SomeArg, "threads are started as needed"},
		{"worker_priority", config.Main, config.OneArg, "set the priority where the server is started, as with systemd's Nice"},
		{"worker_cpu_affinity", config.Main, config.SomeArg, "set it where the server is started, as with systemd's CPUAffinity"},
		{"worker_rlimit_core", config.Main, config.OneArg, "set it where the server is started, as with systemd's LimitCORE"},
		{"working_directory", config.Main, config.OneArg, "it is where nginx writes core dumps; all paths here are absolute"},
		{"debug_points", config.Main, config.OneArg, "there are none"},
		{"timer_resolution", config.Main, config.OneArg, "the clock is read where it is needed, which costs no system call"},
		{"lock_file", config.Main, config.OneArg, "one process accepts"},
		{"env", config.Main, config.OneArg, "workers inherit the environment, and env inside an app adds to it"},
		{"ssl_engine", config.Main, config.OneArg, "there are no OpenSSL engines"},
	} {
		out = append(out, config.Directive{Name: d.name, In: d.in, Args: d.args, NoEffect: true, Help: d.reason,
			Repeat: d.name == "load_module" || d.name == "env" || d.name == "thread_pool" || d.name == "debug_connection"})
	}
	return out
}
