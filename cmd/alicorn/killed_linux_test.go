package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// A worker that is stopped takes no part in its own end: it ends all the same
// when the process that was started, or its front, is killed.
func TestAWorkerThatIsStuckEndsWithItsServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, master, victim string }{
		{"keeper", "", "main"},
		{"front", "", "front"},
		{"single process", "master_process off;\n", "main"},
	} {
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		write(t, dir, "app.py", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"+upgradedApp)
		write(t, dir, "alicorn.conf", tc.master+"error_log error.log notice;\n"+
			"app web { wsgi app:app; workers 2; python /usr/bin/python3; directory "+dir+"; }\n"+
			"server { listen unix:"+sock+"; location / { app_pass web; } }\n")
		cmd := startCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
		awaitAnswer(t, sock)
		pids := processes(cmd.Process.Pid)
		workers := pids["worker"]
		if len(workers) != 2 {
			t.Fatalf("%s: workers %v, want 2", tc.name, workers)
		}
		for _, pid := range workers {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		victim := cmd.Process.Pid
		if tc.victim == "front" {
			victim = pids["front"][0]
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for _, pid := range append(workers, pids["front"]...) {
			awaitCondition(t, fmt.Sprintf("%s: process %d is left", tc.name, pid), func() bool { return hasEnded(pid) })
		}
		if tc.name == "keeper" {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			if !strings.Contains(string(log), "[emerg]") || !strings.Contains(string(log), "the keeper process has ended") {
				t.Errorf("the log does not tell of the keeper's end (want \"[emerg]\" and \"the keeper process has ended\" in it):\n%s", log)
			}
		}
	}
}

// processes are those below pid: its front, if it has one, and its workers.
func processes(pid int) map[string][]int {
	out := map[string][]int{}
	for _, p := range descendants(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		kind := "worker"
		if strings.HasPrefix(string(text), "alicorn: front") {
			kind = "front"
		}
		out[kind] = append(out[kind], p)
	}
	return out
}
