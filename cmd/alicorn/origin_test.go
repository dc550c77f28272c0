package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// messages are what was sent to NOTIFY_SOCKET.
type messages struct {
	mu   sync.Mutex
	text strings.Builder
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// listenAsManager receives on address until the test ends.
func listenAsManager(t *testing.T, address string) *messages {
	t.Helper()
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := new(messages)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.text.Write(buf[:n])
			m.text.WriteString("--\n")
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { nc.Close(); <-done })
	return m
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeProgram writes a file that is then executed. A process that is forked
// meanwhile would keep it open for writing, and busy, until it executes its own.
func writeProgram(file string, text []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return replaceFile(file, text, 0o755)
}

// startWith runs exe in dir with files from descriptor 3 on, LISTEN_PID being
// its own, and variables.
func startWith(t *testing.T, exe, dir string, files []*os.File, variables ...string) *exec.Cmd {
	t.Helper()
	return startCommand(t, dir, files, []string{"/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, exe, "run", "-c", "alicorn.conf"}, variables...)
}

// startCommand runs a command that becomes the server.
func startCommand(t *testing.T, dir string, files []*os.File, command []string, variables ...string) *exec.Cmd {
	t.Helper()
	cmd := prepareCommand(t, dir, files, command, variables...)
	launch(t, cmd)
	return cmd
}

// prepareCommand is a command that becomes the server; launch starts it.
func prepareCommand(t *testing.T, dir string, files []*os.File, command []string, variables ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.ExtraFiles = files
	log, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+dir+"/run", "STATE_DIRECTORY="+dir+"/state", "CACHE_DIRECTORY="+dir+"/cache")
	cmd.Env = append(cmd.Env, variables...)
	return cmd
}

// launch starts the server and has the test's end stop it.
func launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(cmd.Dir, "stderr"))
			t.Logf("standard error:\n%s", text)
		}
	})
}

func ownProgram(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func awaitText(t *testing.T, m fmt.Stringer, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	awaitCondition(t, "no "+pattern, func() bool { return re.MatchString(m.String()) })
}

// masters are both ways to run: the keeper and its front, and one process.
var masters = []string{"master_process on;\n", "master_process off;\n"}

func TestTheServiceManagerIsToldOfEveryStep(t *testing.T) {
	t.Parallel()
	for i, master := range masters {
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		conf := master + "error_log error.log notice;\nserver { listen unix:" + sock + "; return 200 \"served\"; }\n"
		write(t, dir, "alicorn.conf", conf)
		address := filepath.Join(dir, "notify.sock")
		if i == 1 {
			address = "@alicorn-test-" + strconv.Itoa(os.Getpid())
		}
		m := listenAsManager(t, address)
		cmd := startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+address, "WATCHDOG_USEC=100000")
		awaitText(t, m, `READY=1\nSTATUS=Serving\n--\n`)
		awaitText(t, m, `(WATCHDOG=1\n--\n)(.*\n)*(WATCHDOG=1\n--\n)`)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		awaitText(t, m, `RELOADING=1\nMONOTONIC_USEC=[1-9]\d+\nSTATUS=.*\n--\n(WATCHDOG=1\n--\n)*READY=1\nSTATUS=Serving\n`)
		write(t, dir, "alicorn.conf", "sever { }")
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		awaitText(t, m, `READY=1\nSTATUS=The last reload failed`)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the end: %v", err)
		}
		awaitText(t, m, `STOPPING=1\n`)
		if n := strings.Count(m.String(), "STOPPING=1"); n != 1 {
			t.Errorf("%s: told %d times that it stops; want 1", master, n)
		}
	}
}

