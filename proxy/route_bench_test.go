package proxy

import (
	"fmt"
	"testing"

	"alicorn/config"
)

// benchLocations has what a site of some size has: exact names, prefixes of
// several lengths, nested ones, and regular expressions.
func benchLocations(b *testing.B) *locations {
	b.Helper()
	var ls locations
	add := func(to *locations, kind LocationKind, name string) *Location {
		l := &Location{Name: name, Kind: kind}
		if kind == LocationRegex {
			var err error
			if l.Regex, err = CompileRegexp(config.Pos{}, name, false); err != nil {
				b.Fatal(err)
			}
		}
		to.add(l)
		return l
	}
	for _, name := range []string{"/favicon.ico", "/robots.txt", "/health"} {
		add(&ls, LocationExact, name)
	}
	for _, name := range []string{"/", "/api/", "/api/v1/users/", "/admin/", "/media/", "/downloads/large/"} {
		add(&ls, LocationPrefix, name)
	}
	static := add(&ls, LocationPrefixStop, "/static/")
	add(&static.tree, LocationPrefix, "/static/admin/")
	for _, pattern := range []string{`\.(jpe?g|png|gif|ico)$`, `^/old/(\d+)/`} {
		add(&ls, LocationRegex, pattern)
	}
	ls.index()
	return &ls
}

func BenchmarkLocation(b *testing.B) {
	ls := benchLocations(b)
	for _, c := range []struct{ name, path, want string }{
		{"exact", "/favicon.ico", "/favicon.ico"},
		{"prefix that stops", "/static/css/site.css", "/static/"},
		{"nested prefix", "/static/admin/base.css", "/static/admin/"},
		{"prefix after regexes", "/api/v1/users/42", "/api/v1/users/"},
		{"regex", "/media/2024/picture.png", `\.(jpe?g|png|gif|ico)$`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := NewExchange(nil, nil)
				defer x.Release()
				for pb.Next() {
					if l, _, _ := ls.find(x, c.path); l == nil || l.Name != c.want {
						b.Errorf("%s leads to %v, want %s", c.path, l, c.want)
						return
					}
				}
			})
		})
	}
}

func BenchmarkServerName(b *testing.B) {
	var names serverNames
	add := func(name string) *Server {
		sv := &Server{Name: name, names: []serverName{{name: name}}}
		names.add(sv)
		return sv
	}
	for i := range 200 {
		add(fmt.Sprintf("site%d.example.com", i))
	}
	wildcard, trailing := add("*.shop.example.com"), add("www.example.*")
	for _, c := range []struct {
		name, host string
		want       *Server
	}{
		{"exact", "site150.example.com", names.hosts.exact["site150.example.com"]},
		{"leading wildcard", "a.b.shop.example.com", wildcard},
		{"trailing wildcard", "www.example.org", trailing},
		{"none", "unknown.test", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if sv, _ := names.find(nil, c.host, false); sv != c.want {
						b.Errorf("%s is %v; want %v", c.host, sv, c.want)
						return
					}
				}
			})
		})
	}
}
