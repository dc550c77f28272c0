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
	"syscall"
	"testing"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/deploy"
	"alicorn/proxy/proxytest"
)

// installedUnits are the units as files that systemd-analyze can read, with a
// program that is there.
func installedUnits(t *testing.T) (service, socket string) {
	t.Helper()
	dir := proxytest.PublicDir(t)
	write(t, dir, "alicorn.service", strings.ReplaceAll(deploy.Unit, packagedBinary, ownProgram(t)))
	write(t, dir, "alicorn.socket", deploy.Socket)
	return filepath.Join(dir, "alicorn.service"), filepath.Join(dir, "alicorn.socket")
}

func TestTheUnitsAreThoseThatSystemdTakes(t *testing.T) {
	t.Parallel()
	service, socket := installedUnits(t)
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", service, socket).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "alicorn.s") && !strings.Contains(line, "notify-reload") && !strings.Contains(line, "ReloadSignal") { // systemd before 253
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}

// What remains is what the keeper needs: root, users, ports, networks.
func TestTheUnitIsExposedNoMoreThanItMustBe(t *testing.T) {
	t.Parallel()
	service, _ := installedUnits(t)
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=33", service).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v: %s", err, out)
	}
}

// The optional socket has the address of the site to begin with.
func TestTheSocketUnitIsForTheDefaultSite(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^ListenStream=0\.0\.0\.0:(\d+)$`).FindAllStringSubmatch(deploy.Socket, -1)
	if len(m) != 1 || !strings.Contains(deploy.DefaultSite, "listen "+m[0][1]+" default_server;") {
		t.Errorf("the socket unit has %v, the site is %s", m, deploy.DefaultSite)
	}
}

// With the unit's capabilities and without new privileges the server binds
// port 80, gives the front its priority, runs a front and a worker of two other users, writes a log in the
// folder of one of them, closes the folder of state, and stops them all.
func TestTheUnitsCapabilitiesAreEnough(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(deploy.Unit)
	if m == nil || !strings.Contains(deploy.Unit, "\nNoNewPrivileges=yes\n") {
		t.Fatalf("CapabilityBoundingSet is %q, want it set, with NoNewPrivileges:\n%s", m, deploy.Unit)
	}
	bounds := "-all"
	for name := range strings.FieldsSeq(m[1]) {
		bounds += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	dir := proxytest.PublicDir(t)
	sock := filepath.Join(dir, "web.sock")
	address := fmt.Sprintf("127.77.%d.%d:80", os.Getpid()>>8&255, os.Getpid()&255)
	logs := filepath.Join(dir, "logs")
	front := keeper.DefaultIdentity()
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state") // as an older version has left it
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{logs, state} {
		if err := os.Chown(folder, front.UID, front.GID); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "app.py", "import os\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [str(os.getuid()).encode()]\n")
	write(t, dir, "alicorn.conf", "user "+front.Name+";\nworker_priority -3;\nerror_log logs/error.log notice;\n"+
		"app web { wsgi app:app; workers 1; user daemon; python /usr/bin/python3; directory "+dir+"; }\n"+
		"server { listen unix:"+sock+"; listen "+address+"; location / { app_pass web; } }\n")
	cmd := startCommand(t, dir, nil, []string{"setpriv", "--bounding-set=" + bounds, "--inh-caps=-all", "--no-new-privs", ownProgram(t), "run", "-c", "alicorn.conf"})
	daemon, err := keeper.LookupIdentity("daemon", "")
	if err != nil {
		t.Fatal(err)
	}
	if answer := awaitAnswer(t, sock); !strings.HasSuffix(answer, "\n"+strconv.Itoa(daemon.UID)) {
		t.Errorf("answer %q, want one of user %d", answer, daemon.UID)
	}
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
	if st, err := os.Stat(state); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder of state has %v, %v; want 0o700", st.Mode(), err)
	}
	if uid, _ := ownerOf(t, state); uid != front.UID {
		t.Errorf("the folder of state belongs to %d, want %d", uid, front.UID)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if log, err := os.ReadFile(filepath.Join(logs, "error.log")); err != nil || strings.Contains(string(log), "worker_priority") {
		t.Errorf("the log: %q, %v; want no complaint about worker_priority", log, err)
	}
}
