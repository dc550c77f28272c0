package appserver

import (
	"sync"
	"time"

	"alicorn/appserver/pool"
	"alicorn/config"
)

// App is one `app` block, complete and checked. Its Settings are those that all its programs
// have. It does not change, except that pipenv names the interpreter when the first worker
// starts.
type App struct {
	pool.Settings
	Pos        config.Pos
	Directory  string   // absolute
	PythonPath []string // before Directory in sys.path
	LogLevel   string   // of the logger gunicorn.error, in Python's words, in lower case

	python     string
	virtualenv string
	env        []string // NAME=VALUE of env and env_file, in order
	unset      []string // variables that workers do not inherit

	pythonPathLast []string // the end of sys.path

	asgi     asgiSettings
	programs []*program // the first one answers requests

	credentials credentials
	forwarding  forwarding
	output      output
	outputRate  pool.Rate // the bound on lines that its workers print to the error log
	interpreter interpreter
	service     *service // nil until its generation starts
	rt          *Runtime
	asking      sync.Mutex // guards interpreter; held while pipenv runs
}

func newApp(name string, pos config.Pos) *App {
	return &App{Pos: pos, LogLevel: "info", outputRate: pool.Rate{Lines: 1000, Burst: 10_000}, asgi: asgiSettings{concurrency: 10000, drain: 5 * time.Minute, loop: "auto", lifespan: "auto"}, Settings: pool.Settings{
		Name: name, Workers: autoWorkers(), Threads: 1,
		Timeout: 30 * time.Second, GracefulTimeout: 30 * time.Second, StartupTimeout: 60 * time.Second,
		QueueTimeout: 30 * time.Second, Backlog: 2048,
	}}
}
