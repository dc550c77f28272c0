package appserver

import (
	"fmt"
	"strings"
	"sync/atomic"

	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy"
)

// serving says who answers a request for a file of app_static.
type serving uint8

const (
	servedByApp    serving = iota // the application
	servedAfter404                // the application; the front if the application answers 404
	servedPlain                   // the front
)

// folders has the servings, by folderKey, that all ready workers of a pool have reported. It
// is nil until a worker is ready.
type folders struct {
	agreed atomic.Pointer[map[string]serving]
}

// folderKey returns the key of the folders of one URL, in the order of their search.
func folderKey(url string, dirs []string) string {
	key := strings.TrimRight(url, "/") + "/"
	for _, dir := range dirs {
		key += "\x00" + strings.TrimRight(dir, "/") + "/"
	}
	return key
}

// servings returns the servings of the folders of one report.
func servings(list []pool.Folder) map[string]serving {
	dirs, plain := map[string][]string{}, map[string]bool{}
	for _, f := range list {
		before, seen := dirs[f.URL]
		dirs[f.URL], plain[f.URL] = append(before, f.Dir), f.Plain && (!seen || plain[f.URL])
	}
	out := map[string]serving{}
	for url := range dirs {
		out[folderKey(url, dirs[url])] = servedAfter404
		if plain[url] {
			out[folderKey(url, dirs[url])] = servedPlain
		}
	}
	return out
}

// agree sets the servings: for each folder the one that fits the reports of all ready
// workers.
func (f *folders) agree(ready []pool.Report) {
	if len(ready) == 0 {
		return // the servings of the workers before stay right until the next are ready
	}
	all := servings(ready[0].Static)
	for _, r := range ready[1:] {
		its := servings(r.Static)
		for key, how := range all {
			all[key] = min(how, its[key])
		}
	}
	f.agreed.Store(&all)
}

// of returns the serving of the folders with that key.
func (f *folders) of(key string) serving {
	if all := f.agreed.Load(); all != nil {
		return (*all)[key]
	}
	return servedByApp
}

// folderPass is the action of app_static: it passes requests to the application, unless that
// would answer with the same file.
type folderPass struct {
	key   string
	app   handler         // for servedByApp
	first handler         // for servedAfter404
	named *proxy.Redirect // to the location that is used in place of app; nil: none
}

func setFolderPass(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name, pos := n.Arg(0), n.Args[0].Pos
		if url := n.Arg(1); !strings.HasPrefix(url, "/") {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("app_static: the URL %q does not begin with a slash", url)}
		}
		var dirs []string
		words := n.Args[2:]
		if last := n.Arg(len(n.Args) - 1); strings.HasPrefix(last, "@") {
			k.In(s).folders.named, words = last, words[:len(words)-1]
		}
		if len(words) == 0 {
			return &config.Error{Pos: pos, Msg: "app_static needs a folder"}
		}
		for _, a := range words {
			dirs = append(dirs, absolute(s, a.Text))
		}
		s.Load().Defer(pos, func() (err error) {
			k.In(s).folders.key = folderKey(n.Arg(1), dirs)
			k.In(s).folders.app, err = findApp(s.Load(), name, pos)
			return err
		})
		return nil
	}
}

// folderSettings are the settings of app_static.
type folderSettings struct {
	app   *App // nil without the directive
	key   string
	named string // a location; "": none
}

func newFolderPass(c *settings, folders folderSettings, rt *Runtime) *folderPass {
	f := &folderPass{key: folders.key, app: newHandler(c, folders.app, rt)}
	f.first = f.app
	f.first.follow = true
	if folders.named != "" {
		f.named = &proxy.Redirect{URI: folders.named, Named: true}
	}
	return f
}

// ahead passes x to the application if its answer may differ from the file of the location.
func (f *folderPass) ahead(x *proxy.Exchange) error {
	if x.Upstream.App == f.app.app.Name {
		return nil // it has answered 404
	}
	r := &x.Req
	h := &f.app
	plain := (r.Method == "GET" || r.Method == "HEAD") && r.ContentLength <= 0 && !r.Chunked && r.Asked == r.Path
	how := servedByApp
	if plain {
		how = f.app.app.service.version.Load().folders.of(f.key)
	}
	switch {
	case how == servedPlain:
		return nil
	case how == servedAfter404:
		h = &f.first
	case f.named != nil:
		return f.named
	}
	return x.Answer(h)
}

// isMissing reports whether r's answer is 404 and a file is to be served in its place.
func (h *handler) isMissing(r *request) bool { return h.follow && r.Head.Status == 404 }

// lookForFile drops r's answer, and makes x go through its location again, for the file.
func (h *handler) lookForFile(x *proxy.Exchange, r *request) error {
	h.dropAnswer(r)
	return &proxy.Redirect{URI: x.Req.Path, Args: x.Req.Args}
}
