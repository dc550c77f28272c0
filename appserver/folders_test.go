package appserver

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/appserver/pool"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestWorkersAgreeOnWhoAnswersForFiles(t *testing.T) {
	plain := func(url, dir string) pool.Folder { return pool.Folder{URL: url, Dir: dir, Plain: true} }
	asked := func(url, dir string) pool.Folder { return pool.Folder{URL: url, Dir: dir} }
	one, both := folderKey("/s/", []string{"/a/"}), folderKey("/s", []string{"/a", "/b"})
	for _, c := range []struct {
		name    string
		workers [][]pool.Folder
		want    map[string]serving
	}{
		{"none", [][]pool.Folder{nil}, map[string]serving{}},
		{"one", [][]pool.Folder{{plain("/s", "/a")}}, map[string]serving{one: servedPlain}},
		{"one that is asked", [][]pool.Folder{{asked("/s", "/a/")}}, map[string]serving{one: servedAfter404}},
		{"several of a URL", [][]pool.Folder{{plain("/s/", "/a"), plain("/s/", "/b")}}, map[string]serving{both: servedPlain}},
		{"one of several is asked", [][]pool.Folder{{plain("/s/", "/a"), asked("/s/", "/b")}}, map[string]serving{both: servedAfter404}},
		{"the first of several is asked", [][]pool.Folder{{asked("/s/", "/a"), plain("/s/", "/b")}}, map[string]serving{both: servedAfter404}},
		{"two workers", [][]pool.Folder{{plain("/s", "/a")}, {plain("/s", "/a")}}, map[string]serving{one: servedPlain}},
		{"a newer one is asked", [][]pool.Folder{{plain("/s", "/a")}, {asked("/s", "/a")}}, map[string]serving{one: servedAfter404}},
		{"a newer one answers itself", [][]pool.Folder{{plain("/s", "/a")}, nil}, map[string]serving{one: servedByApp}},
		{"a newer one has other folders", [][]pool.Folder{{plain("/s", "/a")}, {plain("/s", "/a"), plain("/s", "/b")}}, map[string]serving{one: servedByApp}},
	} {
		var f folders
		var ready []pool.Report
		for _, list := range c.workers {
			ready = append(ready, pool.Report{Static: list})
		}
		f.agree(ready)
		if got := *f.agreed.Load(); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		f.agree(nil)
		if got := *f.agreed.Load(); !maps.Equal(got, c.want) {
			t.Errorf("%s: without workers %v, want %v as before", c.name, got, c.want)
		}
	}
}

// newFolderSite is a site whose only location has app_static and no files: what
// the application does not answer is a 404 of the front's.
func newFolderSite(t *testing.T, how serving) *site {
	t.Helper()
	text := strings.Replace(configText(t, "workers 1;"), "app_pass web;", "app_static web / testdata;", 1)
	rt := NewRuntime(Options{})
	dir := t.TempDir()
	s := &site{Server: proxytest.New(t, proxytest.Config{Text: text, Dir: dir, Modules: []proxy.Module{Module(rt, nil)}}), rt: rt}
	key := folderKey("/", []string{filepath.Join(dir, "testdata")})
	s.rt.services["web"].version.Load().folders.agreed.Store(&map[string]serving{key: how})
	return s
}

func TestFilesAreLookedForOnlyWhereTheApplicationLeavesThem(t *testing.T) {
	const front, app = "404 Not Found", "missing here"
	for _, c := range []struct {
		how    serving
		r      proxytest.Request
		status int
		body   string
	}{
		{servedPlain, proxytest.Request{Target: "/pid"}, 404, front},
		{servedPlain, proxytest.Request{Target: "/missing", Method: "POST"}, 404, app},
		{servedPlain, proxytest.Request{Target: "/./missing"}, 200, "hello"},
		{servedPlain, proxytest.Request{Target: "//missing"}, 200, "hello"},
		{servedPlain, proxytest.Request{Target: "/size", Body: "abc", Fields: []string{"Content-Length: 3"}}, 200, "3"},
		{servedByApp, proxytest.Request{Target: "/missing"}, 404, app},
		{servedByApp, proxytest.Request{Target: "/missing?stream"}, 404, "mmm"},
		{servedAfter404, proxytest.Request{Target: "/missing"}, 404, front},
		{servedAfter404, proxytest.Request{Target: "/missing?file"}, 404, front},
		{servedAfter404, proxytest.Request{Target: "/missing?stream"}, 404, front},
		{servedAfter404, proxytest.Request{Target: "/missing?stream", Method: "POST"}, 404, "mmm"},
		{servedAfter404, proxytest.Request{Target: "/size"}, 200, "0"},
		{servedAfter404, proxytest.Request{Target: "/raise"}, 500, ""},
	} {
		s := newFolderSite(t, c.how)
		r := s.Do(c.r)
		expect(t, r, c.status, c.body)
		if r.Header.Get("X-Mine") != "" && c.body == front {
			t.Errorf("%+v: got a field of the application's 404, want none", c.r)
		}
		expect(t, s.Do(proxytest.Request{Target: "/size", Method: "POST"}), 200, "0") // the worker goes on
	}
}
