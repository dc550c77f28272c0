package appserver

import (
	"testing"

	"alicorn/appserver/pool/pooltest"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// laneSite is a site whose connections and workers share a loop.
type laneSite struct {
	*site
	fakes *pooltest.Fakes
}

func newLaneSite(t testing.TB, settings string, script func(f *pooltest.Fake)) *laneSite {
	t.Helper()
	l := &pooltest.Fakes{Script: script}
	t.Cleanup(l.Wait) // after the server's own
	return &laneSite{newLoopSite(t, settings, Options{Launcher: l}), l}
}

// newLoopSite starts the app once the server's loop is there to read its workers.
func newLoopSite(t testing.TB, settings string, o Options) *site {
	t.Helper()
	rt := NewRuntime(o)
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8080; }", Modules: []proxy.Module{Module(rt, nil)}, Serve: http1.Serve})
	rt.o.Loops = s.Loops
	if err := s.Reload(configText(t, settings)); err != nil {
		t.Fatal(err)
	}
	return &site{Server: s, rt: rt}
}

// outstanding is how many requests the first worker has.
func (s *site) outstanding(t testing.TB) int {
	workers := s.pool(t).Brief().Workers
	if len(workers) == 0 {
		return -1
	}
	return workers[0].Outstanding
}
