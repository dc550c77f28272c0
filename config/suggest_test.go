package config

import "testing"

func TestTheNearestNameIsSuggested(t *testing.T) {
	known := []string{"listen", "location", "root", "return", "server", "server_name", "proxy_pass", "if"}
	for _, c := range []struct{ name, want string }{
		{"lsiten", "listen"},
		{"listn", "listen"},
		{"servername", "server_name"},
		{"proxypas", "proxy_pass"},
		{"sever", "server"},
		{"rot", "root"},
		{"root", "root"},
		{"fi", ""},
		{"ro", ""},
		{"upstream", ""},
		{"", ""},
	} {
		if got := Nearest(c.name, known); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheFirstOfEquallyNearNamesIsSuggested(t *testing.T) {
	for _, known := range [][]string{{"abcde1", "abcde2"}, {"abcde2", "abcde1"}, {"abc", "abcde9", "abcde0"}} {
		want := known[0]
		if want == "abc" {
			want = known[1]
		}
		if got := Nearest("abcdef", known); got != want {
			t.Errorf("%v: got %q; want %q", known, got, want)
		}
	}
}
