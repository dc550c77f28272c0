package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/proxytest"
)

// A server that was told to stop finishes its request while its successor
// serves already, and takes none of its names along.
func TestAServerThatEndsLeavesItsSuccessorAlone(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		dir, address := proxytest.PublicDir(t), freeAddress(t)
		sock := filepath.Join(dir, "web.sock")
		write(t, dir, "app.py", "import os, time\ndef app(environ, start_response):\n"+
			"    while environ['PATH_INFO'] == '/slow' and not os.path.exists('go'):\n        time.sleep(0.01)\n"+
			"    start_response('200 OK', [('Content-Length', '6')])\n    return [b'served']\n")
		write(t, dir, "alicorn.conf", master+"pid alicorn.pid;\nerror_log error.log notice;\n"+
			"app web { wsgi app:app; workers 1; python /usr/bin/python3; directory "+dir+"; }\n"+
			"server { listen "+address+"; listen unix:"+sock+"; location / { app_pass web; } }\n")
		command := []string{ownProgram(t), "run", "-c", "alicorn.conf"}
		first := startCommand(t, dir, nil, command)
		awaitAnswer(t, sock)
		slow, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		if _, err := io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		awaitCondition(t, "the request is not in progress", func() bool {
			out, err := verbIn(t, dir, "status", "--json").Output()
			return err == nil && strings.Contains(string(out), `"state": "busy"`)
		})
		if err := first.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		second := startCommand(t, dir, nil, command)
		awaitPID := func() bool {
			pid, err := readPID(filepath.Join(dir, "alicorn.pid"))
			return err == nil && pid == second.Process.Pid
		}
		awaitCondition(t, "the successor does not serve", awaitPID)
		awaitAnswer(t, sock)
		write(t, dir, "go", "")
		line, err := bufio.NewReader(slow).ReadString('\n')
		if err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("%s: the request in progress: %q, %v; want %q", master, line, err, "HTTP/1.1 200 OK\r\n")
		}
		if err := first.Wait(); err != nil {
			t.Errorf("%s: the end of the first server: %v", master, err)
		}
		awaitAnswer(t, sock)
		var st control.Status
		out, err := verbIn(t, dir, "status", "--json").Output()
		if err = json.Unmarshal(out, &st); err != nil || st.PID != second.Process.Pid || !awaitPID() {
			t.Errorf("%s: status says %d, want %d: %v", master, st.PID, second.Process.Pid, err)
		}
		if out, err := verbIn(t, dir, "stop").CombinedOutput(); err != nil {
			t.Errorf("%s: stop: %v: %s", master, err, out)
		}
		for _, name := range []string{"web.sock", "alicorn.pid"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s: %s is left", master, name)
			}
		}
	}
}

// A listener may move between all addresses of its port and one of them.
func TestAListenerMovesBetweenOverlappingAddresses(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, master := range masters {
		dir := proxytest.PublicDir(t)
		configure := func(listen string) {
			write(t, dir, "alicorn.conf", master+"error_log error.log notice;\nserver { "+listen+" return 200 served; }\n")
		}
		configure("listen 127.0.0.1:" + port + ";")
		startCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
		listenersOf(t, dir)
		for _, listen := range []string{"listen " + port + ";", "listen 127.0.0.1:" + port + ";", "listen 127.0.0.2:" + port + "; listen 127.0.0.1:" + port + ";",
			"listen [::]:" + port + " ipv6only=off;", "listen " + port + " reuseport;", "listen " + port + ";"} {
			configure(listen)
			if out, err := verbIn(t, dir, "reload").CombinedOutput(); err != nil {
				t.Errorf("%s%s %v: %s", master, listen, err, out)
			}
			nc, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Fatalf("%s%s %v", master, listen, err)
			}
			io.WriteString(nc, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
			if text, _ := io.ReadAll(nc); !strings.HasSuffix(string(text), "served") {
				t.Errorf(`%s%s the answer is %q; want "served" at its end`, master, listen, text)
			}
			nc.Close()
		}
		// Nobody else may share the port afterwards.
		if out, err := verbIn(t, dir, "stop").CombinedOutput(); err != nil {
			t.Errorf("%s: stop: %v: %s", master, err, out)
		}
	}
}

// listenersOf asks the server of dir, once it answers, what it listens on.
func listenersOf(t *testing.T, dir string) []string {
	t.Helper()
	var st control.Status
	awaitCondition(t, "the server does not answer", func() bool {
		out, err := verbIn(t, dir, "status", "--json").Output()
		return err == nil && json.Unmarshal(out, &st) == nil
	})
	return st.Listeners
}

// verbIn is a verb for the server whose configuration is in dir.
func verbIn(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(ownProgram(t), append(args, "-c", "alicorn.conf")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+dir+"/run")
	return cmd
}
