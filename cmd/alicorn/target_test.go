package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/proxytest"
)

// answerAs answers verbs at path as a server would.
func answerAs(t *testing.T, path string, answer http.HandlerFunc) *control.Client {
	t.Helper()
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: answer}
	go s.Serve(control.Greeted(l, path))
	t.Cleanup(func() { s.Close() })
	return control.NewClient(path)
}

// A verb that names no server asks the only one there is, unless the one that
// it means is there and cannot be asked.
func TestAVerbAsksTheServerItMeans(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		barred     string // the configuration whose server another user has; "": there is none
		user       string // who asks
	}{
		{"alone", "configuration /other.conf", "", "root"},
		{"user", "configuration /other.conf", "", "daemon"},
		{"meant", "no permission to use control socket", "alicorn.conf", "daemon"},
		{"beside", "configuration /other.conf", "/beside.conf", "daemon"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := proxytest.PublicDir(t)
			write(t, dir, "alicorn.conf", "")
			run := filepath.Join(dir, "run")
			path := control.SocketPath(run, "/other.conf")
			answerAs(t, path, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"pid":42,"config":"/other.conf"}`)) })
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
			if tc.barred != "" {
				name := tc.barred
				if !filepath.IsAbs(name) {
					name = filepath.Join(dir, name)
				}
				answerAs(t, control.SocketPath(run, name), func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"pid":43}`)) })
			}
			cmd := exec.Command("setpriv", "--reuid="+tc.user, "--clear-groups", ownProgram(t), "status")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+run)
			if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), tc.want) {
				t.Errorf("it prints %q, want %q", out, tc.want)
			}
		})
	}
}

// A verb says where another user has a socket of the server that it means, and does not ask there.
func TestAVerbSaysWhereAnotherUserHasItsServer(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	write(t, dir, "alicorn.conf", "")
	path := control.SocketPath(filepath.Join(dir, "their run"), filepath.Join(dir, "alicorn.conf"))
	answerAs(t, path, func(http.ResponseWriter, *http.Request) { t.Error("the other server was asked, want it left alone") })
	if err := os.Lchown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ownProgram(t), "status", "-c", "alicorn.conf")
	cmd.Dir = dir
	run := filepath.Join(dir, "run")
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+run)
	want := "no server of this configuration is running, as far as " + run + ` shows; user "nobody" has a socket of that name, "` + path + `"`
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("it prints %q, want %q", out, want)
	}
}

// One answer that fails is not the end of a server that answers again.
func TestAStopWaitsForTheServersEnd(t *testing.T) {
	t.Parallel()
	process := exec.Command("sleep", "600")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer process.Process.Kill()
	var asked atomic.Int32
	const failing, last = 2, 40
	c := answerAs(t, filepath.Join(t.TempDir(), "c.sock"), func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case n == failing:
			panic(http.ErrAbortHandler)
		case n == last:
			process.Process.Kill()
			process.Wait()
		case n > last:
			panic(http.ErrAbortHandler)
		}
		w.Write([]byte(`{"pid":` + itoa(process.Process.Pid) + `}`))
	})
	if err := awaitEnd(t.Context(), c, process.Process.Pid, patience); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n <= last {
		t.Errorf("it is taken for ended after %d answers, want more than %d", n, last)
	}
}

func TestAServerThatListensAndDoesNotAnswerHasNotEnded(t *testing.T) {
	t.Parallel()
	c := answerAs(t, filepath.Join(t.TempDir(), "c.sock"), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := awaitEnd(t.Context(), c, os.Getpid(), time.Millisecond); err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf(`the end: %v; want an error with "has not ended"`, err)
	}
	gone := control.NewClient(filepath.Join(t.TempDir(), "none.sock"))
	if err := awaitEnd(t.Context(), gone, os.Getpid(), time.Millisecond); err != nil {
		t.Errorf("of a server whose socket is gone: %v", err)
	}
}
