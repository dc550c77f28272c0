package appserver

import (
	"sync"
	"time"

	"alicorn/config"
)

// Balance is how a pool picks a worker for a request.
type Balance uint8

// The ways to balance.
const (
	LeastConn  Balance = iota // the worker with the fewest outstanding requests
	RoundRobin                // the worker with the fewest requests so far
)

// App is one `app` block, complete and checked. It does not change, except for the
// interpreter that pipenv names when the first worker starts.
type App struct {
	Name       string
	Pos        config.Pos
	WSGI       string   // as the wsgi directive gives it
	Directory  string   // absolute
	PythonPath []string // before Directory in sys.path
	Workers    int
	Threads    int
	Balance    Balance

	Timeout         time.Duration // for one request, from its start in the worker; 0: none
	Heartbeat       time.Duration // how long a busy worker may give no sign of life; 0: any time
	GracefulTimeout time.Duration // for a retiring worker's requests
	StartupTimeout  time.Duration // from exec to ready
	QueueTimeout    time.Duration // for a request that waits for a worker
	Backlog         int           // requests that may wait
	MaxRequests     int           // 0: no recycling
	MaxJitter       int
	LogLevel        string // of the logger gunicorn.error, in Python's words, in lower case

	python     string
	virtualenv string
	env        []string // NAME=VALUE of env and env_file, in order
	unset      []string // variables that workers do not inherit

	pythonPathLast []string // the end of sys.path

	credentials credentials
	forwarding  forwarding
	output      output
	interpreter interpreter
	service     *service // once its generation has started
	rt          *Runtime
	asking      sync.Mutex // held while pipenv is asked for the interpreter
}

func newApp(name string, pos config.Pos) *App {
	return &App{
		Name: name, Pos: pos, Workers: autoWorkers(), Threads: 1,
		Timeout: 30 * time.Second, GracefulTimeout: 30 * time.Second, StartupTimeout: 60 * time.Second,
		QueueTimeout: 30 * time.Second, Backlog: 2048, LogLevel: "info",
	}
}
