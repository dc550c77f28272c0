package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"alicorn/deploy"

	"github.com/spf13/cobra"
)

// Where install places what the Debian package has in /usr.
const (
	installedBinary = "/usr/local/bin/alicorn"
	installedUnit   = "/etc/systemd/system/alicorn.service"
	installedConfig = "/etc/alicorn/alicorn.conf"
	packagedBinary  = "/usr/bin/alicorn" // what deploy.Unit starts
	packagedUnit    = "/usr/lib/systemd/system/alicorn.service"
	serviceUser     = "alicorn"
)

// installedFolders belong to the service's user.
var installedFolders = []string{"/var/lib/alicorn", "/var/cache/alicorn", "/var/log/alicorn"}

var errPackaged = errors.New("the Debian package alicorn is installed here; use apt instead")

// installation is Alicorn as a service of a system.
type installation struct {
	root      string // of the system; "": this one
	systemctl string // the program; "": no systemd runs there
	out       io.Writer
}

func installCommand() *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use: "install", Short: "Set this machine up to run alicorn as a service", Args: cobra.NoArgs,
		Long: "Places the program in " + installedBinary + ", a systemd unit, " + installedConfig + " and folders for state, cache and logs, makes\n" +
			"the user " + serviceUser + ", and starts the service, or lets the new program take over from a running one. Configuration that is\n" +
			"there stays. Running it again changes nothing that is as it should be.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := newInstallation(root, cmd.OutOrStdout())
			if err == nil {
				err = in.install(cmd.Context())
			}
			return failed(err)
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "`DIRECTORY` of another system to install into; nothing is started there")
	return cmd
}

func uninstallCommand() *cobra.Command {
	var root string
	var purge bool
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Stop the service and remove what install has placed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := newInstallation(root, cmd.OutOrStdout())
			if err == nil {
				err = in.uninstall(cmd.Context(), purge)
			}
			return failed(err)
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "`DIRECTORY` of another system to remove it from")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove configuration, state, cache, logs and the user, too")
	return cmd
}

func newInstallation(root string, out io.Writer) (*installation, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can do this; put \"sudo\" before it")
	}
	in := &installation{out: out}
	if root != "" {
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, fmt.Errorf("cannot tell where %s is: %w", root, err)
		}
		in.root = abs
	} else if st, err := os.Stat("/run/systemd/system"); err == nil && st.IsDir() {
		in.systemctl = "systemctl"
	}
	if in.exists(packagedUnit) {
		return nil, errPackaged
	}
	return in, nil
}

func (in *installation) at(path string) string { return filepath.Join(in.root, path) }

func (in *installation) exists(path string) bool {
	_, err := os.Lstat(in.at(path))
	return err == nil
}

func (in *installation) say(format string, args ...any) { fmt.Fprintf(in.out, format+"\n", args...) }

func (in *installation) install(ctx context.Context) error {
	for _, step := range []func(context.Context) error{in.placeBinary, in.makeUser, in.placeConfig, in.makeFolders, in.placeUnit, in.start} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// placeBinary copies this program.
func (in *installation) placeBinary(context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	return in.place(installedBinary, program, 0o755)
}

// placeConfig leaves what is there: also an alicorn.conf whose default site
// was removed.
func (in *installation) placeConfig(context.Context) error {
	if in.exists(installedConfig) {
		return nil
	}
	if err := in.place(filepath.Dir(installedConfig)+"/conf.d/default.conf", []byte(deploy.DefaultSite), 0o644); err != nil {
		return err
	}
	return in.place(installedConfig, []byte(deploy.Config), 0o644)
}

func (in *installation) placeUnit(context.Context) error {
	return in.place(installedUnit, []byte(strings.ReplaceAll(deploy.Unit, packagedBinary, installedBinary)), 0o644)
}

// place writes a file whole, or not at all, unless it is as it should be.
func (in *installation) place(path string, text []byte, mode fs.FileMode) error {
	target := in.at(path)
	old, err := os.ReadFile(target)
	if st, e := os.Stat(target); err == nil && e == nil && st.Mode().Perm() == mode && bytes.Equal(old, text) {
		return nil
	}
	if err := replaceFile(target, text, mode); err != nil {
		return fmt.Errorf("cannot install %s: %w", target, cause(err))
	}
	in.say("installed %s", target)
	return nil
}

// replaceFile writes beside target and renames, so that a program that runs
// from there, or a crash, sees the old file or the new one.
func replaceFile(target string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".alicorn-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}

// makeUser makes the service's user. A root without a list of users, as of a
// package that is being built, gets none.
func (in *installation) makeUser(ctx context.Context) error {
	if _, _, ok := in.owner(); ok || !in.exists("/etc/passwd") {
		return nil
	}
	args := []string{"--system", "--user-group", "--no-create-home", "--home-dir", installedFolders[0], "--shell", "/usr/sbin/nologin", serviceUser}
	if err := in.changeUsers(ctx, "useradd", args...); err != nil {
		return fmt.Errorf("cannot make user %q: %w", serviceUser, err)
	}
	in.say("made user %s", serviceUser)
	return nil
}

// changeUsers runs useradd or userdel, which sudo's PATH may leave out.
func (in *installation) changeUsers(ctx context.Context, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		path = "/usr/sbin/" + program
	}
	if in.root != "" {
		args = append([]string{"--prefix", in.root}, args...)
	}
	return in.command(ctx, path, args...)
}

// owner returns the user and group numbers of the service's user, as the
// system's own list has them.
func (in *installation) owner() (uid, gid int, ok bool) {
	text, err := os.ReadFile(in.at("/etc/passwd"))
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[0] == serviceUser {
			u, uerr := strconv.Atoi(f[2])
			g, gerr := strconv.Atoi(f[3])
			return u, g, uerr == nil && gerr == nil
		}
	}
	return 0, 0, false
}

func (in *installation) makeFolders(context.Context) error {
	uid, gid, owned := in.owner()
	for _, folder := range installedFolders {
		path := in.at(folder)
		if !in.exists(folder) {
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				err = os.Mkdir(path, 0o750)
			}
			if err != nil {
				return fmt.Errorf("cannot make folder %s: %w", path, cause(err))
			}
			in.say("made folder %s", path)
		}
		if !owned {
			continue
		}
		if err := os.Lchown(path, uid, gid); err != nil {
			return fmt.Errorf("cannot give folder %s to user %q: %w", path, serviceUser, cause(err))
		}
	}
	return nil
}
