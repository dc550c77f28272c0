package appserver

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/appserver/pool"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// fileName matches the configuration file's name in messages.
var fileName = regexp.MustCompile(`\S*/alicorn\.conf`)

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "bad.env"), []byte("A=1\nLD_PRELOAD=/x\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "python"), []byte("#!/bin/sh\n"), 0o600)
	for _, c := range []struct{ text, want string }{
		{"app a { }", `1:1: app "a" has no "wsgi" and no "asgi"`},
		{"app a { wsgi x; asgi y; }", `1:17: app "a" has "wsgi" too, at FILE:1:9; "asgi y for websocket;" is for its WebSockets`},
		{"app a { asgi y for websocket; }", `app "a" has no "wsgi" for other requests; "asgi y;" is for all of them`},
		{"app a { asgi y for http; }", `invalid parameter "for" of asgi`},
		{"app a { asgi y of websocket; }", `invalid parameter "of" of asgi: after the application it takes only "for websocket"`},
		{"app a { asgi ''; }", `invalid application "": asgi takes a module`},
		{"app a { asgi x; threads 2; }", `1:17: "threads" belongs to "wsgi", and this app has only "asgi", at FILE:1:9`},
		{"app a { asgi x; heartbeat 2; }", `"heartbeat" belongs to "wsgi"`},
		{"app a { wsgi x; concurrency 2; }", `"concurrency" belongs to "asgi", and this app has only "wsgi", at FILE:1:9`},
		{"app a { wsgi x; drain_timeout 2; }", `"drain_timeout" belongs to "asgi"`},
		{"app a { wsgi x; asgi_workers 2; }", `"asgi_workers" is for an app with both "wsgi" and "asgi"`},
		{"app a { asgi x; asgi_workers 2; }", `"asgi_workers" is for an app with both "wsgi" and "asgi"`},
		{"app a { asgi x; concurrency 0; }", "from 1 to 65000"},
		{"app a { asgi x; concurrency 65001; }", "from 1 to 65000"},
		{"app a { asgi x; stall_timeout 0; }", "longer than 0"},
		{"app a { asgi x; loop trio; }", `"trio" is not one of "auto", "asyncio", "uvloop"`},
		{"app a { asgi x; lifespan maybe; }", `"maybe" is not one of "auto", "on", "off"`},
		{"app a { asgi x; root_path api; }", `invalid root_path "api"`},
		{"app a { asgi x; root_path /; }", `invalid root_path "/"`},
		{"app a { wsgi x; } server { listen 127.0.0.1:1; location / { app_pass a asgi; } }", `app "a", at FILE:1:1, has no "asgi"`},
		{"app a { wsgi x; } server { listen 127.0.0.1:1; location / { app_pass a wsgi; } }", `invalid parameter "wsgi" of app_pass`},
		{"app a { wsgi x; directory DIR/none; }", "none does not exist"},
		{"app a { wsgi x; directory DIR/bad.env; }", "is not a directory"},
		{"app a { wsgi x; python DIR/none; }", "1:24: app \"a\": python DIR/none does not exist"},
		{"app a { wsgi x; python DIR/python; }", "is not an executable file"},
		{"app a { wsgi x; virtualenv nowhere; }", `no environment "nowhere"`},
		{"app a { wsgi x; workers none; }", `"auto" or a whole number`},
		{"app a { wsgi x; workers 0; }", `"auto" or a whole number`},
		{"app a { wsgi x; threads 0; }", "from 1 to"},
		{"app a { wsgi x; timeout 0; }", "longer than 0"},
		{"app a { wsgi x; timeout soon; }", "not a time"},
		{"app a { wsgi x; max_requests many; }", "not a whole number"},
		{"app a { wsgi x; user nobody-has-this-name; }", "there is no user"},
		{"app a { wsgi x; group nobody-has-this-name; }", "there is no group"},
		{"app a { wsgi x; env NAME; }", "NAME VALUE or NAME=VALUE"},
		{"app a { wsgi x; env 1A=2; }", "invalid name"},
		{"app a { wsgi x; env_file DIR/none.env; }", "cannot read env_file"},
		{"app a { wsgi x; env_file DIR/bad.env; }", "bad.env:2: a name that begins with LD_"},
		{"app a { wsgi x; least_conn; round_robin; }", "both"},
		{"app a { wsgi x; worker 2; }", `unknown directive "worker"`},
		{"app a { wsgi x; } app a { wsgi y; }", `app "a" is duplicate`},
		{"app shop { wsgi x; } server { listen 127.0.0.1:1; location / { app_pass shpo; } }", `there is no app "shpo"`},
		{"app_buffers 0 8k;", "from 1 to 65536"},
		{"app_buffers 65537 8k;", "from 1 to 65536"},
		{"app_buffers 8 2g;", "a size from 1 to 1g"},
		{"app a { wsgi x; workers +2; }", `"auto" or a whole number`},
		{"app a { wsgi x; workers 18446744073709551617; }", `"auto" or a whole number`},
		{"app a { wsgi x; threads 4294967297; }", "from 1 to"},
		{"app a { wsgi x; timeout 101y; }", "too long"},
		{"app a { wsgi x; max_requests 4294967297; }", "not a whole number"},
		{"app a { wsgi x; user -1; }", "there is no user"},
		{"app a { wsgi x; user 4294967295; }", "there is no user"},
		{"app a { wsgi x; user 4294967296; }", "there is no user"},
		{"app a { wsgi x; group 4294967296; }", "there is no group"},
	} {
		text := strings.ReplaceAll(c.text, "DIR", dir)
		_, err := proxytest.Check(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(NewRuntime(Options{}), nil)}})
		if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.Contains(fileName.ReplaceAllString(err.Error(), "FILE"), want) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, err, want)
		}
	}
}

