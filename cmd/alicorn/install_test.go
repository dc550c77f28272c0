package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/deploy"
)

// emptySystem is the root of a system with one user.
func emptySystem(t *testing.T) string {
	t.Helper()
	root := publicDir(t)
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
-rw-r--r-- /etc/systemd/system/alicorn.service
-rwxr-xr-x /usr/local/bin/alicorn
drwxr-x--- /var/cache/alicorn
drwxr-x--- /var/lib/alicorn
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
	out := installInto(t, root, "install")
	if got := files(t, root); got != installedFiles {
		t.Errorf("installed:\n%s\nwant:\n%s", got, installedFiles)
	}
	if !strings.Contains(out, "made user alicorn") {
		t.Errorf("it says %q", out)
	}
	users, _ := os.ReadFile(filepath.Join(root, "etc/passwd"))
	in := &installation{root: root}
	if !strings.Contains(string(users), ":/usr/sbin/nologin") {
		t.Errorf("the users are %s", users)
	}
	checkOwners(t, in)
	unit, _ := os.ReadFile(filepath.Join(root, installedUnit))
	if !strings.Contains(string(unit), "\nExecStart=/usr/local/bin/alicorn run ") || strings.Contains(string(unit), "/usr/bin/alicorn") {
		t.Errorf("the unit starts another program:\n%s", unit)
	}
	write(t, root, "etc/alicorn/alicorn.conf", "# mine\n")
	if err := os.Remove(filepath.Join(root, "etc/alicorn/conf.d/default.conf")); err != nil {
		t.Fatal(err)
	}
	if out := installInto(t, root, "install"); out != "" {
		t.Errorf("a second installation says %q", out)
	}
	if text, _ := os.ReadFile(filepath.Join(root, "etc/alicorn/alicorn.conf")); string(text) != "# mine\n" || strings.Contains(files(t, root), "default.conf") {
		t.Errorf("the administrator's configuration was changed: %s", text)
	}
	installInto(t, root, "uninstall")
	if got := files(t, root); strings.Contains(got, "bin") || strings.Contains(got, ".service") || !strings.Contains(got, "alicorn.conf") {
		t.Errorf("after uninstall:\n%s", got)
	}
	installInto(t, root, "uninstall", "--purge")
	if got := files(t, root); got != "" {
		t.Errorf("after purge:\n%s", got)
	}
	if _, _, ok := in.owner(); ok {
		t.Error("the user is there still")
	}
	installInto(t, root, "uninstall", "--purge")
}

func checkOwners(t *testing.T, in *installation) {
	t.Helper()
	uid, gid, ok := in.owner()
	if !ok {
		t.Fatal("there is no user")
	}
	for _, folder := range installedFolders {
		st, err := os.Stat(in.at(folder))
		if err != nil {
			t.Fatal(err)
		}
		if s := st.Sys().(*syscall.Stat_t); int(s.Uid) != uid || int(s.Gid) != gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", folder, s.Uid, s.Gid, uid, gid)
		}
	}
}

func TestInstallRefusesToMixWithThePackage(t *testing.T) {
	t.Parallel()
	root := emptySystem(t)
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(packagedUnit)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root, packagedUnit, deploy.Unit)
	if _, err := newInstallation(root, new(bytes.Buffer)); err != errPackaged {
		t.Errorf("error %v, want %v", err, errPackaged)
	}
}

func TestInstallStartsTheServiceOrUpgradesIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, active, want string }{
		{"not running", "3", "daemon-reload\nis-active --quiet alicorn.service\nenable --now alicorn.service\n"},
		{"running", "0", "daemon-reload\nis-active --quiet alicorn.service\nupgrade -c /etc/alicorn/alicorn.conf\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := publicDir(t)
			log := filepath.Join(root, "log")
			script := "#!/bin/sh\necho \"$*\" >>" + log + "\n[ \"$1\" != is-active ] || exit " + tc.active + "\n"
			for _, name := range []string{"systemctl", installedBinary} {
				if err := replaceFile(filepath.Join(root, name), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			in := &installation{root: root, systemctl: filepath.Join(root, "systemctl"), out: new(bytes.Buffer)}
			if err := in.start(context.Background()); err != nil {
				t.Fatal(err)
			}
			if text, _ := os.ReadFile(log); string(text) != tc.want {
				t.Errorf("commands %q, want %q", text, tc.want)
			}
		})
	}
}

// The files to begin with are a configuration that serves.
func TestTheInstalledConfigurationIsValid(t *testing.T) {
	t.Parallel()
	dir := publicDir(t)
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
	res := config.NewResources(checkHost{&keeper.Local{}})
	defer res.Release()
	ld, err := p.compile(tree, nil, res, appserver.NewRuntime(appserver.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ld.generation.Servers); n != 1 {
		t.Errorf("%d servers, want the default one", n)
	}
}
