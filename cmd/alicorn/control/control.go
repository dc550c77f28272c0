// Package control lets the verbs speak to a running server: HTTP with JSON
// on a unix socket of mode 0600 in the runtime directory, one socket for each
// configuration. Only the server's own user, and root, can reach it. Before the HTTP comes
// a line that says for which socket it is: "to: NAME".
//
//	GET  /status   Status
//	POST /reload   answers when the new configuration serves and new workers are ready or have
//	               failed, with []Fate, or why it does not serve;
//	               ?app=NAME, ?all=1, ?all_or_nothing=1 as in Reload
//	POST /reopen   reopens logs
//	POST /upgrade  answers when the new program serves, or why it does not
//	POST /stop     starts a graceful stop; ?now=1 stops at once
//	POST /scale    ?by=1 or ?by=-1, one worker more or fewer in each pool
//	GET  /certificates        []Certificate
//	POST /certificates/renew  ?name=NAME; answers when there is a new one, or why there is none
package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"

	"alicorn/config/osfile"
)

// Server is what the API controls.
type Server interface {
	Status() Status
	// Reload returns when the newest configuration serves. An error says why it
	// does not; the old one then goes on. When some applications have not come up,
	// it returns the fates of all and an error.
	Reload(ctx context.Context, o Reload) ([]Fate, error)
	Reopen() error
	// Upgrade returns when another process has taken over. An error says why it
	// has not; this one then goes on.
	Upgrade(ctx context.Context) error
	Stop(now bool)
	Scale(by int)
	// Certificates returns the automatic certificates.
	Certificates() []Certificate
	// RenewCertificate returns when the name has a new certificate. An error says
	// why it has none; the old one then stays.
	RenewCertificate(ctx context.Context, name string) error
}

// Status is the state of a server.
type Status struct {
	Version    string    `json:"version"`
	PID        int       `json:"pid"`
	Starting   bool      `json:"starting,omitempty"` // no application is ready yet
	Stopping   bool      `json:"stopping,omitempty"` // it has stopped listening, and finishes the requests in progress
	Generation int       `json:"generation"`
	Started    time.Time `json:"started"`
	Up         float64   `json:"up_seconds"` // since Started, also after a change of the clock
	Config     string    `json:"config"`
	Listeners  []string  `json:"listeners"`
	Goroutines int       `json:"goroutines"`  // of the process that serves, without those of its event loops that are in reserve
	EventLoops int       `json:"event_loops"` // of that process: worker_processes
	GC         GC        `json:"gc"`
	Apps       []App     `json:"apps"`
	TempSpace  TempSpace `json:"temp_space"`
	// Upstreams are the groups of servers that requests are passed on to.
	Upstreams []Upstream `json:"upstreams,omitempty"`
	// Certificates are the automatic certificates.
	Certificates []Certificate `json:"certificates,omitempty"`
	// Logs are the logs that have lost lines since they were opened.
	Logs []Log `json:"logs,omitempty"`
	// Blocking are locations whose requests have blocked event loops since the
	// configuration was loaded.
	Blocking []Blocking `json:"blocking,omitempty"`
	// Failures are the last reload and upgrade, as far as they have failed.
	Failures []Failure `json:"failures,omitempty"`
	// Trouble is what fails although the server serves, each with a remedy.
	Trouble []string `json:"trouble,omitempty"`
	// Barred are folders whose files cannot be served, each with a remedy.
	Barred []string `json:"barred,omitempty"`
	// Full are the server's own folders on full file systems.
	Full []string `json:"full,omitempty"`
	// Overdue are certificates, from files, that clients refuse.
	Overdue []string `json:"overdue_certificates,omitempty"`
	// Refused is why the process that serves has not the priority that
	// worker_priority says; "": it has, or the directive is not there.
	Refused string `json:"refused_priority,omitempty"`
	// Replaced counts how often the process that serves has ended unexpectedly;
	// nil: never.
	Replaced *Replaced `json:"replaced,omitempty"`
}

// Failure is a reload or an upgrade that has failed, without a success since.
type Failure struct {
	What  string    `json:"what"` // reload, upgrade
	At    time.Time `json:"at"`
	Error string    `json:"error"` // its most informative line
}

// Blocking is a location with requests that blocked an event loop, so that another
// goroutine had to take over the loop.
type Blocking struct {
	Location string `json:"location"` // "" for a server's own settings
	Place    string `json:"place"`    // where the configuration has it
	Times    uint64 `json:"times"`
}

// Replaced counts the replaced processes that have served.
type Replaced struct {
	Times int       `json:"times"`
	At    time.Time `json:"at"`  // when the last one was replaced
	Why   string    `json:"why"` // how the last one ended
}

