package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/proxytest"
)

// village is a server of forty applications of one file. Five of them do not
// come up: four fail, and one has failed once and now hangs for ever.
type village struct {
	t    *testing.T
	dir  string
	sock string
	conf map[string]string // blocks by name
}

const villageSize, villageBroken = 40, 5

const villageCode = `
import os
mode = os.environ.get("MODE")
if mode == "broken":
    1 / 0
if mode == "hangs":
    if not os.path.exists("../marks/tried"):
        open("../marks/tried", "w").close()
        raise RuntimeError("the first time it fails")
    open("../marks/hangs", "w").close()
    open("../marks/fifo").read()
if mode == "late":
    open("../marks/late", "w").close()
    open("../marks/fifo").read()
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return [b"served"]
`

// newVillage makes the folders of a server without applications.
func newVillage(t *testing.T) *village {
	t.Helper()
	v := &village{t: t, dir: proxytest.PublicDir(t), conf: map[string]string{}}
	v.sock = filepath.Join(v.dir, "web.sock")
	for _, name := range []string{"marks", "code"} {
		if err := os.Mkdir(filepath.Join(v.dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(v.dir, name), 0o777); err != nil { // for the applications' user
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(v.mark("fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(v.mark("fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.dir, "code"), "app.py", villageCode)
	return v
}

// mark is a file by which an application tells how far it is.
func (v *village) mark(name string) string { return filepath.Join(v.dir, "marks", name) }

func startVillage(t *testing.T, master string) *village {
	t.Helper()
	v := newVillage(t)
	for i := range villageSize {
		mode := "fine"
		switch {
		case i == 0:
			mode = "hangs"
		case i < villageBroken:
			mode = "broken"
		}
		v.app(fmt.Sprintf("a%d", i), mode)
	}
	v.write(master)
	startWith(t, ownProgram(t), v.dir, nil)
	awaitCondition(t, "the applications do not come up", func() bool {
		states := map[string]int{}
		for _, a := range v.status().Apps {
			states[a.State]++
		}
		return states["running"] == villageSize-villageBroken && states["failed"] == villageBroken && isRegular(v.mark("hangs"))
	})
	return v
}

// app sets the blocks of one application.
func (v *village) app(name, mode string) {
	v.conf[name] = fmt.Sprintf("app %s { wsgi app:app; directory %s/code; python /usr/bin/python3; workers 1; startup_timeout 1h; env MODE=%s; env PYTHONDONTWRITEBYTECODE=1; }\n"+
		"server { listen unix:%s; server_name %s; location / { app_pass %s; } }\n", name, v.dir, mode, v.sock, name, name)
}

func (v *village) write(master string) {
	text := master + "error_log error.log notice;\n"
	for _, name := range slices.Sorted(maps.Keys(v.conf)) {
		text += v.conf[name]
	}
	write(v.t, v.dir, "alicorn.conf", text)
}

// verb returns a command that speaks to the server.
func (v *village) verb(args ...string) *exec.Cmd {
	cmd := exec.Command(ownProgram(v.t), append(args, "-c", "alicorn.conf")...)
	cmd.Dir = v.dir
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+v.dir+"/run")
	return cmd
}

func (v *village) status() (st control.Status) {
	out, err := v.verb("status", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	if err != nil {
		return control.Status{} // it is not there yet
	}
	return st
}

// workers are the processes of the applications that serve.
func (v *village) workers() map[string]int {
	pids := map[string]int{}
	for _, a := range v.status().Apps {
		if a.State == "running" {
			pids[a.Name] = a.Workers[0].PID
		}
	}
	return pids
}

// get returns the status line of the site's answer.
func (v *village) get(site string) string {
	v.t.Helper()
	nc, err := net.Dial("unix", v.sock)
	if err != nil {
		v.t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", site)
	buf := make([]byte, 4096)
	n, _ := nc.Read(buf)
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return line
}

// A server that is added beside forty applications of one file, five of which
// are broken, is served though one of those hangs while it is imported: that one
// hangs until the test ends.
func TestASiteBesideBrokenApps(t *testing.T) {
	t.Parallel()
	v := startVillage(t, masters[0])
	before := v.workers()
	v.conf["new"] = "server { listen unix:" + v.sock + "; server_name new; return 204; }\n"
	v.write(masters[0])
	cmd := v.verb("reload")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the reload ends with %v, though applications are broken", err)
	}
	for _, want := range []string{"failed    a0: still broken: cannot import app: RuntimeError: the first time it fails; next try now\n",
		"failed    a4: still broken: cannot import app: ZeroDivisionError: division by zero; next try "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the reload does not say %q:\n%s", want, out)
		}
	}
	if got := v.get("new"); got != "HTTP/1.1 204 No Content" {
		t.Errorf(`the new site answers %q, want "HTTP/1.1 204 No Content"`, got)
	}
	if after := v.workers(); len(before) != villageSize-villageBroken || !maps.Equal(before, after) {
		t.Errorf("workers %v, then %v: %s; want %d of them", before, after, out, villageSize-villageBroken)
	}
	if got := v.get("a0"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf(`a broken site answers %q, want "HTTP/1.1 503 " at its beginning`, got)
	}
}

// A changed application that hangs while it is imported holds up nothing but
// itself: neither this reload's other changes nor the next reload.
func TestAnAppThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		v := newVillage(t)
		v.app("one", "fine")
		v.app("two", "fine")
		v.write(master)
		startWith(t, ownProgram(t), v.dir, nil)
		awaitCondition(t, "the applications do not come up", func() bool { return len(v.workers()) == 2 })
		before := v.workers()

		v.app("one", "late")
		v.app("three", "fine")
		v.write(master)
		first := v.verb("reload")
		var said strings.Builder
		first.Stdout, first.Stderr = &said, &said
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		awaitCondition(t, "the changed application is not imported", func() bool { return isRegular(v.mark("late")) })
		awaitCondition(t, "the new application is not served", func() bool { return v.get("three") == "HTTP/1.1 200 OK" })
		if got := v.get("one"); got != "HTTP/1.1 200 OK" {
			t.Errorf(`the changed application answers %q, want "HTTP/1.1 200 OK"`, got)
		}

		v.conf["new"] = "server { listen unix:" + v.sock + "; server_name new; return 204; }\n"
		v.write(master)
		second := v.verb("reload")
		var alsoSaid strings.Builder
		second.Stdout, second.Stderr = &alsoSaid, &alsoSaid
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
		awaitCondition(t, "the second reload's site is not served", func() bool { return v.get("new") == "HTTP/1.1 204 No Content" })
		if got := v.workers(); got["one"] != before["one"] || got["two"] != before["two"] {
			t.Errorf("workers %v, before %v; want %v and %v", got, before, before["one"], before["two"])
		}

		// Now it comes up, and both reloads end.
		if err := os.WriteFile(v.mark("fifo"), []byte("go on"), 0); err != nil {
			t.Fatal(err)
		}
		if err := first.Wait(); err != nil || !strings.Contains(said.String(), "replaced  one: its settings") {
			t.Errorf(`the first reload: %v: %s; want "replaced  one: its settings" in it`, err, said.String())
		}
		if err := second.Wait(); err != nil || !strings.Contains(alsoSaid.String(), "replaced  one: its settings") {
			t.Errorf(`the second reload: %v: %s; want "replaced  one: its settings" in it`, err, alsoSaid.String())
		}
		if got := v.workers(); got["one"] == before["one"] || got["two"] != before["two"] {
			t.Errorf("workers %v, before %v; want new ones of app one alone", got, before)
		}
	}
}
