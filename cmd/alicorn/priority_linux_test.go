package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// nices returns the nice values that the threads of the process have, each once, in order.
func nices(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		nice, _ := strconv.Atoi(strings.Fields(rest)[16])
		all = append(all, nice)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// nginxWorker starts nginx with a master and one worker, and returns the worker's ID.
func nginxWorker(t *testing.T, directives string) (pid int) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	write(t, dir, "nginx.conf", directives+"\ndaemon off; worker_processes 1; pid pid; error_log error.log; events { }\n")
	cmd := exec.Command("nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	launch(t, cmd)
	awaitCondition(t, "nginx has no worker", func() bool {
		for _, child := range strings.Fields(string(bytes.Join(taskChildren(cmd.Process.Pid), nil))) {
			title, _ := os.ReadFile(fmt.Sprintf("/proc/%s/cmdline", child))
			if strings.HasPrefix(string(title), "nginx: worker process") {
				pid, _ = strconv.Atoi(child)
			}
		}
		return pid > 0
	})
	return pid
}

func TestWorkerPriorityIsThatOfNginx(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"-7", "+6", "20", "-20", "0", ""} {
		directives := ""
		if value != "" {
			directives = "worker_priority " + value + ";"
		}
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		write(t, dir, "alicorn.conf", directives+"\nerror_log error.log;\nserver { listen unix:"+sock+"; return 200 served; }\n")
		cmd := startCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
		awaitAnswer(t, sock)
		got := nices(processes(cmd.Process.Pid)["front"][0])
		worker := nginxWorker(t, directives)
		awaitCondition(t, fmt.Sprintf("worker_priority %q: the front has the nice values %v, and nginx's worker has others", value, got), func() bool {
			return slices.Equal(nices(worker), got) // it names itself before it sets its priority
		})
	}
}

func TestWorkerPriorityIsReadAsByNginx(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"+6", "-20", "-0", "007", "--5", "+-5", "-", "''", "1.5", "5m", "0x5", "1_0", "4 5", ""} {
		dir := proxytest.NginxDir(t)
		write(t, dir, "nginx.conf", "worker_priority "+text+";\nerror_log error.log; pid pid; events { }\n")
		nginx := exec.Command("nginx", "-t", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log")).Run()
		write(t, dir, "alicorn.conf", "worker_priority "+text+";\nserver { listen 80; return 200; }\n")
		check := exec.Command(ownProgram(t), "check", "-c", filepath.Join(dir, "alicorn.conf"))
		check.Env = append(os.Environ(), reexecEnv+"=1")
		out, ours := check.CombinedOutput()
		if (nginx == nil) != (ours == nil) {
			t.Errorf("worker_priority %s: %v, %s; nginx: %v", text, ours, out, nginx)
		}
	}
}

// Containers seldom have the capability: the log says once for each front what has no
// effect, where it stands and what is missing, the status says it as long as it is so, and
// the server serves.
func TestAPriorityThatTheSystemRefusesIsReported(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	logs, server := "error_log error.log;\n", "server { listen unix:"+sock+"; return 200 served; }\n"
	write(t, dir, "alicorn.conf", logs+"worker_priority -4;\n"+server)
	cmd := startCommand(t, dir, nil, []string{"setpriv", "--bounding-set=-sys_nice", "--inh-caps=-all", ownProgram(t), "run", "-c", "alicorn.conf"})
	if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "served") {
		t.Errorf("the answer is %q, want 200", answer)
	}
	front := processes(cmd.Process.Pid)["front"][0]
	if got, keeper := nices(front), nices(cmd.Process.Pid); !slices.Equal(got, keeper) {
		t.Errorf("the front has %v, want the keeper's %v", got, keeper)
	}
	const why = `alicorn\.conf:2:17: worker_priority -4: setpriority\(-4\) failed: permission denied: it takes root with the capability CAP_SYS_NICE`
	alert := regexp.MustCompile(`\[alert\] .*` + why + `; the front \(pid \d+\) goes on`)
	alerts := func() int {
		log, err := os.ReadFile(filepath.Join(dir, "error.log"))
		if err != nil {
			t.Fatal(err)
		}
		return len(alert.FindAll(log, -1))
	}
	said := regexp.MustCompile(`(?m)^\S*` + why + `$`)
	status := func(want bool) func() bool {
		return func() bool {
			out, err := verbIn(t, dir, "status").CombinedOutput()
			return err == nil && said.Match(out) == want
		}
	}
	reported := status(true)
	reload := func() {
		if out, err := verbIn(t, dir, "reload").CombinedOutput(); err != nil {
			t.Fatalf("reload: %v\n%s", err, out)
		}
	}
	if n := alerts(); n != 1 || !reported() {
		t.Errorf("the log has %d lines with %s, want 1; the status has it: %t, want true", n, alert, reported())
	}
	reload()
	reload() // it is read after the one before has had its effect
	if n := alerts(); n != 1 || !reported() {
		t.Errorf("after reloads the log has %d lines with %s, want 1; the status has it: %t, want true", n, alert, reported())
	}
	if err := syscall.Kill(front, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "no line about the next front", func() bool { return alerts() == 2 })
	awaitCondition(t, "the status of the next front does not have it", reported)
	write(t, dir, "alicorn.conf", logs+server)
	reload()
	awaitCondition(t, "the status has it without the directive", status(false))
	if n := alerts(); n != 2 {
		t.Errorf("in the end the log has %d lines with %s, want 2", n, alert)
	}
}

