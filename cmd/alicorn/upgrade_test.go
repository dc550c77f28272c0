package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// upgraded is a server whose binary the test replaces.
type upgraded struct {
	t        *testing.T
	dir, exe string
	dials    []func() (net.Conn, error) // ways to reach it
	messages *messages
	cmd      *exec.Cmd
}

const upgradedApp = "import os\ndef app(environ, start_response):\n    start_response('200 OK', [('Content-Length', '6')])\n    return [b'served']\n"

// startUpgraded starts a server on three kinds of socket; variables are added
// to its environment.
func startUpgraded(t *testing.T, master string, variables ...string) *upgraded {
	t.Helper()
	u := &upgraded{t: t, dir: proxytest.PublicDir(t)}
	u.exe = filepath.Join(u.dir, "alicorn")
	u.install(ownProgram(t))
	plain, secure, unix := freeAddress(t), freeAddress(t), filepath.Join(u.dir, "web.sock")
	certificate := proxytest.WriteCertificate(t, u.dir, "web", proxytest.Certificate{Names: []string{"test"}})
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	u.dials = []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", plain) },
		func() (net.Conn, error) { return net.Dial("unix", unix) },
		func() (net.Conn, error) {
			return tls.Dial("tcp", secure, &tls.Config{RootCAs: trusted, ServerName: "test"})
		},
	}
	write(t, u.dir, "app.py", upgradedApp)
	write(t, u.dir, "alicorn.conf", master+"error_log error.log notice;\npid alicorn.pid;\n"+
		"app web { wsgi app:app; workers 1; python /usr/bin/python3; directory "+u.dir+"; }\n"+
		"server { listen "+plain+"; listen unix:"+unix+"; listen "+secure+" ssl; ssl_certificate web.crt; ssl_certificate_key web.key; location / { app_pass web; } }\n")
	address := filepath.Join(u.dir, "notify.sock")
	u.messages = listenAsManager(t, address)
	t.Cleanup(u.stop)
	u.cmd = startWith(t, u.exe, u.dir, nil, append([]string{"NOTIFY_SOCKET=" + address, "WATCHDOG_USEC=200000"}, variables...)...)
	awaitText(t, u.messages, `READY=1\n`)
	return u
}

// freeAddress is one whose port nothing uses, and nothing will that does not name
// it: the kernel gives ports from 32768 on to clients, and a port of which one
// address is a client's cannot be bound for all.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no port is free")
	return ""
}

// install puts the program at the server's place, as a package manager does.
func (u *upgraded) install(program string) {
	u.t.Helper()
	text, err := os.ReadFile(program)
	if err == nil {
		err = writeProgram(u.exe, text)
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

// verb runs the program from this test's binary.
func (u *upgraded) verb(args ...string) (string, error) {
	cmd := exec.Command(ownProgram(u.t), append(args, "-c", "alicorn.conf")...)
	cmd.Dir = u.dir
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+u.dir+"/run")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stop ends whichever server runs.
func (u *upgraded) stop() { _, _ = u.verb("stop") }

func (u *upgraded) pid() int {
	u.t.Helper()
	pid, err := readPID(filepath.Join(u.dir, "alicorn.pid"))
	if err != nil {
		u.t.Fatal(err)
	}
	return pid
}

// load sends requests until the returned function is called, which gives the
// number of answers and the first failure.
func (u *upgraded) load() (end func() (int, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var answers int
	var first error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		answers++
		if err != nil && first == nil {
			first = err
		}
	}
	for _, dial := range u.dials {
		wg.Go(func() { newConnections(ctx, dial, note) })
		for range keptClients {
			wg.Go(func() { keepAlive(ctx, dial, note) })
		}
	}
	return func() (int, error) {
		cancel()
		wg.Wait()
		return answers, first
	}
}

func newConnections(ctx context.Context, dial func() (net.Conn, error), note func(error)) {
	for ctx.Err() == nil {
		note(func() error {
			nc, err := dial()
			if err != nil {
				return err
			}
			defer nc.Close()
			_, err = oneRequest(nc, bufio.NewReader(nc))
			return err
		}())
		time.Sleep(time.Millisecond)
	}
}

// keepAlive sends requests on one connection until the server says that it
// closes it (RFC 9112, 9.6). A connection that the server closes between two
// requests without having said so has lost the one that was on its way.
func keepAlive(ctx context.Context, dial func() (net.Conn, error), note func(error)) {
	for ctx.Err() == nil {
		nc, err := dial()
		if err != nil {
			note(err)
			continue
		}
		r := bufio.NewReader(nc)
		for ctx.Err() == nil {
			closing, err := oneRequest(nc, r)
			note(err)
			if err != nil || closing {
				break
			}
			time.Sleep(time.Millisecond)
		}
		nc.Close()
	}
}

// keptClients is how many connections of each kind send requests all the time.
const keptClients = 4

// oneRequest sends a request and reads its answer. closing: it is the last one.
func oneRequest(nc net.Conn, r *bufio.Reader) (closing bool, err error) {
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		return false, err
	}
	status := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false, err
		}
		if status == "" {
			status = strings.TrimSpace(line)
		}
		closing = closing || strings.EqualFold(strings.TrimSpace(line), "Connection: close")
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, 6)
	if _, err := io.ReadFull(r, body); err != nil {
		return closing, err
	}
	if status != "HTTP/1.1 200 OK" || string(body) != "served" {
		return closing, fmt.Errorf("answer %q %q", status, body)
	}
	return closing, nil
}

