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
)

func TestTheUnitIsOneThatSystemdTakes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(publicDir(t), "alicorn.service")
	write(t, filepath.Dir(path), filepath.Base(path), strings.ReplaceAll(deploy.Unit, packagedBinary, ownProgram(t)))
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		// A system without systemd: every line is a key of a section at least.
		for line := range strings.Lines(deploy.Unit) {
			if !strings.ContainsAny(line[:1], "#[\n") && !strings.Contains(line, "=") {
				t.Errorf("line %q", line)
			}
		}
		return
	}
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "alicorn.service") && !strings.Contains(line, "notify-reload") { // systemd before 253
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}

// With the unit's capabilities and without new privileges the server binds
// port 80, runs a front and a worker of two other users, writes a log in the
// folder of one of them, and stops them all.
func TestTheUnitsCapabilitiesAreEnough(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(deploy.Unit)
	if m == nil || !strings.Contains(deploy.Unit, "\nNoNewPrivileges=yes\n") {
		t.Fatal("the unit does not restrict privileges")
	}
	bounds := "-all"
	for name := range strings.FieldsSeq(m[1]) {
		bounds += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	dir := publicDir(t)
	sock := filepath.Join(dir, "web.sock")
	address := fmt.Sprintf("127.77.%d.%d:80", os.Getpid()>>8&255, os.Getpid()&255)
	logs := filepath.Join(dir, "logs")
	front := keeper.DefaultIdentity()
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(logs, front.UID, front.GID); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "app.py", "import os\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [str(os.getuid()).encode()]\n")
	write(t, dir, "alicorn.conf", "user "+front.Name+";\nerror_log logs/error.log notice;\n"+
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
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if _, err := os.Stat(filepath.Join(logs, "error.log")); err != nil {
		t.Error(err)
	}
}
