package pool_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"
	"time"

	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/appserver/wire"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/upstream"
)

// site is a server with one pool of fake workers, which gets all requests. Its connections and
// workers share a loop.
type site struct {
	*proxytest.Server
	pool  *pool.Pool
	fakes *pooltest.Fakes
	hold  chan struct{} // when not nil, requests go on once it is closed
	seen  []string      // names of the fields of early hints and trailers, of one request at a time
}

func newSite(t testing.TB, workers int, script func(f *pooltest.Fake)) *site {
	t.Helper()
	return newStreamSite(t, pool.Settings{Workers: workers}, script)
}

// newStreamSite is newSite for workers of any kind. Settings that are missing have defaults.
func newStreamSite(t testing.TB, settings pool.Settings, script func(f *pooltest.Fake)) *site {
	t.Helper()
	s := startSite(t, settings, &pooltest.Fakes{Script: script, Concurrency: settings.Streams})
	if err := s.pool.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// startSite is newStreamSite for workers of fakes, which may not come up.
func startSite(t testing.TB, settings pool.Settings, fakes *pooltest.Fakes) *site {
	t.Helper()
	settings.Name, settings.Threads, settings.Backlog = "web", 1, 1000
	settings.StartupTimeout = cmp.Or(settings.StartupTimeout, 60*time.Second)
	settings.QueueTimeout = cmp.Or(settings.QueueTimeout, 30*time.Second)
	settings.Timeout = cmp.Or(settings.Timeout, 30*time.Second)
	settings.GracefulTimeout = cmp.Or(settings.GracefulTimeout, 30*time.Second)
	s := &site{fakes: fakes}
	t.Cleanup(s.fakes.Wait)
	var generation *proxy.Generation
	dir := t.TempDir()
	s.Server = proxytest.New(t, proxytest.Config{
		Dir:   dir,
		Text:  "server { listen 127.0.0.1:8080; listen unix:" + dir + "/s; client_max_body_size 200m; location / { } }",
		Serve: http1.Serve,
		Modules: []proxy.Module{{
			Name:       "pool",
			Compile:    func(_ *config.Scope, l *proxy.Location) error { l.SetContent(s); return nil },
			Generation: func(_ *config.Scope, g *proxy.Generation) error { generation = g; return nil },
		}},
	})
	s.pool = pool.New(pool.Options{
		Settings: settings,
		Observer: unobserved{}, Launch: s.fakes.Launch, Imports: pool.NewImports(8), Loops: s.Loops,
		ParseHead: gateway.ParseHead, ParseAccept: gateway.ParseAccept, ParseFields: gateway.ParseFields,
	})
	s.pool.SetLogs(pool.Logs{Errors: func() *slog.Logger { return generation.ErrorLog }})
	s.pool.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.pool.Stop(ctx)
	})
	return s
}

// unobserved is an Observer that does nothing.
type unobserved struct{}

func (unobserved) Reported([]pool.Report)         {}
func (unobserved) Noted(kind, path, stamp string) {}
func (unobserved) Ended()                         {}

func expect(t testing.TB, r *proxytest.Recorder, status int, body string) {
	t.Helper()
	if r.Status != status || !strings.Contains(r.Text(), body) {
		t.Errorf("got %d %.200q, want %d with %q", r.Status, r.Text(), status, body)
	}
}

// Serve gives the pool a request that has a body and no environ.
func (s *site) Serve(x *proxy.Exchange) error {
	r := &request{site: s}
	r.Init(r)
	if x.Req.Asked == "/socket" {
		r.talk = newTalk(r, x)
		r.Job.Socket = r.talk
	}
	return r.submit(x)
}

// request is a minimal owner of a Job.
type request struct {
	pool.Job
	site *site
	body upstream.Body
	talk *talk // for a WebSocket
}

func (r *request) Line() string  { return "" }
func (r *request) Starved() bool { return false }
func (r *request) Reuse()        { r.body.Close() }

// submit reads the part of the body that has come, and submits the request.
func (r *request) submit(x *proxy.Exchange) error {
	err := r.body.Read(x, &upstream.Storage{Inline: 48 << 10, Memory: 1 << 20})
	if err == nil {
		r.Frame = binary.LittleEndian.AppendUint32(wire.AppendHeader(r.Frame, wire.KindRequest, 0, 0), 0)
		r.Frame = append(r.Frame, r.body.Inline...)
		r.Out.Memory = 128 << 10
		r.Waker, r.Client, r.Began = x.Waker(), x.Client(), time.Now()
		if fail := r.site.pool.Submit(&r.Job); fail != nil {
			err = fail
		}
	}
	if err != nil && err != proxy.ErrNotYet {
		r.Drop()
		return err
	}
	return x.Suspend(r)
}

// Continue implements proxy.Continuation.
func (r *request) Continue(x *proxy.Exchange) (err error) {
	if r.site.hold != nil {
		<-r.site.hold
	}
	switch r.Stage() {
	case pool.StageNew:
		return r.submit(x)
	case pool.StageHead:
		err = r.answer(x)
	case pool.StageFailed:
		r.site.pool.Abandon(&r.Job)
		err = r.Failure()
	case pool.StageGone:
		err = proxy.StatusClientClosed
	default:
		switch {
		case r.site.pool.Withdraw(&r.Job):
		case r.Lost():
			r.site.pool.Abandon(&r.Job)
		default:
			return x.Suspend(r)
		}
		err = proxy.StatusClientClosed
	}
	r.Drop()
	return err
}

func (r *request) answer(x *proxy.Exchange) error {
	if r.Accepted() {
		return r.talk.serve(x)
	}
	for _, h := range r.site.pool.TakeHints(&r.Job) {
		r.site.see("hint", h)
	}
	if r.Whole {
		return r.Head.Reply(x, r.Text, r.Worker())
	}
	r.Head.Apply(x, -1)
	err := x.Res.Send()
	for err == nil {
		ended := false
		if ended, err = r.Out.Give(x, &r.Head.Head, &r.Job); ended {
			if r.Trailers != nil {
				r.site.see("trailer", r.Trailers)
			}
			return x.Res.Finish()
		}
		switch {
		case err != nil:
		case r.Lost():
			err = proxy.ErrClientGone
		default:
			x.Await()
		}
	}
	r.site.pool.Abandon(&r.Job)
	return err
}

// see notes the names of fields.
func (s *site) see(what string, h *pool.Head) {
	for _, f := range h.Fields {
		s.seen = append(s.seen, what, f.Name)
	}
}
