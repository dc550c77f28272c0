package rewrite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/accesslog"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/static"
)

func TestControlBytesCannotAddFields(t *testing.T) {
	s := start(t, `server { listen 80; server_name a; rewrite ^ https://x.test$uri permanent; }
		server { listen 80; server_name b; return 301 https://x.test$uri; }
		server { listen 80; server_name c; return 302 $uri; }
		server { listen 80; server_name d; rewrite ^/((?s:.*))$ /$1 redirect; }`)
	for host, want := range map[string]string{
		"a": "https://x.test/%0D%0AX: 1", "b": "https://x.test/%0D%0AX: 1", "c": "http://c/%0D%0AX: 1", "d": "http://d/%0D%0AX:%201",
	} {
		if got := s.Do(proxytest.Request{Host: host, Target: "/%0d%0aX:%201"}).Header.Get("Location"); got != want {
			t.Errorf("%s: Location %q, want %q", host, got, want)
		}
	}
}

func TestAMatchThatTakesTooLongEndsTheRequest(t *testing.T) {
	s := start(t, `server { listen 80; location /if { if ($arg_x ~ "^(?!b)(a+)+$") { return 403; } } location /rewrite { rewrite "^(?!b)/rewrite(a+)+$" /x; } }`)
	bad := strings.Repeat("a", 40) + "b"
	for _, target := range []string{"/if?x=" + bad, "/rewrite" + bad} {
		if rec := s.Get(target); rec.Status != 500 {
			t.Errorf("%s: %d, want 500", target, rec.Status)
		}
	}
	if n := strings.Count(s.Log.String(), "alicorn.conf:1:"); n != 2 {
		t.Errorf("the log names %d directives, want 2: %s", n, s.Log)
	}
}

func TestARewrittenPathCannotLeadOut(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Text: `server { listen 80; root www; location /get { rewrite ^ /$arg_f break; } location /raw { rewrite ^ $arg_f break; } }`,
		Modules: []proxy.Module{Module(), static.Module()}})
	for _, target := range []string{"/get?f=../alicorn.conf", "/get?f=../../etc/passwd", "/raw?f=../../etc/passwd", "/raw?f=etc/passwd", "/get?f=a/../../x"} {
		if rec := s.Get(target); rec.Status != 404 {
			t.Errorf("%s: %d, want 404", target, rec.Status)
		}
	}
}

