package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// As a container's first process alicorn reaps what loses its parent, passes
// signals on, and ends with the server's code. The test's process gets its
// orphans as a subreaper does, which needs no namespace.
func TestFirstProcessReapsOrphansAndPassesSignalsOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sock := filepath.Join(dir, "web.sock")
	files := map[string]string{
		"alicorn.conf": "error_log error.log notice;\napp web { wsgi app:app; workers 1; python /usr/bin/python3; directory " + dir + "; }\n" +
			"server { listen unix:" + sock + "; location / { app_pass web; } }\n",
		"app.py": `import os, time
def app(environ, start_response):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.waitpid(child, 0)
    start_response("200 OK", [])
    return [b"orphaned"]
`}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := initCommand(t, dir, "run", "-c", "alicorn.conf")
	if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "orphaned") {
		t.Errorf(`answer %q, want "orphaned" at its end`, answer)
	}
	// By now the orphan is a child of the first process.
	awaitCondition(t, "the first process has another child than the server", func() bool { return children(t, cmd.Process.Pid) == 1 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestFirstProcessEndsWithTheServersCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alicorn.conf"), []byte("sever { }"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := initCommand(t, dir, "check", "-c", "alicorn.conf")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v, want exit code %d", err, exitFailed)
	}
}

// A terminal sends its Ctrl-C to every process of its foreground group. It
// means one stop all the same: the request in progress is finished.
func TestCtrlCIsOneStopForAFirstProcess(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	write(t, dir, "app.py", "import os, time\ndef app(environ, start_response):\n"+
		"    open('begun', 'w').close()\n"+
		"    while not os.path.exists('go'):\n        time.sleep(0.01)\n"+
		"    start_response('200 OK', [])\n    return [b'served']\n")
	write(t, dir, "alicorn.conf", "master_process off;\nerror_log error.log notice;\napp web { wsgi app:app; workers 1; python /usr/bin/python3; directory "+dir+"; }\n"+
		"server { listen unix:"+sock+"; location / { app_pass web; } }\n")
	if err := os.Chmod(dir, 0o777); err != nil { // the application writes to it
		t.Fatal(err)
	}
	cmd := initCommand(t, dir, "run", "-c", "alicorn.conf")
	var client net.Conn
	awaitCondition(t, "nothing listens on "+sock, func() bool {
		var err error
		client, err = net.Dial("unix", sock)
		return err == nil
	})
	defer client.Close()
	fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	awaitCondition(t, "the request is not in progress", func() bool { _, err := os.Stat(filepath.Join(dir, "begun")); return err == nil })
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "the server does not stop", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return strings.Contains(string(text), "stopping")
	})
	write(t, dir, "go", "")
	client.SetDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(client); err != nil || !strings.Contains(string(text), "served") {
		t.Errorf(`the request in progress is answered %q, %v; want "served" in it`, text, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// initCommand starts the program as if it were a container's first process,
// in a process group of its own.
func initCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), reexecEnv+"="+reexecAsInit,
		"RUNTIME_DIRECTORY="+dir+"/run", "STATE_DIRECTORY="+dir+"/state", "CACHE_DIRECTORY="+dir+"/cache")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	})
	return cmd
}

// awaitAnswer returns the answer to GET / once there is one.
func awaitAnswer(t *testing.T, sock string) (answer string) {
	t.Helper()
	awaitCondition(t, "nothing answers on "+sock, func() bool {
		nc, err := net.Dial("unix", sock)
		if err != nil {
			return false
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
		text, err := io.ReadAll(nc)
		answer = string(text)
		return err == nil && answer != ""
	})
	return answer
}

func awaitCondition(t *testing.T, failure string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(failure)
		}
	}
}

// children counts pid's children, those that have ended and were not reaped among them.
func children(t *testing.T, pid int) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == itoa(pid) {
			n++
		}
	}
	return n
}