// A lower priority than the server's takes no capability. To raise it again does, and the log says so.
func TestALowerPriorityNeedsNoCapability(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	configure := func(nice int) {
		write(t, dir, "alicorn.conf", fmt.Sprintf("error_log error.log;\nworker_priority %d;\nserver { listen unix:%s; return 200 served; }\n", nice, sock))
	}
	configure(14)
	cmd := startCommand(t, dir, nil, []string{"setpriv", "--bounding-set=-sys_nice", "--inh-caps=-all", ownProgram(t), "run", "-c", "alicorn.conf"})
	awaitAnswer(t, sock)
	own := nices(cmd.Process.Pid)
	if len(own) != 1 {
		t.Fatalf("the keeper has the nice values %v, want one", own)
	}
	front := processes(cmd.Process.Pid)["front"][0]
	if got := nices(front); !slices.Equal(got, []int{14}) {
		t.Errorf("the front has the nice values %v, want 14", got)
	}
	for _, c := range []struct {
		nice, want int
		alert      bool
	}{{17, 17, false}, {15, 17, true}} {
		configure(c.nice)
		if out, err := verbIn(t, dir, "reload").CombinedOutput(); err != nil {
			t.Fatalf("reload: %v\n%s", err, out)
		}
		alert := fmt.Sprintf("worker_priority %d: setpriority(%[1]d) failed: permission denied: it takes root with the capability CAP_SYS_NICE", c.nice)
		awaitCondition(t, fmt.Sprintf("worker_priority %d: no alert", c.nice), func() bool {
			log, err := os.ReadFile(filepath.Join(dir, "error.log"))
			return err == nil && strings.Contains(string(log), alert) == c.alert
		})
		awaitCondition(t, fmt.Sprintf("the front has the nice values %v, want %d", nices(front), c.want), func() bool {
			return slices.Equal(nices(front), []int{c.want})
		})
	}
	if got := nices(cmd.Process.Pid); !slices.Equal(got, own) {
		t.Errorf("the keeper has the nice values %v, want %v as before", got, own)
	}
	write(t, dir, "alicorn.conf", "error_log error.log;\nserver { listen unix:"+sock+"; return 200 served; }\n")
	if out, err := verbIn(t, dir, "reload").CombinedOutput(); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	kept := regexp.MustCompile(`(?m)^\S*alicorn\.conf has no worker_priority any more, and the front keeps that of before: setpriority\(\d+\) failed: permission denied`)
	awaitCondition(t, "the status does not say that the priority of before stays", func() bool {
		out, err := verbIn(t, dir, "status").CombinedOutput()
		return err == nil && kept.Match(out)
	})
}

// One process starts the workers itself, and they would have its priority.
func TestOneProcessWarnsThatWorkerPriorityHasNoEffect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, directives, user, want string }{
		{"master_process off", "master_process off;", "0", "with master_process off the server is one process"},
		{"not root", "", "65534", "a server that is not started as root is one process"},
	} {
		dir := proxytest.PublicDir(t)
		sock := filepath.Join(dir, "web.sock")
		uid, _ := strconv.Atoi(c.user)
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "alicorn.conf", c.directives+"\nworker_priority 4;\nerror_log error.log warn;\nserver { listen unix:"+sock+"; return 200 served; }\n")
		before := nices(os.Getpid())
		cmd := startCommand(t, dir, nil, []string{"setpriv", "--reuid=" + c.user, "--clear-groups", publicProgram(t), "run", "-c", "alicorn.conf"})
		awaitAnswer(t, sock)
		if got := nices(cmd.Process.Pid); !slices.Equal(got, before) {
			t.Errorf("%s: the server has the nice values %v, want the test's %v", c.name, got, before)
		}
		log, err := os.ReadFile(filepath.Join(dir, "error.log"))
		if want := "alicorn.conf:2:17: worker_priority has no effect: " + c.want + "\n"; err != nil || !strings.Contains(string(log), want) {
			t.Errorf("%s: the log: %q, %v; want a line with %q", c.name, log, err, want)
		}
	}
}
