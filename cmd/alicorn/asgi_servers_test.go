package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asgiKind is a kind of server for ASGI applications.
type asgiKind struct {
	name  string
	start func(t *testing.T, dir, app string, variables ...string) asgiServer
}

// asgiServer is one that runs, with one worker.
type asgiServer struct {
	address string
	file    string // a file of 26 letters that it may send
	log     string // the file that it writes to
	cmd     *exec.Cmd
}

// asgiServers are the servers that run applications in tests, side by side.
func asgiServers() []asgiKind {
	return []asgiKind{{"uvicorn", startUvicorn}, {"alicorn", startAlicorn}}
}

// asgiConfiguration is that of alicorn for an application.
const asgiConfiguration = `error_log stderr warn;
app asgi {
%s    directory %s;
    python /usr/bin/python3;
    workers 1;
%s}
server {
    listen %s;
    app_max_temp_file_size 0;
    location / {
        app_pass asgi;
    }
}
`

// startAlicorn starts this module's alicorn.
func startAlicorn(t *testing.T, dir, app string, variables ...string) asgiServer {
	return startApp(t, dir, fmt.Sprintf("    asgi %s;\n", app), variables)
}

// startBeside starts this module's alicorn with the module's WSGI application for all but
// WebSockets.
func startBeside(t *testing.T, dir, app string, variables ...string) asgiServer {
	module, _, _ := strings.Cut(app, ":")
	return startApp(t, dir, fmt.Sprintf("    wsgi %s:wsgi;\n    asgi %s for websocket;\n", module, app), variables)
}

func startApp(t *testing.T, dir, app string, variables []string) asgiServer {
	var more strings.Builder
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&more, "    env %s %s;\n", name, value)
	}
	address, own := freeAddress(t), t.TempDir()
	configuration := fmt.Sprintf(asgiConfiguration, app, dir, more.String(), address)
	s := startConfigured(t, own, address, configuration)
	s.file = filepath.Join(dir, "file.txt")
	return s
}

// startUvicorn starts Debian's uvicorn.
func startUvicorn(t *testing.T, dir, app string, variables ...string) asgiServer {
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-m", "uvicorn", "--host", "127.0.0.1", "--port", port, "--app-dir", dir,
		"--no-access-log", "--log-level", "warning", app)
	return startASGI(t, dir, address, cmd, variables)
}

// startASGI starts a server and waits until it listens.
func startASGI(t *testing.T, dir, address string, cmd *exec.Cmd, variables []string) asgiServer {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), variables...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s", text)
		}
	})
	awaitCondition(t, fmt.Sprintf("nothing listens on %s", address), func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return asgiServer{address: address, file: filepath.Join(dir, "file.txt"), log: log.Name(), cmd: cmd}
}

// stop ends the server by TERM and waits for its end.
func (s asgiServer) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	s.cmd.Wait()
}
