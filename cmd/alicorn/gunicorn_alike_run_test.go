package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// A configuration written for gunicorn gives an application the same requests,
// clients the same answers, and logs the same places. The whole is compared by
//
//	GUNICORN_CASES=300 go test ./cmd/alicorn -run TestAConfigurationForGunicorn -timeout 60m
//
// and GUNICORN_SEED makes other ones.
func TestAConfigurationForGunicornDoesAlike(t *testing.T) {
	t.Parallel()
	number := func(variable string, usual int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return usual
	}
	seed := uint64(number("GUNICORN_SEED", 9))
	for n := range number("GUNICORN_CASES", 4) {
		c := newAlikeCase(seed, n)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			theirs := observe(t, c, []string{"/usr/bin/python3", "-m", "gunicorn"})
			ours := observe(t, c, []string{ownProgram(t), "serve"})
			differences := compare(c, theirs, ours)
			if len(differences) > 0 {
				t.Errorf("%s\n%s\n$ %s gunicorn %q app:app\nalicorn said:\n%s\ngunicorn said:\n%s", strings.Join(differences, "\n"), c.conf, strings.Join(c.env, " "), c.args, ours.said, theirs.said)
			}
		})
	}
}

// observed is what can be seen of a server.
type observed struct {
	starts  bool
	said    string // on standard output and error
	answers map[string]reply
	pids    map[string]int // how many requests each worker got
	logs    map[string]string
	files   []string
}

// reply is one of a server's answers; status 0: it closed the connection.
type reply struct {
	status  int
	reason  string
	headers http.Header
	app     map[string]any // what the application saw
}

// alikeRequests are sent to every server, by their names.
func alikeRequests(c alikeCase) map[string]string {
	many := strings.Builder{}
	for i := range 40 {
		fmt.Fprintf(&many, "X-Field-%d: %d\r\n", i, i)
	}
	prefix := ""
	if c.mounted() {
		prefix = "/shop"
	}
	all := map[string]string{
		"get":    "GET " + prefix + "/a%20b//c?x=%20 HTTP/1.1\r\nHost: shop.example:81\r\nX-Forwarded-For: 192.0.2.7\r\n",
		"scheme": "GET " + prefix + "/ HTTP/1.1\r\nHost: shop\r\nX-Forwarded-Proto: https\r\n",
		"own":    "GET " + prefix + "/ HTTP/1.1\r\nHost: shop\r\nX-Custom-Proto: yes\r\n",
		"post":   "POST " + prefix + "/ HTTP/1.1\r\nHost: shop\r\nContent-Type: text/x\r\nContent-Length: 3\r\n",
		"fields": "GET " + prefix + "/ HTTP/1.1\r\nHost: shop\r\n" + many.String(),
	}
	if c.given["timeout"] == "1" && c.given["graceful_timeout"] != "0" {
		all["slow"] = "GET " + prefix + "/sleep HTTP/1.1\r\nHost: shop\r\n"
	}
	return all
}

// mounted reports whether the application lies below /shop.
func (c alikeCase) mounted() bool {
	return c.given["raw_env"] == "mount" || slices.Contains(c.env, "SCRIPT_NAME=/shop")
}

// observe runs a server on the case, in a folder of its own, and looks.
func observe(t *testing.T, c alikeCase, program []string) observed {
	t.Helper()
	dir := proxytest.PublicDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	port := proxytest.Port(t)
	at := func(text string) string { return strings.ReplaceAll(text, "PORT=PORT", "PORT="+port) }
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range alikeFiles {
		put(name, text)
	}
	withPort := func(text string) string {
		for _, form := range []string{":PORT", "\"PORT\""} {
			text = strings.ReplaceAll(text, form, strings.ReplaceAll(form, "PORT", port))
		}
		return text
	}
	if c.conf != "" {
		put(c.file, withPort(c.conf))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := slices.Clone(program[1:])
	for _, a := range c.args {
		args = append(args, withPort(a))
	}
	cmd := exec.CommandContext(ctx, program[0], append(args, "app:app")...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "CASE=" + dir, reexecEnv + "=1", raceEnv + "=" + os.Getenv(raceEnv), "PYTHONDONTWRITEBYTECODE=1",
		"RUNTIME_DIRECTORY=" + dir + "/.run", "STATE_DIRECTORY=" + dir + "/.state", "CACHE_DIRECTORY=" + dir + "/.cache"}
	for _, e := range c.env {
		cmd.Env = append(cmd.Env, at(withPort(e)))
	}
	said, err := os.OpenFile(filepath.Join(dir, ".said"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	})
	defer stop()
	network, address := "tcp4", "127.0.0.1:"+port
	if c.given["bind"] == "unix" {
		network, address = "unix", filepath.Join(dir, c.given["chdir"], "web.sock")
	}
	o := observed{answers: map[string]reply{}, pids: map[string]int{}, logs: map[string]string{}}
	if o.starts = comesUp(network, address, exited); o.starts {
		o.ask(c, network, address)
		pid := filepath.Join(dir, c.given["chdir"], c.given["pidfile"])
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(pid); err == nil {
				break // a server may answer before it says that it has started
			}
		}
		o.look(dir)
	}
	stop() // which writes what logs still lack
	for _, name := range []string{"access.log", "error.log", "src/access.log", "src/error.log"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			o.logs[name] = string(text)
		}
	}
	text, _ := os.ReadFile(said.Name())
	o.said = string(text)
	return o
}

// comesUp waits until something answers, or the server has ended.
func comesUp(network, address string, exited chan struct{}) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if a := sendAlike(network, address, "GET /shop/ HTTP/1.1\r\nHost: shop\r\n", ""); a.status != 0 {
			return true
		}
		select {
		case <-exited:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// ask sends the requests, and a few more of one kind.
func (o *observed) ask(c alikeCase, network, address string) {
	requests := alikeRequests(c)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		body := ""
		if name == "post" {
			body = "a=b"
		}
		o.answers[name] = sendAlike(network, address, requests[name], body)
		o.count(o.answers[name])
	}
	for range 6 {
		o.count(sendAlike(network, address, requests["own"], ""))
	}
}

func (o *observed) count(a reply) {
	if pid := a.headers.Get("X-Pid"); pid != "" {
		o.pids[pid]++
	}
}

// sendAlike sends one request on a connection of its own. One that a worker's end
// has cut before its reply is sent again: it is gunicorn's way of restarting.
func sendAlike(network, address, head, body string) (a reply) {
	nc, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return a
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "%sConnection: close\r\n\r\n%s", head, body)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return a
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a
	}
	a.status, a.reason, a.headers = res.StatusCode, res.Status, res.Header
	if a.status == 200 {
		_ = json.Unmarshal(text, &a.app)
	}
	return a
}

// look finds the files that are there while the server runs.
func (o *observed) look(dir string) {
	for _, name := range []string{"app.pid", "src/app.pid", "web.sock", "src/web.sock"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		who := ""
		if st.Mode()&os.ModeSocket != 0 {
			who = fmt.Sprintf(" %03o", st.Mode().Perm()&0o222) // to write is to connect
		}
		o.files = append(o.files, name+who)
	}
}