func TestAnUpgradeLosesNoRequest(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master)
		before := u.pid()
		end := u.load()
		u.install(ownProgram(t))
		if out, err := u.verb("upgrade"); err != nil {
			t.Fatalf("upgrade: %v: %s", err, out)
		}
		after := u.pid()
		if after == before {
			t.Errorf("%s: the pid file still names %d", master, before)
		}
		if err := u.cmd.Wait(); err != nil {
			t.Errorf("the end of the old server: %v", err)
		}
		u.gone("alicorn.pid" + oldPID)
		// Once more, by signal, on sockets that were inherited.
		if err := syscall.Kill(after, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		awaitCondition(t, "the second upgrade does not end", func() bool { return hasEnded(after) })
		u.gone("alicorn.pid" + oldPID)
		awaitAnswer(t, filepath.Join(u.dir, "web.sock"))
		n, err := end()
		if err != nil || n < 50 {
			t.Errorf("%s: %d requests, the first failure: %v; want at least 50", master, n, err)
		}
		third := u.pid()
		awaitText(t, u.messages, fmt.Sprintf(`(?s)MAINPID=%d\n--\n.*READY=1\n.*MAINPID=%d\n--\n.*READY=1\n.*WATCHDOG=1\n`, after, third))
		if strings.Contains(u.messages.String(), "STOPPING=1") {
			t.Errorf("the service manager was told %q, want no STOPPING=1", u.messages)
		}
		if out, err := u.verb("stop"); err != nil {
			t.Errorf("stop: %v: %s", err, out)
		}
		u.gone("alicorn.pid")
		u.gone("web.sock")
	}
}

// The service manager counts from the last sign of life. Upgrades that follow
// each other quickly must not add up to a silence.
func TestAnUpgradedServerGivesASignOfLifeAtOnce(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master, "WATCHDOG_USEC=600000000")
		if out, err := u.verb("upgrade"); err != nil {
			t.Fatalf("upgrade: %v: %s", err, out)
		}
		awaitText(t, u.messages, fmt.Sprintf(`(?s)MAINPID=%d\n--\n.*WATCHDOG=1\n`, u.pid()))
	}
}

// Where nothing can be written, as in a container or on a full disk, there is
// no control socket, but a signal upgrades all the same.
func TestAnUpgradeNeedsNoFolders(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master, "RUNTIME_DIRECTORY=/proc/run", "STATE_DIRECTORY=/proc/state", "CACHE_DIRECTORY=/proc/cache")
		first := u.pid()
		end := u.load()
		u.install(ownProgram(t))
		if err := syscall.Kill(first, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		if err := u.cmd.Wait(); err != nil {
			t.Errorf("%s: the end of the old server: %v", master, err)
		}
		second := u.pid()
		awaitAnswer(t, filepath.Join(u.dir, "web.sock"))
		if n, err := end(); err != nil || n < 50 {
			t.Errorf("%s: %d requests, the first failure: %v; want at least 50", master, n, err)
		}
		if err := syscall.Kill(second, syscall.SIGTERM); err != nil || second == first {
			t.Errorf("%s: the pid file named %d, then %d: %v", master, first, second, err)
		}
		u.gone("alicorn.pid")
	}
}