// TempSpace is how many bytes temporary files take, and may take.
type TempSpace struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// Log is a log that has lost lines.
type Log struct {
	Path    string    `json:"path"`
	Lost    uint64    `json:"lost_lines"`
	Failing bool      `json:"failing"` // the last line was lost
	Error   string    `json:"error"`   // why the last lost line was lost
	ErrorAt time.Time `json:"error_at,omitzero"`
}

// Certificate is the state of a name with automatic certificates. Unknown times are
// zero, and unknown texts empty.
type Certificate struct {
	Name      string    `json:"name"`
	Issuers   []string  `json:"issuers"`          // the issuers that are asked, in turn
	Issuer    string    `json:"issuer,omitempty"` // of the certificate in use
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Renewal   time.Time `json:"renewal,omitzero"` // when the next one is ordered
	Error     string    `json:"error,omitempty"`  // why the last order failed
	ErrorAt   time.Time `json:"error_at,omitzero"`
	Next      time.Time `json:"next,omitzero"`   // the next try after it
	Trust     string    `json:"trust,omitempty"` // the root certificate of a local authority, a file
}

// Reload says what a reload does besides loading what has changed.
type Reload struct {
	Apps         []string // apps that get new workers even if they have not changed
	All          bool     // every application gets new workers
	AllOrNothing bool     // one application that does not come up undoes the reload
}

// Fate is what a reload did with an application.
type Fate struct {
	App   string `json:"app"`
	Fate  string `json:"fate"` // kept, replaced, started, failed
	Why   string `json:"why,omitempty"`
	Error string `json:"error,omitempty"` // with failed: its traceback
}

// GC has the settings of Go's garbage collector in the process that serves.
type GC struct {
	Percent int   `json:"percent"` // as GOGC; -1: off
	Memory  int64 `json:"memory"`  // bytes, as GOMEMLIMIT; 0: no limit
}

// App is one pool.
type App struct {
	Name          string    `json:"name"`
	User          string    `json:"user,omitempty"`      // the user that its workers run as
	Kind          string    `json:"kind"`                // of its workers: wsgi, asgi
	Program       string    `json:"program"`             // the application, as the configuration names it
	Found         string    `json:"found,omitempty"`     // the application as a worker found it
	Framework     string    `json:"framework,omitempty"` // Flask, Django, WSGI, FastAPI, ASGI
	Python        string    `json:"python,omitempty"`
	PythonVersion string    `json:"python_version,omitempty"`
	State         string    `json:"state"`           // starting, running, failed, replaced
	Since         time.Time `json:"since"`           // when the workers with its present code took over
	Error         string    `json:"error,omitempty"` // why its last start failed
	Next          time.Time `json:"next,omitzero"`   // the next start, while it has failed
	Queue         int       `json:"queue"`           // requests waiting for a worker
	Overran       *Overran  `json:"overran,omitempty"`
	Deaths        *Deaths   `json:"deaths,omitempty"`
	Workers       []Worker  `json:"workers"`
}

// Overran counts the requests that took longer than timeout.
type Overran struct {
	Times   uint64    `json:"times"`
	At      time.Time `json:"at"`      // the last time
	Request string    `json:"request"` // the last one: method and target
}

// Deaths counts the workers that served and have ended unexpectedly.
type Deaths struct {
	Times uint64    `json:"times"`
	At    time.Time `json:"at"`   // the last time
	Exit  string    `json:"exit"` // the last one: its exit code or signal
}

// Worker is one worker process.
type Worker struct {
	Name     string  `json:"name"`
	PID      int     `json:"pid"`
	State    string  `json:"state"`
	Age      float64 `json:"age_seconds"`
	Requests int64   `json:"requests"`
	Memory   int64   `json:"memory_bytes"`
	Request  string  `json:"request,omitempty"`
	Lag      float64 `json:"lag_seconds,omitempty"` // how late the event loop of an ASGI worker was
}

