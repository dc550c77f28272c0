package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/deploy"
	"alicorn/proxy/proxytest"
)

// The rotation that is installed moves the log away as the server's user, and
// the server goes on in a new one.
func TestLogsAreRotatedAsInstalled(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	logs, sock := filepath.Join(dir, "logs"), filepath.Join(dir, "web.sock")
	front := keeper.DefaultIdentity()
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(logs, front.UID, front.GID); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "alicorn.conf", "user "+front.Name+";\nerror_log logs/error.log notice;\naccess_log logs/access.log;\nserver { listen unix:"+sock+"; return 200 served; }\n")
	program := filepath.Join(dir, "alicorn")
	text := "#!/bin/sh\nexport " + reexecEnv + "=1 RUNTIME_DIRECTORY=" + dir + "/run\nexec " + ownProgram(t) + ` "$@"` + "\n"
	if err := writeProgram(program, []byte(text)); err != nil {
		t.Fatal(err)
	}
	rotation := strings.NewReplacer("su alicorn alicorn", "su "+front.Name+" "+front.Name, "/var/log/alicorn", logs,
		installedConfig, filepath.Join(dir, "alicorn.conf")).Replace(deploy.Logrotate)
	write(t, dir, "rotation", rotation)
	rotate := func() {
		t.Helper()
		cmd := exec.Command("/usr/sbin/logrotate", "--force", "--state", filepath.Join(dir, "rotated"), filepath.Join(dir, "rotation"))
		cmd.Env = append(os.Environ(), "PATH="+dir+":/usr/bin:/bin") // of the program
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("logrotate: %v: %s; want nothing", err, out)
		}
	}
	rotate() // nothing runs, and that is no mistake
	startCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
	awaitAnswer(t, sock)
	logged := func(name string) {
		t.Helper()
		awaitCondition(t, name+" has not one request", func() bool {
			text, _ := os.ReadFile(filepath.Join(logs, name))
			return strings.Count(string(text), "GET / ") == 1
		})
	}
	logged("access.log")
	rotate()
	awaitAnswer(t, sock)
	for _, name := range []string{"access.log", "access.log.1"} {
		logged(name)
		if uid, _ := ownerOf(t, filepath.Join(logs, name)); uid != front.UID {
			t.Errorf("%s belongs to user %d, want %d", name, uid, front.UID)
		}
	}
}
