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

	"alicorn/cmd/alicorn/keeper"
)

// packaged is a system that the Debian package is installed into, with dpkg's
// own means for a root that is not the running system's.
type packaged struct {
	*upgraded
	out string // folder of packages
}

func newPackaged(t *testing.T) *packaged {
	t.Helper()
	root := emptySystem(t)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib", filepath.Join(root, "lib")); err != nil {
		t.Fatal(err)
	}
	write(t, root, "var/lib/dpkg/status", "")
	write(t, root, "var/lib/dpkg/available", "")
	return &packaged{&upgraded{t: t, dir: root}, t.TempDir()}
}

// build makes the package of that version around a program.
func (p *packaged) build(version, program string) (file string) {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(sourceRoot, "deploy/deb.sh"), p.out)
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "ALICORN_BINARY="+program, "ALICORN_VERSION="+version, "ALICORN_COMPRESSION=none")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("deb.sh: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// dpkg runs dpkg on the system. Its dependencies are not installed there, and
// the package's scripts run with DPKG_ROOT, since there is no shell in it.
func (p *packaged) dpkg(args ...string) {
	p.t.Helper()
	cmd := exec.Command("dpkg", append([]string{"--root=" + p.dir, "--force-depends", "--force-script-chrootless", "--log=/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+p.dir+"/run", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("dpkg %v: %v: %s", args, err, out)
	}
}

// serve starts the installed program.
func (p *packaged) serve() {
	p.t.Helper()
	address := freeAddress(p.t)
	p.dials = []func() (net.Conn, error){func() (net.Conn, error) { return net.Dial("tcp", address) }}
	write(p.t, p.dir, "etc/alicorn/alicorn.conf", fmt.Sprintf("user %s;\nerror_log %s/error.log notice;\npid %[2]s/alicorn.pid;\nserver { listen %s; return 200 \"served\"; }\n",
		keeper.DefaultIdentity().Name, p.dir, address))
	p.cmd = exec.Command(filepath.Join(p.dir, "usr/bin/alicorn"), "run", "-c", filepath.Join(p.dir, "etc/alicorn/alicorn.conf"))
	p.cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+p.dir+"/run", "STATE_DIRECTORY="+p.dir+"/state", "CACHE_DIRECTORY="+p.dir+"/cache")
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.end)
	awaitCondition(p.t, "the installed program does not serve", func() bool {
		_, err := readPID(filepath.Join(p.dir, "alicorn.pid"))
		return err == nil
	})
}

// end stops the server if a failed test has left one.
func (p *packaged) end() {
	if pid, err := readPID(filepath.Join(p.dir, "alicorn.pid")); err == nil {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	p.cmd.Wait()
}

const packagedFiles = `drwxr-xr-x /etc/alicorn
-rw-r--r-- /etc/alicorn/alicorn.conf
drwxr-xr-x /etc/alicorn/conf.d
-rw-r--r-- /etc/alicorn/conf.d/default.conf
-rw-r--r-- /etc/logrotate.d/alicorn
Lrwxrwxrwx /etc/systemd/system/multi-user.target.wants/alicorn.service
-rwxr-xr-x /usr/bin/alicorn
-rw-r--r-- /usr/lib/systemd/system/alicorn.service
-rw-r--r-- /usr/lib/systemd/system/alicorn.socket
-rw-r--r-- /usr/share/bash-completion/completions/alicorn
drwxr-xr-x /usr/share/doc/alicorn
-rw-r--r-- /usr/share/doc/alicorn/changelog.gz
-rw-r--r-- /usr/share/doc/alicorn/copyright
-rw-r--r-- /usr/share/fish/vendor_completions.d/alicorn.fish
-rw-r--r-- /usr/share/man/man1/alicorn.1.gz
-rw-r--r-- /usr/share/man/man5/alicorn.conf.5.gz
-rw-r--r-- /usr/share/zsh/vendor-completions/_alicorn
drwxr-x--- /var/cache/alicorn
drwx------ /var/lib/alicorn
drwxr-x--- /var/log/alicorn`

// withoutDPKG leaves out what dpkg keeps for itself, and the verbs' manual pages.
func withoutDPKG(list string) string {
	var out []string
	for line := range strings.SplitSeq(list, "\n") {
		if !strings.Contains(line, "/var/lib/dpkg/") && !strings.Contains(line, "/var/lib/systemd/") && !strings.Contains(line, "/man1/alicorn-") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestThePackageInstallsUpgradesUnderLoadAndPurges(t *testing.T) {
	t.Parallel()
	p := newPackaged(t)
	write(t, p.out, "broken", "#!/bin/sh\ncase $1 in\nman) echo >\"$2/alicorn.1\"; echo >\"$2/alicorn.conf.5\" ;;\ncompletion) ;;\n*) exit 7 ;;\nesac\n")
	if err := os.Chmod(filepath.Join(p.out, "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, second := p.build("1.0", ownProgram(t)), p.build("2.0", ownProgram(t))
	broken := p.build("3.0", filepath.Join(p.out, "broken"))

	p.dpkg("-i", first)
	if got := withoutDPKG(files(t, p.dir)); got != packagedFiles {
		t.Errorf("installed:\n%s\nwant:\n%s", got, packagedFiles)
	}
	in := &installation{root: p.dir}
	checkOwners(t, in)

	p.serve()
	p.upgradeUnderLoad(second, broken)
	last := p.pid()
	p.dpkg("-r", "alicorn")
	awaitCondition(t, "removing the package stops no server", func() bool { return hasEnded(last) })
	if got := files(t, p.dir); strings.Contains(got, "bin/alicorn") || !strings.Contains(got, "/etc/alicorn/alicorn.conf") {
		t.Errorf("removed, there is (want no \"bin/alicorn\" in it and \"/etc/alicorn/alicorn.conf\" in it):\n%s", got)
	}
	p.dpkg("-P", "alicorn")
	if got := withoutDPKG(files(t, p.dir)); got != "" {
		t.Errorf("purged, there is (want \"\"):\n%s", got)
	}
	if _, _, ok := in.owner(); !ok {
		t.Error("purged, the user is gone, and its number with it")
	}
}

// upgradeUnderLoad installs newer packages while requests come in: one that
// serves, one whose program is broken, and the first of them again.
func (p *packaged) upgradeUnderLoad(second, broken string) {
	t := p.t
	t.Helper()
	conf, _ := os.ReadFile(filepath.Join(p.dir, "etc/alicorn/alicorn.conf"))
	before := p.pid()
	end := p.load()
	p.dpkg("-i", second)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the end of the first server: %v", err)
	}
	after := p.pid()
	if after == before {
		t.Errorf("the server is %d still, want a new one", after)
	}
	p.dpkg("-i", broken)
	if pid := p.pid(); pid != after || hasEnded(after) {
		t.Errorf("a broken package replaced server %d by %d", after, pid)
	}
	p.dpkg("-i", second)
	awaitCondition(t, "the old server does not end", func() bool { return hasEnded(after) })
	if n, err := end(); err != nil || n < 50 {
		t.Errorf("%d requests, the first failure: %v; want at least 50", n, err)
	}
	if now, _ := os.ReadFile(filepath.Join(p.dir, "etc/alicorn/alicorn.conf")); string(now) != string(conf) {
		t.Errorf("the configuration became %s, want %s", now, string(conf))
	}
}