// Upstream is a group of servers: an upstream block, or the server that a directive such
// as proxy_pass names itself.
type Upstream struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`      // of the family of directives: proxy, uwsgi, fastcgi, scgi
	TLS      bool   `json:"tls,omitempty"` // its servers are reached by TLS
	Queue    int    `json:"queue"`         // requests that wait for a server
	Peers    []Peer `json:"peers"`
	// Lookups are why the names of its servers cannot be looked up at present.
	Lookups []string `json:"lookup_failures,omitempty"`
}

// Peer is one address of a server.
type Peer struct {
	Address  string  `json:"address"`
	State    string  `json:"state"` // up, down, draining, resting, full
	Backup   bool    `json:"backup,omitempty"`
	Weight   int     `json:"weight"`
	Requests uint64  `json:"requests"`
	Failures uint64  `json:"failures"`
	Active   int     `json:"active_connections"`
	Idle     int     `json:"idle_connections"`
	Header   float64 `json:"header_seconds"`   // until the head of an answer has come, on average
	Response float64 `json:"response_seconds"` // until all of it has come
	// Error is why the last request to it has failed; "": it has not.
	Error string `json:"error,omitempty"`
	// Row is how many requests to it have failed since one was answered.
	Row int `json:"failures_in_a_row,omitempty"`
	// Ended is when a request to it was answered, or has failed, last; zero: none was.
	Ended time.Time `json:"ended,omitzero"`
}

// SocketPath returns the path of the socket of the server with that name (a
// configuration's path, or addresses).
func SocketPath(dir, name string) string {
	sum := sha256.Sum256([]byte(name))
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, filepath.Base(name))
	if len(readable) > 24 {
		readable = readable[:24]
	}
	return filepath.Join(dir, "control-"+readable+"-"+hex.EncodeToString(sum[:4])+".sock")
}

// Listen makes the socket, in place of one of a server that is gone. Closing the
// listener does not remove it. The socket appears at path only once it listens;
// otherwise it would look like one that was left behind.
func Listen(path string) (l net.Listener, err error) {
	if err := osfile.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := Trust(filepath.Dir(path)); err != nil {
		return nil, err
	}
	err = osfile.Do(path, func() error {
		if err := vacant(path); err != nil {
			return err
		}
		l, err = listenAside(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// listenAside makes the socket in a folder of its own and moves it to path.
func listenAside(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".new")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	aside := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: aside, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the name may be another server's by then
	if err = osfile.Chmod(aside, 0o600); err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Trust returns an error when users other than this process's own and root may put
// sockets into dir, since they could answer in a server's place. A process of root
// acts there with the owner's rights instead.
func Trust(dir string) error {
	st, err := os.Stat(dir)
	if err != nil || os.Geteuid() == 0 {
		return nil // no server can answer from a missing folder
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return nil
	case sys.Uid != 0 && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("folder %s belongs to user %q, who could answer in a server's place; set RUNTIME_DIRECTORY to a folder of your own", dir, osfile.User{UID: int(sys.Uid)}.Name())
	case st.Mode()&0o002 != 0:
		return fmt.Errorf("every user may write to folder %s, and could answer in a server's place; set RUNTIME_DIRECTORY to a folder of your own", dir)
	}
	return nil
}

// Run serves the API on l, the socket at path, until ctx ends. When l is closed before that, open
// connections still get answers.
func Run(ctx context.Context, l net.Listener, path string, s Server) error {
	hs := &http.Server{Handler: routes(s), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(Greeted(l, path)) }()
	<-ctx.Done()
	// An answer that is being written, such as an upgrade's, still arrives.
	end, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if hs.Shutdown(end) != nil {
		hs.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// vacant returns an error when a server that is not stopping answers on the socket.
func vacant(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	st, err := NewClient(path).Status(ctx)
	switch {
	case errors.Is(err, ErrNotRunning), err == nil && st.Stopping:
		return nil
	case errors.Is(err, fs.ErrPermission): // of another user: the owner of the folder decides
		return nil
	}
	return errors.New("a server of this configuration runs already; see alicorn status")
}

func routes(s Server) http.Handler {
	r := chi.NewRouter()
	r.Get("/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Status())
	})
	r.Post("/reload", func(w http.ResponseWriter, r *http.Request) { reload(w, r, s) })
	r.Post("/reopen", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Reopen()) })
	r.Post("/upgrade", func(w http.ResponseWriter, r *http.Request) { answer(w, s.Upgrade(r.Context())) })
	r.Post("/stop", func(w http.ResponseWriter, r *http.Request) {
		now := r.URL.Query().Get("now")
		if now != "" && now != "1" {
			answer(w, fmt.Errorf("invalid value %q of now: it must be 1, or be left out", now))
			return
		}
		answer(w, nil)
		s.Stop(now == "1")
	})
	r.Get("/certificates", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Certificates())
	})
	r.Post("/certificates/renew", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.RenewCertificate(r.Context(), r.URL.Query().Get("name")))
	})
	r.Post("/scale", func(w http.ResponseWriter, r *http.Request) {
		switch by := r.URL.Query().Get("by"); by {
		case "1":
			s.Scale(1)
		case "-1":
			s.Scale(-1)
		default:
			answer(w, fmt.Errorf("invalid value %q of by: it must be 1 or -1", by))
			return
		}
		answer(w, nil)
	})
	return r
}

func reload(w http.ResponseWriter, r *http.Request, s Server) {
	q := r.URL.Query()
	apps, err := s.Reload(r.Context(), Reload{Apps: q["app"], All: q.Has("all"), AllOrNothing: q.Has("all_or_nothing")})
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(failure{Error: err.Error(), Apps: apps})
		return
	}
	json.NewEncoder(w).Encode(apps)
}

// failure is the answer to a request that failed.
type failure struct {
	Error string `json:"error"`
	Apps  []Fate `json:"apps,omitempty"` // for a reload
}

func answer(w http.ResponseWriter, err error) {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusConflict)
	json.NewEncoder(w).Encode(failure{Error: err.Error()})
}