// gone waits until the file is not there.
func (u *upgraded) gone(name string) {
	u.t.Helper()
	awaitCondition(u.t, name+" is there still", func() bool {
		_, err := os.Stat(filepath.Join(u.dir, name))
		return os.IsNotExist(err)
	})
}

// brokenUpgrades are what a new program may fail by: the file that is wrong,
// what is in it, and what is told.
var brokenUpgrades = []struct{ name, file, text, want string }{
	{"a file that is no program", "alicorn", "\x7fELFgarbage", "cannot start the new program: "},
	{"a program that ends", "alicorn", "#!/bin/sh\nexit 7\n", "the new program ended before it served: exit status 7"},
	{"a mistake in the configuration", "alicorn.conf", "sever { }", `unknown directive "sever"`},
	{"an application that does not start", "app.py", "raise RuntimeError('broken on purpose')", "broken on purpose"},
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master)
		conf, err := os.ReadFile(filepath.Join(u.dir, "alicorn.conf"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(u.exe, u.exe+".old"); err != nil { // as an administrator keeps the old program
			t.Fatal(err)
		}
		end := u.load()
		for _, tc := range brokenUpgrades {
			u.install(ownProgram(t))
			if tc.file == "alicorn" {
				write(t, u.dir, "broken", tc.text)
				u.install(filepath.Join(u.dir, "broken"))
			} else {
				write(t, u.dir, tc.file, tc.text)
			}
			u.fails(master+tc.name, tc.want)
			write(t, u.dir, "alicorn.conf", string(conf))
			write(t, u.dir, "app.py", upgradedApp)
		}
		u.gone("alicorn.pid" + oldPID)
		if _, err := os.Stat(filepath.Join(u.dir, "web.sock")); err != nil {
			t.Errorf("%s: %v", master, err)
		}
		if strings.Contains(u.messages.String(), "MAINPID=") {
			t.Errorf("the service manager was told %q, want nothing of the server that failed", u.messages)
		}
		if n, err := end(); err != nil || n < 50 {
			t.Errorf("%s: %d requests, the first failure: %v; want at least 50", master, n, err)
		}
		if out, err := u.verb("reload"); err != nil {
			t.Errorf("%s: a reload afterwards: %v: %s", master, err, out)
		}
	}
}

// An application that does not come up keeps no other from the new program.
func TestAnUpgradeGoesOnWithoutABrokenApp(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master)
		conf, err := os.ReadFile(filepath.Join(u.dir, "alicorn.conf"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, u.dir, "bad.py", "raise RuntimeError('broken on purpose')")
		write(t, u.dir, "alicorn.conf", "app bad { wsgi bad:app; workers 1; python /usr/bin/python3; directory "+u.dir+"; }\n"+
			strings.Replace(string(conf), "location / {", "location = /bad { app_pass bad; } location / {", 1))
		before := u.pid()
		end := u.load()
		out, err := u.verb("upgrade")
		if err != nil || !strings.Contains(out, `app "bad" did not come up: cannot import bad: RuntimeError: broken on purpose`) {
			t.Errorf("%s: upgrade: %v: %s; want %q in it", master, err, out, `app "bad" did not come up: cannot import bad: RuntimeError: broken on purpose`)
		}
		if err := u.cmd.Wait(); err != nil || u.pid() == before {
			t.Errorf("%s: the old server (%d) has not ended: %v", master, before, err)
		}
		if n, err := end(); err != nil || n < 50 {
			t.Errorf("%s: %d requests, the first failure: %v; want at least 50", master, n, err)
		}
		if got := u.get("/bad"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Errorf(`%s: the broken application answers %q; want "HTTP/1.1 503 " at its beginning`, master, got)
		}
		log, _ := os.ReadFile(filepath.Join(u.dir, "error.log"))
		if !strings.Contains(string(log), `app "bad" did not come up`) {
			t.Errorf("%s: the log does not name the application: %s; want %q in it", master, log, `app "bad" did not come up`)
		}
	}
}

// get returns the status line of an answer on the first socket.
func (u *upgraded) get(path string) string {
	u.t.Helper()
	nc, err := u.dials[0]()
	if err != nil {
		u.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path)
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		u.t.Error(err)
	}
	return line
}