func TestNoSignOfLifeComesFromAServerThatHangs(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	write(t, dir, "alicorn.conf", "error_log error.log;\nserver { listen unix:"+sock+"; return 200 \"served\"; }\n")
	m := listenAsManager(t, filepath.Join(dir, "notify.sock"))
	cmd := startWith(t, ownProgram(t), dir, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify.sock"), "WATCHDOG_USEC=100000")
	awaitText(t, m, `WATCHDOG=1\n--\n`)
	front := onlyChild(t, cmd.Process.Pid)
	if err := syscall.Kill(front, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(front, syscall.SIGCONT)
	// Those that were on their way may still come.
	before := -1
	awaitCondition(t, "signs of life while the front hangs", func() bool {
		seen := before
		before = strings.Count(m.String(), "WATCHDOG=1")
		if seen != before {
			time.Sleep(300 * time.Millisecond)
		}
		return seen == before
	})
	if err := syscall.Kill(front, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "no sign of life after the front went on", func() bool { return strings.Count(m.String(), "WATCHDOG=1") > before })
}

func onlyChild(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, task := range taskChildren(pid) {
		text = append(text, task...)
	}
	fields := strings.Fields(string(text))
	if err != nil || len(fields) == 0 {
		t.Fatalf("process %d has no child: %v", pid, err)
	}
	child, _ := strconv.Atoi(fields[0])
	return child
}

// taskChildren are the children that threads besides the first one started.
func taskChildren(pid int) (out [][]byte) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil {
			out = append(out, append(text, ' '))
		}
	}
	return out
}

func TestInheritedSocketsAreUsedInsteadOfBinding(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		wanted, stray := listeningFile(t, sock), listeningFile(t, filepath.Join(dir, "stray.sock"))
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		tcpFile, err := tcp.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer tcpFile.Close()
		log := filepath.Join(dir, "error.log")
		write(t, dir, "app.py", "import os\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [repr([k for k in os.environ if k.startswith(('LISTEN_', 'NOTIFY_', 'WATCHDOG_'))]).encode()]\n")
		write(t, dir, "alicorn.conf", master+"error_log error.log notice;\napp web { wsgi app:app; workers 1; python /usr/bin/python3; directory "+dir+"; }\n"+
			"server { listen unix:"+sock+"; listen "+tcp.Addr().String()+"; location / { app_pass web; } }\n")
		cmd := startWith(t, ownProgram(t), dir, []*os.File{wanted, stray, tcpFile}, "LISTEN_FDS=3", "LISTEN_FDNAMES=web:stray:tcp")
		// A server that had bound its addresses would have failed: they are in use.
		if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "[]") {
			t.Errorf("%s: %q, want an answer of an application that inherits no variable", master, answer)
		}
		awaitCondition(t, "no warning of the stray socket", func() bool {
			text, _ := os.ReadFile(log)
			return strings.Contains(string(text), "no listen directive is for the socket stray ("+dir+"/stray.sock)")
		})
		tcp.Close()
		nc, err := net.Dial("tcp4", tcp.Addr().String())
		if err != nil {
			t.Errorf("%s: the inherited TCP socket: %v", master, err)
		} else {
			nc.Close()
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the end: %v", err)
		}
		if _, err := os.Stat(sock); err != nil {
			t.Errorf("%s: the file of a socket that is the service manager's: %v", master, err)
		}
	}
}

func TestSocketsForAnotherProcessAreNotTaken(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	write(t, dir, "alicorn.conf", "error_log error.log notice;\nserver { listen unix:"+sock+"; return 200 \"served\"; }\n")
	other := listeningFile(t, filepath.Join(dir, "other.sock"))
	cmd := exec.Command(ownProgram(t), "run", "-c", "alicorn.conf")
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{other}
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+dir+"/run", "LISTEN_FDS=1", "LISTEN_PID=1", "STATE_DIRECTORY="+dir+"/state", "CACHE_DIRECTORY="+dir+"/cache")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }()
	awaitAnswer(t, sock)
	if text, err := os.ReadFile(filepath.Join(dir, "error.log")); err != nil || strings.Contains(string(text), "other.sock") {
		t.Errorf(`a socket for process 1 was taken: %s, %v; want no "other.sock" in it`, text, err)
	}
}

// listeningFile listens on a unix socket and leaves its file there.
func listeningFile(t *testing.T, path string) *os.File {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