func TestRewritingIsLoggedWhereItIsAsked(t *testing.T) {
	s := start(t, `server { listen 80; location /on { rewrite_log on; rewrite ^/on/(.*)$ /x/$1?k=v break; if ($arg_k ~* z) { } rewrite ^ /to redirect; }
		location /off { rewrite ^/off /y break; return 200; } location /part { if ($uri ~ part) { rewrite_log on; rewrite ^/none /z; } rewrite ^/other /z; return 200; } }`)
	s.Get("/on/a")
	s.Get("/off")
	s.Get("/part")
	log := s.Log.String()
	for _, want := range []string{`"^/on/(.*)$" matches "/on/a"`, `rewritten data: "/x/a", args: "k=v"`, `"^/none" does not match "/part"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, not := range []string{"/off", "/other", `"z"`} {
		if strings.Contains(log, `"`+not) || strings.Contains(log, not+`"`) {
			t.Errorf("the log has %q (want no %q and no %q in it):\n%s", not, `"`+not, not+`"`, log)
		}
	}
}

func TestARedirectIsLogged(t *testing.T) {
	s := start(t, `server { listen 80; rewrite_log on; if ($args ~* x) { rewrite ^ /to redirect; } }`)
	s.Get("/a?x")
	for _, want := range []string{`"x" matches "x"`, `rewritten redirect: "/to?x"`} {
		if !strings.Contains(s.Log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, s.Log)
		}
	}
}

func TestAVariableThatWasNotSetIsNamedOnceARequest(t *testing.T) {
	s := start(t, `server { listen 80;
		location /warn { return 200 "$x$x"; } location /quiet { uninitialized_variable_warn off; return 200 "$x"; }
		location /if { if ($uri) { uninitialized_variable_warn off; return 200 "$x"; } }
		location ~ ^/group(?<y>z)? { return 200 "$y"; } location /set { set $x 1; set $y 1; return 200 "$x"; } }`)
	for target, want := range map[string]int{"/warn": 1, "/quiet": 0, "/if": 0, "/group": 0, "/set": 0} {
		before := strings.Count(s.Log.String(), "using uninitialized")
		s.Get(target)
		if got := strings.Count(s.Log.String(), "using uninitialized") - before; got != want {
			t.Errorf("%s: %d warnings, want %d\n%s", target, got, want, s.Log)
		}
	}
	if !strings.Contains(s.Log.String(), `using uninitialized "x" variable`) {
		t.Errorf("the variable is not named (want %q in it):\n%s", `using uninitialized "x" variable`, s.Log)
	}
}

func TestASettingOfAnIfIsInEffectUntilTheLog(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{accesslog.Module(), Module(), header.Module(), content()}, Text: `
		log_format plain "$uri $mark"; access_log all.log plain;
		server { listen 80; location / { set $mark none; if ($arg_q) { access_log quiet.log plain; set $mark quiet; } if ($arg_off) { access_log off; } } }`})
	for _, target := range []string{"/a", "/b?q=1", "/c?off=1", "/d?q=1&off=1"} {
		s.Get(target)
	}
	for name, want := range map[string]string{"all.log": "/a none\n", "quiet.log": "/b quiet\n"} {
		proxytest.Eventually(t, func() bool { return read(t, dir, name) == want }, "%s is %q, want %q", name, read(t, dir, name), want)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"if { }":                            `alicorn.conf:1:21: directive "if" takes at least 1 argument`,
		"if $host { }":                      `alicorn.conf:1:24: invalid condition "$host"; it is`,
		"if ($host { }":                     `alicorn.conf:1:24: invalid condition "($host"; it is`,
		"if () { }":                         `invalid condition "()"`,
		"if ( ) { }":                        `invalid condition "("`,
		"if ($) { }":                        `invalid condition "$"`,
		"if (host = a) { }":                 `alicorn.conf:1:25: invalid condition "host"`,
		"if ($host =) { }":                  `invalid condition "$host"`,
		"if ($host = a b) { }":              `invalid condition "$host"`,
		"if ($ho-st = a) { }":               `unknown variable "$ho-st"`,
		"if ($host is a) { }":               `alicorn.conf:1:31: unexpected "is" in a condition; it is`,
		"if ($host ~ (a) { }":               `regular expression "(a": `,
		"if (-y a) { }":                     `invalid condition "-y"`,
		"if (-f) { }":                       `invalid condition "-f"`,
		"if (!f a) { }":                     `invalid condition "!f"`,
		"if ($nix) { }":                     `unknown variable "$nix"`,
		"if ($host = $nix) { }":             `unknown variable "$nix"`,
		"if (-f $nix) { }":                  `unknown variable "$nix"`,
		"if ($host) { listen 80; }":         `directive "listen" is not allowed in "if"`,
		"if ($host) { location / { } }":     `directive "location" is not allowed in "if"`,
		"if ($host) { if ($uri) { } }":      `directive "if" is not allowed in "if"`,
		"if ($host) { error_page 404 /x; }": `(allowed in: http, server, location, if in location)`,
		"set $x;":                           "argument",
		"set x y;":                          `alicorn.conf:1:25: invalid variable name "x"`,
		"set $ y;":                          `invalid variable name "$"`,
		"set ${x} y;":                       `invalid variable name "${x}"`,
		"set $2 y;":                         `"$2" is a capture`,
		"set $host y;":                      `"$host" is the server's own`,
		"set $HOST y;":                      `"$host" is the server's own`,
		"set $x $nix;":                      `unknown variable "$nix"`,
		"rewrite ^/a;":                      "argument",
		"rewrite (a b;":                     `alicorn.conf:1:29: regular expression "(a": `,
		`rewrite a "";`:                     `empty replacement`,
		"rewrite a b c;":                    `alicorn.conf:1:33: invalid flag "c" of rewrite; it is last, break, redirect or permanent`,
		"rewrite a $nix;":                   `unknown variable "$nix"`,
		"rewrite a b?$nix;":                 `unknown variable "$nix"`,
		"rewrite (?<host>a) b;":             `"$host" is the server's own`,
		"break x;":                          "no arguments",
		"rewrite_log maybe;":                "maybe",
		"if ($host) { return 999999; }":     `invalid return code`,
		"location / { if ($a~b) { } }":      `alicorn.conf:1:38: invalid condition "$a~b"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), content()}, Text: "server { listen 80; " + text + " }"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestBacktrackingIsNoted(t *testing.T) {
	for _, text := range []string{`rewrite ^/(?!a) /b;`, `if ($uri ~ (?!a)b) { }`} {
		warnings, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), content()}, Text: "server { listen 80; " + text + " }"})
		if err != nil || len(warnings) != 1 || !warnings[0].Verbose || !strings.Contains(warnings[0].Msg, "needs backtracking") {
			t.Errorf("%s: %v, %v; want one, verbose, that it needs backtracking", text, warnings, err)
		}
	}
}

func TestRewritingWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Allocates|Random") }