func TestSettingsReachTheApp(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "a.env"), []byte("B=file\nC=file\n"), 0o600)
	text := fmt.Sprintf(`app a { wsgi m:app; directory %s; python /usr/bin/python3; user root; workers 3; threads 4; timeout 5s; graceful_timeout 6s;
		startup_timeout 7s; queue_timeout 8s; backlog 9; max_requests 10 11; round_robin; env A 1; env B=2; env_file %s/a.env; env C=3; }`, dir, dir)
	all := Apps(proxytest.Scope(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(NewRuntime(Options{}), nil)}}))
	a := all[0]
	if a.Workers != 3 || a.Threads != 4 || a.Timeout != 5*time.Second || a.GracefulTimeout != 6*time.Second || a.StartupTimeout != 7*time.Second ||
		a.QueueTimeout != 8*time.Second || a.Backlog != 9 || a.MaxRequests != 10 || a.MaxJitter != 11 || a.Balance != pool.RoundRobin {
		t.Errorf("%+v", a)
	}
	c, err := a.Command()
	if err != nil || c.Path != "/usr/bin/python3" || c.Dir != dir || c.Switch {
		t.Errorf(`%+v, %v; want Path "/usr/bin/python3", Dir %v and Switch false`, c, err, dir)
	}
	for _, want := range []string{"A=1", "B=file", "C=3", "PYTHONUNBUFFERED=1"} {
		if !slices.Contains(c.Env, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
}

func TestTheUserIsTheDirectorysOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can change users; what others get is tested by the mistakes")
		return
	}
	owned := t.TempDir()
	if err := os.Chown(owned, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings string
		switches bool
		uid      int
	}{
		{"directory " + owned, true, 1234},
		{"user root; directory " + owned, false, 0},
		{"directory " + t.TempDir(), true, 65534}, // nobody: root only when written
	} {
		all := Apps(proxytest.Scope(t, proxytest.Config{Text: "app a { wsgi m:app; python /usr/bin/python3; " + c.settings + "; }", Modules: []proxy.Module{Module(NewRuntime(Options{}), nil)}}))
		cmd, err := all[0].Command()
		if err != nil || cmd.Switch != c.switches || cmd.UID != c.uid {
			t.Errorf("%s: switch %v, uid %d, %v; want %v and %d", c.settings, cmd.Switch, cmd.UID, err, c.switches, c.uid)
		}
	}
}

func TestDotenv(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		err  string
	}{
		{"A=1\nB = two words # comment\n\n# c\nexport C=3", []string{"A=1", "B=two words", "C=3"}, ""},
		{"A='l $x \\n'\nB=\"a\\nb \\\"q\\\"\"", []string{"A=l $x \\n", "B=a\nb \"q\""}, ""},
		{"A=\"one\ntwo\" # c\nB=x#y", []string{"A=one\ntwo", "B=x#y"}, ""},
		{"A=\nB=#c", []string{"A=", "B="}, ""},
		{"exported=1", []string{"exported=1"}, ""},
		{"A=1\nnothing", nil, "2: the line is not NAME=VALUE"},
		{"A=\"x", nil, "1: the closing \" is missing"},
		{"A='x' y", nil, "only a comment may follow the closing quote"},
		{"1A=x", nil, "not the name"},
		{"A=1\n\nB=\"a\nb\"\nC=\"x\x00\"", nil, "5: the value contains a NUL byte"},
		{"DYLD_INSERT_LIBRARIES=x", nil, "refused"},
	} {
		got, _, err := parseDotenv(c.text, nil)
		if c.err == "" && (err != nil || !slices.Equal(got, c.want)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: got %q, %v, want %q, %q", c.text, got, err, c.want, c.err)
		}
	}
}

