package appserver

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// frontModule has the directive "front UID NAME [default]".
func frontModule() proxy.Module {
	k := config.NewKey(func() struct{} { return struct{}{} })
	return proxy.Module{Name: "front", Settings: k, Directives: []config.Directive{
		{Name: "front", In: config.Main, Args: config.SomeArg, Help: "whom the front runs as", Set: func(s *config.Scope, n *config.Node) error {
			uid, err := strconv.Atoi(n.Arg(0))
			f := Front{UID: uid, Name: n.Arg(1), Pos: n.Args[0].Pos}
			if n.Arg(2) == "default" {
				f.Pos = config.Pos{}
			}
			SetFront(s.Load(), func(*config.Scope) []Front { return []Front{f} })
			return err
		}},
	}}
}

func TestNoWorkerHasTheFrontsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("workers of a server that is not root are its own user's")
		return
	}
	if _, err := user.Lookup(AppUser); err == nil {
		t.Log("this system has the user that nobody stands in for")
		return
	}
	owned, rooted := t.TempDir(), t.TempDir()
	if err := os.Chown(owned, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		front, settings string
		uid             int
		mistake         string
	}{
		{"33 www-data", "directory " + owned, 1234, ""},
		{"33 www-data", "directory " + rooted, 65534, ""},
		{"1234 shop", "user daemon; directory " + owned, 1, ""},
		{"65534 nobody default", "directory " + rooted, 65533, ""},
		{"65534 nobody", "directory " + rooted, 0,
			`2:56: app "a" (FILE:2:1) would run as "nobody", since ` + rooted + ` belongs to root and there is no user "alicorn-app", and so does the front ("nobody" by the user directive at FILE:1:7)`},
		{"1234 shop", "directory " + owned, 0,
			`2:56: app "a" (FILE:2:1) would run as "1234", the owner of ` + owned + `, and so does the front ("shop" by the user directive at FILE:1:7)`},
		{"1 daemon", "user daemon", 0, `2:51: app "a"`},
		{"1 daemon default", "user daemon", 0, `("daemon" by default)`},
		{"0 root", "user root", 0, `would run as "root"`},
	} {
		text := "front " + c.front + ";\napp a { wsgi m:app; python /usr/bin/python3; " + c.settings + "; }"
		config := proxytest.Config{Text: text, Modules: []proxy.Module{frontModule(), Module(NewRuntime(Options{}), nil)}}
		if c.mistake != "" {
			_, err := proxytest.Check(t, config)
			if err == nil {
				t.Errorf("%s; %s: got no error, want one", c.front, c.settings)
				continue
			}
			file, _, _ := strings.Cut(err.Error(), ":")
			if want := strings.ReplaceAll(c.mistake, "FILE", file); !strings.Contains(err.Error(), want) {
				t.Errorf("%s; %s: %v, want %s", c.front, c.settings, err, want)
			}
			continue
		}
		cmd, err := Apps(proxytest.Scope(t, config))[0].Command()
		if err != nil || cmd.UID != c.uid || !cmd.Switch {
			t.Errorf("%s: uid %d, switch %v, %v; want uid %d", c.settings, cmd.UID, cmd.Switch, err, c.uid)
		}
	}
}

func TestWorkersInheritWhatTheOperatorGave(t *testing.T) {
	given := []string{"PATH=/bin", "DATABASE_URL=postgres:", "LANG=C.UTF-8", "LD_PRELOAD=/jemalloc.so", "AWS_REGION=x"}
	own := []string{"NOTIFY_SOCKET=/x", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=a", "ALICORN_WIRE=3", "ALICORN_UPGRADE=4", "WATCHDOG_USEC=1", "VIRTUAL_ENV=/x"}
	session := []string{"HOME=/root", "USER=root", "LOGNAME=root", "MAIL=/x", "SHELL=/bin/sh", "SUDO_USER=me", "SUDO_COMMAND=x", "XDG_RUNTIME_DIR=/run/user/0",
		"SSH_AUTH_SOCK=/x", "SSH_CONNECTION=1", "DBUS_SESSION_BUS_ADDRESS=x", "LS_COLORS=x", "CREDENTIALS_DIRECTORY=/x", "STATE_DIRECTORY=/x", "PWD=/root"}
	all := slices.Concat(given, own, session)
	if got := inherited(all, true); !slices.Equal(got, given) {
		t.Errorf("of root's: %q; want %q", got, given)
	}
	if got := inherited(all, false); !slices.Equal(got, slices.Concat(given, session)) {
		t.Errorf("of another user's: %q; want %q", got, slices.Concat(given, session))
	}
}

func TestAWorkersHomeIsItsUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can change users")
		return
	}
	rt := NewRuntime(Options{Environ: []string{"HOME=/root", "USER=root", "A=1", "SUDO_UID=0"}})
	for name, home := range map[string]string{"daemon": "/usr/sbin", "root": "/root"} {
		text := fmt.Sprintf("app a { wsgi m:app; python /usr/bin/python3; user %s; }", name)
		cmd, err := Apps(proxytest.Scope(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(rt, nil)}}))[0].Command()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(cmd.Env)
		if want := []string{"A=1", "HOME=" + home, "LOGNAME=" + name, "PYTHONUNBUFFERED=1", "USER=" + name}; !slices.Equal(cmd.Env, want) {
			t.Errorf("%q, want %q", cmd.Env, want)
		}
	}
}

func TestNoInterpreterOfTheCurrentFolderIsTaken(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("python3", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", ":.:bin:/usr/bin")
	in, err := findInterpreter(search{directory: "/", getenv: func(string) string { return "" }})
	if err != nil || in.Path != "/usr/bin/python3" {
		t.Errorf(`%q, %v; want "/usr/bin/python3"`, in.Path, err)
	}
}
