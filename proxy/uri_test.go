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
		path, args, has, ok := parseTarget(c.target, true)
		if path != c.path || args != c.args || has != c.has || !ok {
			t.Errorf("parseTarget(%q) = %q %q %v %v", c.target, path, args, has, ok)
		}
	}
}