func TestReferencesInAnEnvFile(t *testing.T) {
	known := []string{"DB=old", "DB=shop", "EMPTY="}
	for _, c := range []struct {
		text  string
		want  []string
		unset []int
	}{
		{"U=me\nURL=postgres://${U}:pw@${DB}/x", []string{"U=me", "URL=postgres://me:pw@shop/x"}, nil},
		{"A=\"${DB}\" # c\nB='${DB}'\nC=\"\\${DB}\"", []string{"A=shop", "B=${DB}", "C=${DB}"}, nil},
		{"DB=mine\nA=${DB}\nDB=${DB}2", []string{"DB=mine", "A=mine", "DB=mine2"}, nil},
		{"A=${EMPTY}x\nB=${EMPTY:-none}\nC=${NO:-a b}\nD=${NO:-}", []string{"A=x", "B=none", "C=a b", "D="}, nil},
		{"A=1\nB=${NO}x${NEITHER}", []string{"A=1", "B=x"}, []int{2, 2}},
		{"A=\"${DB:-x\" # }\nB=\"${DB\"", []string{"A=${DB:-x", "B=${DB"}, nil},
		{"A=pa$$word$DB\nB=${\nC=${}\nD=${DB:x}\nE=\"$\"", []string{"A=pa$$word$DB", "B=${", "C=${}", "D=${DB:x}", "E=$"}, nil},
	} {
		got, unset, err := parseDotenv(c.text, known)
		if err != nil || !slices.Equal(got, c.want) || !slices.Equal(unset, c.unset) {
			t.Errorf("%q: %q, lines %v, %v; want %q, %v", c.text, got, unset, err, c.want, c.unset)
		}
	}
	var b strings.Builder
	b.WriteString("A0=xxxxxxxx\n")
	for i := range 60 {
		fmt.Fprintf(&b, "A%d=${A%d}${A%d}\n", i+1, i, i)
	}
	if _, _, err := parseDotenv(b.String(), nil); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf(`values that double were taken: %v; want an error with "longer than"`, err)
	}
}

func TestMistakesInAnEnvFileTellNoSecret(t *testing.T) {
	for _, text := range []string{"hunter2", "hunter2 hunter2=1", "=hunter2", "A='hunter2' hunter2", "A=\"hunter2", "LD_hunter2=hunter2", "A=hunter2\x00", "A=b\n-----hunter2-----", "\x00hunter2"} {
		if _, _, err := parseDotenv(text, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v; want one without the text", text, err)
		}
	}
}

func TestTheInterpreterIsTheFirstThatExists(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	env := func(path string) string {
		os.MkdirAll(filepath.Join(path, "bin"), 0o755)
		os.WriteFile(filepath.Join(path, "bin/python"), []byte("#!/bin/sh\n"), 0o755)
		return path
	}
	env(filepath.Join(home, ".virtualenvs/shop"))
	none := func(string) string { return "" }
	find := func(s search) string {
		s.directory, s.home = dir, home
		if s.getenv == nil {
			s.getenv = none
		}
		in, err := findInterpreter(s)
		if err != nil {
			return err.Error()
		}
		return in.Path
	}
	steps := []struct {
		name, want string
		s          search
		prepare    string
	}{
		{"PATH", "python3", search{}, ""},
		{"venv", dir + "/venv/bin/python", search{}, "venv"},
		{".venv before venv", dir + "/.venv/bin/python", search{}, ".venv"},
		{"$VIRTUAL_ENV before .venv", dir + "/active/bin/python", search{getenv: func(string) string { return dir + "/active" }}, "active"},
		{"virtualenv by name", home + "/.virtualenvs/shop/bin/python", search{virtualenv: "shop"}, ""},
		{"virtualenv by path", dir + "/active/bin/python", search{virtualenv: "./active"}, ""},
		{"virtualenv that is missing", "there is no environment \"none\" in " + home + "/.virtualenvs, and " + dir + "/none has no bin/python", search{virtualenv: "none"}, ""},
		{"python by name of an environment", home + "/.virtualenvs/shop/bin/python", search{python: "shop"}, ""},
		{"python that is missing", "does not exist", search{python: "./none"}, ""},
	}
	for _, c := range steps {
		if c.prepare != "" {
			env(filepath.Join(dir, c.prepare))
		}
		if got := find(c.s); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestQuotasOfAnyNumber(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"max 100000", 0}, {"0 100000", 0}, {"-1 100000", 0}, {"100000 0", 0}, {"100001 100000", 2},
		{"9223372036854775807 100000", 92233720368548}, {"9223372036854775808 100000", 0},
	} {
		root := t.TempDir()
		os.WriteFile(filepath.Join(root, "cpu.max"), []byte(c.text), 0o600)
		if got := quotaCPUs(root, "/"); got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
	}
}

func TestAutoWorkersFollowTheQuota(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(filepath.Join(root, "a/b"), 0o755)
	if n := quotaCPUs(root, "/a/b"); n != 0 {
		t.Errorf("without a quota: %d; want 0", n)
	}
	os.WriteFile(filepath.Join(root, "a/cpu.max"), []byte("250000 100000\n"), 0o644)
	os.WriteFile(filepath.Join(root, "a/b/cpu.max"), []byte("max 100000\n"), 0o644)
	if n := quotaCPUs(root, "/a/b"); n != 3 {
		t.Errorf("with 2.5 CPUs: %d, want 3", n)
	}
}
