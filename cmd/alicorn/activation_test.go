package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// A service manager's sockets take the place of --bind.
func TestServeListensOnSocketsThatItIsGiven(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", " -b 127.0.0.1:1", " -b fd://3"} {
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		file := listeningFile(t, sock)
		write(t, dir, "app.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n")
		command := `export LISTEN_PID=$$; exec "$0" serve -w 1 --error-logfile error.log` + args + ` app:app`
		cmd := startCommand(t, dir, []*os.File{file}, []string{"/bin/sh", "-c", command, ownProgram(t)}, "LISTEN_FDS=1")
		if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "served") {
			t.Errorf(`%q: answered %q; want "served" at its end`, args, answer)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: the end: %v", args, err)
		}
		said, _ := os.ReadFile(filepath.Join(dir, "stderr"))
		if noted := strings.Contains(string(said), `"127.0.0.1:1" is not listened on`); noted != strings.Contains(args, "127") {
			t.Errorf("%q: said %s; want noted %v", args, said, strings.Contains(args, "127"))
		}
	}
}

func TestADescriptorThatWasNotGivenIsRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, bind := range []string{"fd://7", "fd://x", "fd://"} {
		f := newLayer("serve", "")
		if err := f.set.Parse([]string{"-b", bind}); err != nil {
			t.Fatal(err)
		}
		if err := f.bindDescriptors(map[int]string{3: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), "--bind: \""+bind+"\" is none of the listening sockets") {
			t.Errorf("%s: %v; want an error with %q", bind, err, "--bind: \""+bind+"\" is none of the listening sockets")
		}
	}
}

// A program that takes over has its sockets of the one before it, and knows
// which of them were the service manager's.
func TestActivationOutlivesAnUpgrade(t *testing.T) {
	t.Setenv(activatedEnv, "unix:/run/a b.sock\n127.0.0.1:80")
	for _, c := range []struct{ takesOver, want string }{{"3", "unix:/run/a b.sock 127.0.0.1:80"}, {"", "127.0.0.1:1"}} {
		t.Setenv(upgradeEnv, c.takesOver)
		f := newLayer("serve", "")
		if err := f.set.Parse([]string{"-b", "127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
		if err := f.activate(); err != nil || strings.Join(f.binds, " ") != c.want {
			t.Errorf("listens on %q, %v, want %s", f.binds, err, c.want)
		}
	}
}

// What whoever starts the program has open, such as a pipe of root's shell, no application gets.
func TestApplicationsHaveNoDescriptorOfTheShell(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "app.py", `import os
def app(environ, start_response):
    start_response('200 OK', [])
    names = []
    for fd in os.listdir('/proc/self/fd'):
        try:
            names.append(os.readlink('/proc/self/fd/' + fd))
        except OSError:
            pass
    return [' '.join(names + ['and no more']).encode()]
`)
	sock := filepath.Join(dir, "web.sock")
	cmd := startCommand(t, dir, slices.Repeat([]*os.File{w}, 100), []string{ownProgram(t), "serve", "-w", "1", "-b", "unix:" + sock, "--error-logfile", "error.log", "app:app"}, "A=b")
	answer := awaitAnswer(t, sock)
	if !strings.HasSuffix(answer, "and no more") || strings.Contains(answer, pipe) {
		t.Errorf("the application has %s; want no %s", answer, pipe)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
