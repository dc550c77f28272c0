package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/proxy"
	"alicorn/proxy/logfile"
	"alicorn/proxy/ssl"

	"alicorn/config/osfile"
)

// Reload implements control.Server.
func (s *server) Reload(ctx context.Context, o control.Reload) ([]control.Fate, error) {
	r := &reloading{options: o}
	err := s.wait(ctx, command{verb: verbReload, reload: r})
	if ctx.Err() != nil {
		return nil, ctx.Err() // the reload goes on
	}
	return r.fates, err
}

// Reopen implements control.Server.
func (s *server) Reopen() error { return s.ask(context.Background(), verbReopen) }

func (s *server) ask(ctx context.Context, v verb) error { return s.wait(ctx, command{verb: v}) }

// wait passes c to run and returns the result.
func (s *server) wait(ctx context.Context, c command) error {
	reply := make(chan error, 1)
	c.reply = reply
	if err := s.send(ctx, c); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop implements control.Server.
func (s *server) Stop(now bool) {
	v := verbStop
	if now {
		v = verbStopNow
	}
	go s.send(context.Background(), command{verb: v})
}

// Scale implements control.Server.
func (s *server) Scale(by int) {
	v := verbScaleUp
	if by < 0 {
		v = verbScaleDown
	}
	s.send(context.Background(), command{verb: v})
}

// Status implements control.Server.
func (s *server) Status() control.Status {
	st := s.status((*pool.Pool).Status)
	st.Trouble = troubleOf(st, time.Now())
	return st
}

// status is Status with the state of each pool from of.
func (s *server) status(of func(*pool.Pool) pool.Status) control.Status {
	s.mu.Lock()
	ld, n := s.current, s.generation
	s.mu.Unlock()
	st := control.Status{Version: proxy.Version, PID: s.pid(), Generation: n, Started: s.start, Up: time.Since(s.start).Seconds(), Config: s.p.name, Goroutines: runtime.NumGoroutine() - s.loops.Spare(), EventLoops: s.p.loops, GC: gcInEffect(), Apps: []control.App{}}
	for _, l := range ld.generation.Listeners {
		st.Listeners = append(st.Listeners, strings.TrimPrefix(l.Addr().String(), "@"))
	}
	for _, p := range s.apps.Pools() {
		st.Apps = append(st.Apps, appStatus(p, of(p)))
	}
	inOrder(st.Apps, appserver.Apps(ld.main))
	st.Starting, st.Stopping = !s.first.isOver(), s.ending.Load()
	st.TempSpace.Used, st.TempSpace.Limit = s.apps.TempSpace()
	st.Upstreams = upstreamsOf(ld.generation.Resources)
	st.Certificates, st.Logs = s.Certificates(), lossesOf(ld.generation)
	for _, o := range ld.generation.Overruns() {
		st.Blocking = append(st.Blocking, control.Blocking{Location: o.Location.Name, Place: o.Location.Pos.String(), Times: o.Times})
	}
	if found := s.found.Load(); found != nil {
		st.Barred, st.Full = found.barred, found.full
	}
	st.Failures, st.Overdue = s.failures.list(), ssl.Refused(ld.main, time.Now())
	if s.link != nil {
		s.addKeepers(&st)
	}
	return st
}

// inOrder sorts shown in the order of the configuration; an app may have two pools. Apps that it no longer has
// come last.
func inOrder(shown []control.App, apps []*appserver.App) {
	place := make(map[string]int, len(apps))
	for i, a := range apps {
		place[a.Name] = i - len(apps)
	}
	slices.SortStableFunc(shown, func(a, b control.App) int { return place[appserver.AppOf(a.Name)] - place[appserver.AppOf(b.Name)] })
}

// addKeepers adds the parts of the status that the keeper knows.
func (s *server) addKeepers(st *control.Status) {
	if at, why := s.link.UpgradeFailure(); why != "" {
		st.Failures = append(st.Failures, control.Failure{What: "upgrade", At: at, Error: gist(why)})
	}
	st.Refused = s.link.RefusedPriority()
	if again := s.link.Again(); again.Times > 0 {
		st.Replaced = &control.Replaced{Times: again.Times, At: again.At, Why: again.Why}
	}
}

// lossesOf returns the logs of g that have lost lines, by name.
func lossesOf(g *proxy.Generation) (logs []control.Log) {
	g.Resources.Each(func(_ string, v any) {
		sink, ok := v.(interface{ Losses() logfile.Losses })
		if !ok {
			return
		}
		if l := sink.Losses(); l.Lost > 0 {
			logs = append(logs, control.Log{Path: l.Path, Lost: l.Lost, Failing: l.Failing, Error: l.Err.Error(), ErrorAt: l.At})
		}
	})
	slices.SortFunc(logs, func(a, b control.Log) int { return strings.Compare(a.Path, b.Path) })
	return logs
}

// pid returns the number of the process that was started.
func (s *server) pid() int {
	if s.link != nil {
		return os.Getppid()
	}
	return os.Getpid()
}

// verbSocket is the control API's socket. It is made again when its name is gone,
// because an operator, or a program that cleans temporary files, has removed it.
type verbSocket struct {
	mu       sync.Mutex
	open     bool               // the API runs
	serve    func(net.Listener) // answers verbs until the API ends
	listener net.Listener       // nil: it could not be made
	name     osfile.Name        // of a server in one process
}

// control runs the control API until ctx ends. Signals work even where its socket
// cannot be made.
func (s *server) control(ctx context.Context, log *slog.Logger) {
	var serving sync.WaitGroup
	v := &s.verbs
	v.mu.Lock()
	v.open = true
	v.serve = func(l net.Listener) {
		serving.Go(func() {
			if err := control.Run(ctx, l, s.controlPath(), s); err != nil {
				log.Warn("the control socket failed: " + err.Error())
			}
		})
	}
	s.listenForVerbs(false, log)
	v.mu.Unlock()
	<-ctx.Done()
	v.mu.Lock()
	v.open = false
	v.mu.Unlock()
	serving.Wait()
	v.name.Remove()
}

// renewControl makes the control API's socket again when its name is gone. Verbs that
// are connected to the old one get their answers.
func (s *server) renewControl() {
	v := &s.verbs
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open && !v.name.Ours() {
		s.listenForVerbs(true, s.log())
	}
}

func (s *server) controlPath() string { return control.SocketPath(s.p.folders.run, s.p.name) }

// listenForVerbs has the API serve a new socket in place of its present one. With gone
// it does so only when the name of that is gone. s.verbs is locked.
func (s *server) listenForVerbs(gone bool, log *slog.Logger) {
	path := s.controlPath()
	l, err := s.bindForVerbs(path, gone)
	if err != nil {
		log.Warn(fmt.Sprintf("cannot make the control socket at %s, so this server takes signals, but no verbs: %s", path, err))
		return
	}
	if l == nil {
		return
	}
	v := &s.verbs
	if v.listener != nil {
		v.listener.Close()
	}
	if gone {
		log.Warn(fmt.Sprintf("the control socket at %s was gone; it is made again", path))
	}
	v.listener = &controlListener{l, keeper.NewReserve(controlReserve)}
	v.serve(v.listener)
}

// controlReserve is how many verbs can connect at once when clients have used all
// descriptors up.
const controlReserve = 4

// controlListener accepts verbs even when clients have used all descriptors.
type controlListener struct {
	net.Listener
	reserve *keeper.Reserve
}

// Accept returns the next verb's connection.
func (l *controlListener) Accept() (nc net.Conn, err error) {
	err = l.reserve.Spend(func() (err error) { nc, err = l.Listener.Accept(); return err })
	return nc, err
}

// Close closes the listener and the reserve.
func (l *controlListener) Close() error {
	l.reserve.Close()
	return l.Listener.Close()
}

// bindForVerbs returns the socket at path. With gone it returns nil when the name is still there.
func (s *server) bindForVerbs(path string, gone bool) (net.Listener, error) {
	if s.link == nil {
		if gone {
			if err := s.p.folders.secure(); err != nil {
				return nil, err
			}
		}
		s.p.origin.before.replaceControl(path)
		l, err := control.Listen(path)
		if err == nil {
			s.verbs.name = osfile.NameOf(path)
		}
		return l, err
	}
	f, err := s.link.Control(gone)
	if f == nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}