// fails asks for an upgrade that must be refused with the words wanted.
func (u *upgraded) fails(name, want string) {
	u.t.Helper()
	before := u.pid()
	out, err := u.verb("upgrade")
	if err == nil || !strings.Contains(out, want) {
		u.t.Errorf("%s: %v: %s; want %q", name, err, out, want)
	}
	log, _ := os.ReadFile(filepath.Join(u.dir, "error.log"))
	if !strings.Contains(string(log), "upgrade failed, the old program goes on: ") || !strings.Contains(string(log), want) {
		u.t.Errorf(`%s: the log does not tell: %s; want "upgrade failed, the old program goes on: " and %q in it`, name, log, want)
	}
	if out, err := u.verb("status"); err != nil || !strings.Contains(out, "the last upgrade failed at ") {
		u.t.Errorf(`%s: the status does not tell: %v: %s; want "the last upgrade failed at " in it`, name, err, out)
	}
	if pid := u.pid(); pid != before {
		u.t.Errorf("%s: the pid file names %d, want %d", name, pid, before)
	}
}

// The place of a program is the name that it was called by, so that another
// file, or a link to another, put there later is what an upgrade starts.
func TestTheProgramsPlaceIsWhereItWasCalled(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"bin", "versions/1", "versions/2"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe := filepath.Join(dir, "versions/1/alicorn")
	for _, path := range []string{exe, filepath.Join(dir, "versions/2/alicorn")} {
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "bin/alicorn")
	if err := os.Symlink("../versions/1/alicorn", link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("PATH", filepath.Dir(link))
	for _, tc := range []struct{ called, want string }{
		{exe, exe}, {link, link}, {"alicorn", link}, {"./bin/alicorn", link}, {"bin/../bin/alicorn", link},
		{filepath.Join(dir, "versions/2/alicorn"), exe}, {"alicorn: front", exe}, {"", exe}, {"./none", exe},
	} {
		if got := placeOf(tc.called, exe); got != tc.want {
			t.Errorf("called %q: %s, want %s", tc.called, got, tc.want)
		}
	}
}

// A release folder that was replaced since the start is where the new program
// starts; without any, it starts where this one is.
func TestAnUpgradeStartsInTheFolderOfThatName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "current")
	for _, release := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(filepath.Dir(dir), release), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("1", dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	u := newUpgrader(origin{})
	steps := []struct {
		change func() error
		want   string
	}{
		{func() error { return nil }, dir},
		{func() error {
			return errors.Join(os.Remove(dir), os.Symlink("2", dir), os.Remove(filepath.Join(filepath.Dir(dir), "1")))
		}, dir},
		{func() error { return os.Remove(dir) }, ""},
	}
	for i, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		cmd := u.command()
		if cmd.Dir != step.want || step.want != "" && !slices.Contains(cmd.Env, "PWD="+dir) {
			t.Errorf("step %d: the folder is %q, want %q", i, cmd.Dir, step.want)
		}
	}
}

func TestAStopEndsAnUpgradeThatHangs(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		u := startUpgraded(t, master)
		write(t, u.dir, "hangs", "#!/bin/sh\necho $$ >hanging.pid\nexec sleep 600\n")
		u.install(filepath.Join(u.dir, "hangs"))
		if err := u.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		var hanging int
		awaitCondition(t, "the new program does not start", func() bool {
			pid, err := readPID(filepath.Join(u.dir, "hanging.pid"))
			hanging = pid
			return err == nil
		})
		if out, err := u.verb("stop"); err != nil {
			t.Errorf("stop: %v: %s", err, out)
		}
		if err := u.cmd.Wait(); err != nil {
			t.Errorf("%s: the end: %v", master, err)
		}
		if !hasEnded(hanging) {
			t.Errorf("%s: the new program is left behind", master)
		}
		log, err := os.ReadFile(filepath.Join(u.dir, "error.log"))
		if want := "upgrade failed, the old program goes on: " + errStopping.Error(); err != nil || !strings.Contains(string(log), want) {
			t.Errorf("%s: the log has %s (%v), want %q", master, log, err, want)
		}
		u.gone("alicorn.pid")
		u.gone("alicorn.pid" + oldPID)
	}
}
