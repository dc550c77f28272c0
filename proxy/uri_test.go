package proxy

import "testing"

func TestPathsAreNormalisedAsNginxDoes(t *testing.T) {
	for _, c := range []struct {
		raw, want string
		ok        bool
	}{
		{"/", "/", true},
		{"/a/b", "/a/b", true},
		{"/a//b", "/a/b", true},
		{"//", "/", true},
		{"///a", "/a", true},
		{"/a/", "/a/", true},
		{"/a//", "/a/", true},
		{"/./", "/", true},
		{"/.", "/", true},
		{"/a/.", "/a/", true},
		{"/a/./b", "/a/b", true},
		{"/a/../b", "/b", true},
		{"/a/..", "/", true},
		{"/a/b/..", "/a/", true},
		{"/a/b/../", "/a/", true},
		{"/a//../b", "/b", true},
		{"/..", "", false},
		{"/../a", "", false},
		{"/a/../../b", "", false},
		{"/%2e%2e/a", "", false},
		{"/a/%2e%2e/b", "/b", true},
		{"/a%2fb", "/a/b", true},
		{"/a%2f%2e%2e/b", "/b", true},
		{"/%41", "/A", true},
		{"/%2541", "/%41", true},
		{"/%", "", false},
		{"/%4", "", false},
		{"/%zz", "", false},
		{"/a%00b", "", false},
		{"/...", "/...", true},
		{"/.a", "/.a", true},
		{"/a/..b", "/a/..b", true},
		{"a", "", false},
		{"", "", false},
		{"*", "", false},
	} {
		got, ok := NormalizePath(c.raw, true)
		if got != c.want || ok != c.ok {
			t.Errorf("NormalizePath(%q) = %q, %v; want %q, %v", c.raw, got, ok, c.want, c.ok)
		}
	}
}

func TestSlashesStayWhenMergingIsOff(t *testing.T) {
	for raw, want := range map[string]string{"/a//b": "/a//b", "//": "//", "/a//../b": "/a/b", "/a//": "/a//"} {
		if got, _ := NormalizePath(raw, false); got != want {
			t.Errorf("NormalizePath(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestTargetsAreSplitAtQueryAndFragment(t *testing.T) {
	for _, c := range []struct {
		target, path, args string
		has                bool
	}{
		{"/a?b=c", "/a", "b=c", true},
		{"/a?", "/a", "", true},
		{"/a", "/a", "", false},
		{"/a?b#c", "/a", "b", true},
		{"/a#c?d", "/a", "", false},
		{"/a?b?c", "/a", "b?c", true},
		{"/a%3Fb", "/a?b", "", false},
	} {
		r := Request{Target: c.target}
		if ok := r.parse(true); r.Path != c.path || r.Args != c.args || r.HasArgs != c.has || !ok {
			t.Errorf("%q is parsed as %q %q %v %v; want %q, %q, %v and ok true", c.target, r.Path, r.Args, r.HasArgs, ok, c.path, c.args, c.has)
		}
	}
}

func TestThePathThatWasAskedForIsDecodedButNotNormalised(t *testing.T) {
	for _, c := range []struct{ target, asked, path string }{
		{"/a/b", "/a/b", "/a/b"},
		{"/a//b", "/a//b", "/a/b"},
		{"//a", "//a", "/a"},
		{"/a/./b/", "/a/./b/", "/a/b/"},
		{"/a/../b", "/a/../b", "/b"},
		{"/a%20b", "/a b", "/a b"},
		{"/a%2F%2e%2e/b?c%20d", "/a/../b", "/b"},
		{"/%2541//", "/%41//", "/%41/"},
		{"/fetch/https://example.com/a//b", "/fetch/https://example.com/a//b", "/fetch/https:/example.com/a/b"},
		{"/.", "/.", "/"},
		{"/a#b", "/a", "/a"},
	} {
		r := Request{Target: c.target}
		if ok := r.parse(true); r.Asked != c.asked || r.Path != c.path || !ok {
			t.Errorf("%q is parsed as %q and %q, %v; want %q and %q", c.target, r.Asked, r.Path, ok, c.asked, c.path)
		}
	}
}
