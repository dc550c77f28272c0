package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/deploy"
	"alicorn/proxy/proxytest"
)

// emptySystem is the root of a system with one user.
func emptySystem(t *testing.T) string {
	t.Helper()
	root := proxytest.PublicDir(t)
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\n", "group": "root:x:0:\n", "shadow": "root:*:19000:0:99999:7:::\n", "gshadow": "root:*::\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "etc"), name, text)
	}
	return root
}

// files lists everything below root that an installation could have made.
func files(t *testing.T, root string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && (strings.Contains(path, "alicorn") && e.Name() != filepath.Base(root)) {
			st, err := e.Info()
			if err != nil {
				return err
			}
			out = append(out, st.Mode().String()+" "+strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

const installedFiles = `drwxr-xr-x /etc/alicorn
-rw-r--r-- /etc/alicorn/alicorn.conf
drwxr-xr-x /etc/alicorn/conf.d
-rw-r--r-- /etc/alicorn/conf.d/default.conf
-rw-r--r-- /etc/logrotate.d/alicorn
-rw-r--r-- /etc/systemd/system/alicorn.service
-rw-r--r-- /etc/systemd/system/alicorn.socket
-rwxr-xr-x /usr/local/bin/alicorn
drwxr-x--- /var/cache/alicorn
drwx------ /var/lib/alicorn
drwxr-x--- /var/log/alicorn`

func installInto(t *testing.T, root string, args ...string) string {
	t.Helper()
	cmd := exec.Command(ownProgram(t), append(args, "--root", root)...)
	cmd.Env = append(os.Environ(), reexecEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestInstallSetsASystemUpAndUninstallUndoesIt(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	plan := installInto(t, root, "install", "--dry-run")
	if got := files(t, root); got != "" {
		t.Errorf("a dry run leaves (want \"\"):\n%s", got)
	}
	out := installInto(t, root, "install")
	if got := files(t, root); got != installedFiles {
		t.Errorf("installed:\n%s\nwant:\n%s", got, installedFiles)
	}
	if !strings.Contains(out, "made user alicorn\n") || !strings.Contains(out, "made user alicorn-app\n") {
		t.Errorf("it says %q, want %q and %q in it", out, "made user alicorn\n", "made user alicorn-app\n")
	}
	if want := regexp.MustCompile("(?m)^").ReplaceAllString(strings.TrimSpace(out), "would have ") + "\n"; plan != want {
		t.Errorf("a dry run says %q, want %q", plan, want)
	}
	users, _ := os.ReadFile(filepath.Join(root, "etc/passwd"))
	in := &installation{root: root}
	service, _, _ := in.account(serviceUser)
	if app, _, ok := in.account(appUser); !ok || app == service || strings.Count(string(users), ":/usr/sbin/nologin") != 2 {
		t.Errorf("the users are %s", users)
	}
	checkOwners(t, in)
	unit, _ := os.ReadFile(filepath.Join(root, installedUnit))
	if strings.Count(string(unit), "="+installedBinary+" ") != 3 || strings.Contains(string(unit), packagedBinary) {
		t.Errorf("the unit starts another program (want %q 3 times and no %q in it):\n%s", "="+installedBinary+" ", packagedBinary, unit)
	}
}

func TestInstallingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	installInto(t, root, "install")
	write(t, root, "etc/alicorn/alicorn.conf", "# mine\n")
	if err := os.Remove(filepath.Join(root, "etc/alicorn/conf.d/default.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(filepath.Join(root, "var/cache/alicorn"), 33, 33); err != nil {
		t.Fatal(err)
	}
	if out := installInto(t, root, "install"); out != "" {
		t.Errorf(`a second installation says %q, want ""`, out)
	}
	if text, _ := os.ReadFile(filepath.Join(root, "etc/alicorn/alicorn.conf")); string(text) != "# mine\n" || strings.Contains(files(t, root), "default.conf") {
		t.Errorf("the administrator's configuration was changed: %s", text)
	}
	if uid, _ := ownerOf(t, filepath.Join(root, "var/cache/alicorn")); uid != 33 {
		t.Errorf("the folder of another user became user %d's, want 33", uid)
	}
}

// A folder that an older version, or root, has made is put right.
func TestInstallClosesTheFolderOfState(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	if err := os.MkdirAll(filepath.Join(root, "var/lib/alicorn"), 0o755); err != nil {
		t.Fatal(err)
	}
	installInto(t, root, "install")
	if got := files(t, root); got != installedFiles {
		t.Errorf("installed:\n%s\nwant:\n%s", got, installedFiles)
	}
	checkOwners(t, &installation{root: root})
}

func TestUninstallLeavesWhatWasWrittenUntilPurge(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	installInto(t, root, "install")
	write(t, root, "etc/alicorn/conf.d/mine.conf", "# mine\n")
	write(t, root, "var/lib/alicorn/key", "secret")
	installInto(t, root, "uninstall", "--dry-run", "--purge")
	if !strings.Contains(files(t, root), installedUnit) {
		t.Error("a dry run removes")
	}
	installInto(t, root, "uninstall")
	if got := files(t, root); strings.Contains(got, "bin") || strings.Contains(got, "systemd") || !strings.Contains(got, "alicorn.conf") || !strings.Contains(got, "key") {
		t.Errorf("after uninstall (want no \"bin\", no \"systemd\" in it, \"alicorn.conf\" and \"key\" in it):\n%s", got)
	}
	installInto(t, root, "uninstall", "--purge")
	if got, want := files(t, root), "drwxr-xr-x /etc/alicorn\ndrwxr-xr-x /etc/alicorn/conf.d\n-rw-r--r-- /etc/alicorn/conf.d/mine.conf"; got != want {
		t.Errorf("after purge:\n%s\nwant:\n%s", got, want)
	}
	if _, _, ok := (&installation{root: root}).owner(); !ok {
		t.Error("the user is gone, and its number with it")
	}
	if err := os.Remove(filepath.Join(root, "etc/alicorn/conf.d/mine.conf")); err != nil {
		t.Fatal(err)
	}
	installInto(t, root, "uninstall", "--purge")
	if got := files(t, root); got != "" {
		t.Errorf("after the last purge (want \"\"):\n%s", got)
	}
}

func ownerOf(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	return int(sys.Uid), int(sys.Gid)
}

func checkOwners(t *testing.T, in *installation) {
	t.Helper()
	uid, gid, ok := in.owner()
	if !ok {
		t.Fatal("there is no user")
	}
	for _, folder := range installedFolders {
		if u, g := ownerOf(t, in.at(folder.path)); u != uid || g != gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", folder.path, u, g, uid, gid)
		}
	}
}

func TestInstallRefusesToMixWithThePackage(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	installInto(t, root, "install")
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(packagedUnit)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root, packagedUnit, deploy.Unit)
	in := &installation{root: root, out: new(bytes.Buffer)}
	if err := in.install(t.Context()); err != errPackaged {
		t.Errorf("install: error %v, want %v", err, errPackaged)
	}
	if err := in.uninstall(t.Context(), true); err != errPackaged {
		t.Errorf("uninstall --purge: error %v, want %v", err, errPackaged)
	}
	// What hides the package's service can be removed, and nothing else.
	installInto(t, root, "uninstall")
	if got := files(t, root); strings.Contains(got, installedBinary) || strings.Contains(got, installedUnit) || !strings.Contains(got, packagedUnit) || !strings.Contains(got, "alicorn.conf") {
		t.Errorf("after uninstall (want no %q, no %q in it, %q and \"alicorn.conf\" in it):\n%s", installedBinary, installedUnit, packagedUnit, got)
	}
	if err := in.uninstall(t.Context(), false); err != errPackaged {
		t.Errorf("another uninstall: error %v, want %v", err, errPackaged)
	}
}

// publicProgram is ownProgram in a folder that every user may enter.
func publicProgram(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(ownProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(proxytest.PublicDir(t), "alicorn")
	if err := writeProgram(file, text); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestInstallNeedsRootUnlessItOnlyTells(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	program := publicProgram(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"install"}, "only root can do this"},
		{[]string{"uninstall", "--purge"}, "only root can do this"},
		{[]string{"install", "--dry-run"}, "would have made user alicorn"},
	} {
		cmd := exec.Command(program, append(tc.args, "--root", root)...)
		cmd.Dir, cmd.Env = "/", append(os.Environ(), reexecEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), tc.want) || (err == nil) != slices.Contains(tc.args, "--dry-run") {
			t.Errorf("%v: %v: %s; want %q", tc.args, err, out, tc.want)
		}
	}
	if got := files(t, root); got != "" {
		t.Errorf("there is (want \"\"):\n%s", got)
	}
}

// managedSystem has a systemctl that notes what it is asked: the service runs,
// if active, as the process of that number.
func managedSystem(t *testing.T, active bool, pid int) (in *installation, asked func() string) {
	t.Helper()
	root := emptySystem(t)
	log := filepath.Join(root, "log")
	code := "3"
	if active {
		code = "0"
	}
	script := "#!/bin/sh\n[ \"$1\" != show ] || { echo " + itoa(pid) + "; exit; }\necho \"$*\" >>" + log + "\n[ \"$1\" != is-active ] || exit " + code + "\n"
	for _, name := range []string{"systemctl", installedBinary} {
		if err := writeProgram(filepath.Join(root, name), []byte(script)); err != nil {
			t.Fatal(err)
		}
	}
	in = &installation{root: root, systemctl: filepath.Join(root, "systemctl"), out: new(bytes.Buffer)}
	return in, func() string {
		text, _ := os.ReadFile(log)
		return string(text)
	}
}

// running starts a copy of a program, installed there, and gives its number.
func running(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile("/bin/sleep")
	if err == nil {
		err = writeProgram(path, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

func TestInstallStartsTheServiceOrUpgradesIt(t *testing.T) {
	t.Parallel()
	const asked = "is-active --quiet alicorn.service\n"
	for _, tc := range []struct {
		name, runs string
		unit       bool
		want       string
	}{
		{"not running, a new unit", "", true, "daemon-reload\n" + asked + "enable --now alicorn.service\n"},
		{"not running", "", false, asked + "enable --now alicorn.service\n"},
		{"running, a new program", installedBinary, false, asked + "upgrade -c /etc/alicorn/alicorn.conf\n"},
		{"running, a new unit and a new program", installedBinary, true, "daemon-reload\n" + asked + "upgrade -c /etc/alicorn/alicorn.conf\n"},
		{"running from elsewhere", packagedBinary, false, asked + "restart alicorn.service\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := proxytest.PublicDir(t)
			pid := 0
			if tc.runs != "" {
				pid = running(t, filepath.Join(root, tc.runs))
			}
			in, asked := managedSystem(t, tc.runs != "", pid)
			stub := in.at(installedBinary)
			in.unit, in.root = tc.unit, root
			if err := copyProgram(stub, in.at(installedBinary)); err != nil { // the file that runs is replaced
				t.Fatal(err)
			}
			if err := in.start(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := asked(); got != tc.want {
				t.Errorf("commands %q, want %q", got, tc.want)
			}
		})
	}
}

func copyProgram(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeProgram(to, text)
}

func TestInstallLeavesAServiceAloneThatRunsTheProgram(t *testing.T) {
	t.Parallel()
	root := proxytest.PublicDir(t)
	in, asked := managedSystem(t, true, running(t, filepath.Join(root, installedBinary)))
	in.root = root
	if err := in.start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := asked(); got != "is-active --quiet alicorn.service\n" {
		t.Errorf("commands %q, want %q", got, "is-active --quiet alicorn.service\n")
	}
}

func TestUninstallStopsTheServiceAndItsSocket(t *testing.T) {
	t.Parallel()
	const own = "disable --now alicorn.socket alicorn.service\ndaemon-reload\n"
	for _, tc := range []struct {
		name  string
		files []string
		want  string
	}{
		{"installed", []string{installedUnit, installedSocket}, own},
		{"of an older version", []string{installedUnit}, strings.ReplaceAll(own, "alicorn.socket ", "")},
		{"beside the package", []string{installedUnit, installedSocket, packagedUnit}, "daemon-reload\ntry-restart alicorn.service\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, asked := managedSystem(t, true, 0)
			for _, path := range tc.files {
				if err := replaceFile(in.at(path), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := in.uninstall(context.Background(), false); err != nil {
				t.Fatal(err)
			}
			if got := asked(); got != tc.want {
				t.Errorf("commands %q, want %q", got, tc.want)
			}
		})
	}
}

// The files to begin with are a configuration that serves.
func TestTheInstalledConfigurationIsValid(t *testing.T) {
	t.Parallel()
	dir := proxytest.PublicDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	id := keeper.DefaultIdentity() // there need be no user alicorn here
	conf := strings.NewReplacer("user alicorn;", "user "+id.Name+";", "/var/log/alicorn", dir).Replace(deploy.Config)
	write(t, dir, "alicorn.conf", conf)
	write(t, dir, "conf.d/default.conf", deploy.DefaultSite)
	p := fileProgram(options{config: filepath.Join(dir, "alicorn.conf")})
	tree, err := p.read()
	if err != nil {
		t.Fatal(err)
	}
	res := config.NewResources(checkHost{Local: &keeper.Local{}})
	defer res.Release()
	ld, err := p.compile(tree, nil, res, appserver.NewRuntime(appserver.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ld.generation.Servers); n != 1 {
		t.Errorf("%d servers, want the default one", n)
	}
}
