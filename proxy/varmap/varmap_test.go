package varmap_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"alicorn/proxy/proxypass"
	"alicorn/proxy/proxytest"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMistakesInMapsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`map $uri x { }`:                               `:1:10: invalid variable name "x"`,
		`map $uri $1 { }`:                              `:1:10: "$1" is a capture of a regular expression, which cannot be set`,
		`map $uri $host { }`:                           `:1:10: the variable "$host" is the server's own and cannot be defined again`,
		`map $urii $x { }`:                             `:1:5: unknown variable "$urii"; did you mean "$uri"?`,
		`map $uri $x { a $y; }`:                        `:1:17: unknown variable "$y"`,
		`map $uri $x { a; }`:                           `:1:15: a line of map has 1 words; it is a word and a value, or hostnames or volatile alone`,
		`map $uri $x { a b c; }`:                       `:1:15: a line of map has 3 words; it is a word and a value, or hostnames or volatile alone`,
		`map $uri $x { a { } }`:                        `:1:15: unexpected block in map; a line is a word and a value`,
		`map $uri $x { default a; default b; }`:        `:1:26: duplicate default of map`,
		`map $uri $x { a 1; A 2; }`:                    `:1:20: conflicting parameter "A" of map: an earlier line is for it`,
		`map $uri $x { hostnames; a.* 1; .a 1; a 2; }`: `conflicting parameter "a" of map: an earlier line is for it`,
		`map $uri $x { hostnames; *.a 1; .a 1; }`:      `conflicting parameter ".a" of map: an earlier line is for it`,
		`map $uri $x { hostnames; a*.b 1; }`:           `:1:26: invalid hostname or wildcard "a*.b"; a wildcard is *.example.com, .example.com or www.example.*`,
		`map $uri $x { hostnames; a..b 1; }`:           `invalid hostname or wildcard "a..b"`,
		`map $uri $x { ~(a 1; }`:                       `:1:15: regular expression "(a": `,
		`map $uri { a 1; }`:                            `directive "map" takes 2 arguments, not 1`,
		`map $uri $x;`:                                 `directive "map" needs a block`,
		`server { map $uri $x { } }`:                   `directive "map" is not allowed in "server" (allowed in: http)`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestASecondMapOfAVariableIsAWarning(t *testing.T) {
	warnings, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: "map $uri $x { }\nmap $uri $x { }"})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Msg, `the variable "$x" is defined twice; this takes the place of `) || warnings[0].Pos.Line != 2 {
		t.Errorf("%v, %v; want one, %q in it and 2", warnings, err, `the variable "$x" is defined twice; this takes the place of `)
	}
}

func TestNothingIsAskedOfAnotherServerWithoutAValue(t *testing.T) {
	asked := make(chan string, 10)
	origin := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("X-Bad") }))
	defer origin.Close()
	s := proxytest.New(t, proxytest.Config{Modules: append(modules(), proxypass.Modules(proxypass.Options{})...), Text: `
		map $arg_k $bad { "~^(?=(a+)+$)" 1; default 0; }
		server { listen 80; location / { proxy_pass ` + origin.URL + `; proxy_set_header X-Bad $bad; } }`})
	if r := s.Get("/?k=" + strings.Repeat("a", 200) + "!"); r.Status != 500 {
		t.Errorf("status %d, want 500", r.Status)
	}
	if r := s.Get("/?k=x"); r.Status != 200 || <-asked != "0" || len(asked) > 0 {
		t.Errorf("status %d, and %d requests more", r.Status, len(asked))
	}
}

// nginx does the same up to a hundred times.
func TestAMapThatNeedsItselfIsEmpty(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: `
		map $b $a { default "a$b"; }
		map $arg_k $b { default "b$a"; end "end"; }
		server { listen 80; return 200 "[$a]"; }`})
	if got := s.Get("/?k=end").Text(); got != "[aend]" {
		t.Errorf(`got %q, want "[aend]"`, got)
	}
	if got := s.Get("/").Text(); !strings.HasPrefix(got, "[a") || len(got) > 10 {
		t.Errorf(`got %q, want "[a" at its beginning and at most 10 bytes`, got)
	}
	if !strings.Contains(s.Log.String(), `cycle while evaluating variable "a"`) {
		t.Errorf("log: %s; want %q in it", s.Log, `cycle while evaluating variable "a"`)
	}
}

// A client must not get around a map by a text that takes long to match.
func TestARequestWhoseMatchTakesTooLongFails(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: `
		map $arg_k $bad { "~^(?=(a+)+$)" 1; default 0; }
		server { listen 80; error_page 500 /page; add_header X-Bad "$bad" always;
			location = /page { return 200 "page $bad"; }
			location /if { if ($bad) { return 403; } return 200 "let in"; }
			location /set { set $x $bad; return 200 "let in"; }
			location / { return 200 "let in"; } }`})
	long := strings.Repeat("a", 200) + "!"
	for _, target := range []string{"/if", "/set", "/"} {
		r := s.Get(target + "?k=" + long)
		if r.Status != 500 || r.Text() != "page " {
			t.Errorf(`%s: %d %q; want 500 and "page "`, target, r.Status, r.Text())
		}
		if r := s.Get(target + "?k=x"); r.Status != 200 {
			t.Errorf("%s with another text: %d; want 200", target, r.Status)
		}
	}
}

func TestMapsWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx|Allocate") }
