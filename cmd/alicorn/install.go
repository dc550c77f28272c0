package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"alicorn/appserver"
	"alicorn/config/osfile"
	"alicorn/deploy"

	"github.com/spf13/cobra"
)

// Where install places the files that the Debian package has in /usr.
const (
	installedBinary = "/usr/local/bin/alicorn"
	installedUnit   = "/etc/systemd/system/alicorn.service"
	installedSocket = "/etc/systemd/system/alicorn.socket"
	installedRotate = "/etc/logrotate.d/alicorn"
	installedConfig = "/etc/alicorn/alicorn.conf"
	installedSite   = "/etc/alicorn/conf.d/default.conf"
	packagedBinary  = "/usr/bin/alicorn" // what deploy.Unit starts
	packagedUnit    = "/usr/lib/systemd/system/alicorn.service"
	serviceUser     = "alicorn"
	appUser         = appserver.AppUser // runs applications whose folder belongs to root
)

// installedFolders are the folders of the service's user, with their modes. The
// one for state has private keys.
var installedFolders = []struct {
	path string
	mode fs.FileMode
}{{"/var/lib/alicorn", 0o700}, {"/var/cache/alicorn", 0o750}, {"/var/log/alicorn", 0o750}}

var (
	errPackaged = errors.New("the Debian package alicorn is installed here; use apt instead")
	errNotRoot  = errors.New("only root can do this; put \"sudo\" before it, or see with --dry-run what it would do")
	errNotLinux = errors.New("services are set up on Linux only; \"alicorn run\" serves here")
)

// installation is Alicorn as a service of a system.
type installation struct {
	root      string // of the system; "": this one
	systemctl string // the program; "": no systemd runs there
	dry       bool   // only say what would be done
	out       io.Writer

	program, unit bool // whether the program and the units were replaced
}

// installFlags are the flags of both verbs.
type installFlags struct {
	root string
	dry  bool
}

func (f *installFlags) declare(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.root, "root", "", "`DIRECTORY` of another system; nothing is started or stopped there")
	cmd.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "only say what would be done")
}

func installCommand() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use: "install", Short: "Set this machine up to run alicorn as a service", Args: cobra.NoArgs,
		Long: "Makes the users " + serviceUser + " and " + appUser + ", folders for state, cache and logs, places the program in " + installedBinary + ",\n" +
			"systemd units, the rotation of logs and " + installedConfig + ", and starts the service. A running one is\n" +
			"upgraded, without losing a request, when the program has changed. Configuration that is there stays. Running it\n" +
			"again changes nothing that is as it should be.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := f.installation(cmd.OutOrStdout())
			if err == nil {
				err = in.install(cmd.Context())
			}
			return failed(err)
		},
	}
	f.declare(cmd)
	return cmd
}

func uninstallCommand() *cobra.Command {
	var f installFlags
	var purge bool
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Stop the service and remove what install has placed", Args: cobra.NoArgs,
		Long: "Stops the service and removes the program and its units. With --purge the configuration that install placed,\n" +
			"state, cache and logs go, too. Sites of yours stay, and the users, since files elsewhere may belong to them.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := f.installation(cmd.OutOrStdout())
			if err == nil {
				err = in.uninstall(cmd.Context(), purge)
			}
			return failed(err)
		},
	}
	f.declare(cmd)
	cmd.Flags().BoolVar(&purge, "purge", false, "remove configuration, state with certificates and their keys, cache and logs, too")
	return cmd
}

func (f *installFlags) installation(out io.Writer) (*installation, error) {
	switch {
	case runtime.GOOS != "linux":
		return nil, errNotLinux
	case os.Geteuid() != 0 && !f.dry:
		return nil, errNotRoot
	}
	in := &installation{dry: f.dry, out: out}
	if f.root != "" {
		abs, err := filepath.Abs(f.root)
		if err != nil {
			return nil, fmt.Errorf("cannot tell where %s is: %w", f.root, err)
		}
		in.root = abs
	} else if st, err := os.Stat("/run/systemd/system"); err == nil && st.IsDir() {
		in.systemctl = "systemctl"
	}
	return in, nil
}

func (in *installation) at(path string) string { return filepath.Join(in.root, path) }

func (in *installation) exists(path string) bool {
	_, err := os.Lstat(in.at(path))
	return err == nil
}

// packaged reports whether the Debian package is installed.
func (in *installation) packaged() bool { return in.exists(packagedUnit) }

func (in *installation) say(format string, args ...any) { fmt.Fprintf(in.out, format+"\n", args...) }

// change runs do and prints did, which says in the past tense what it does.
func (in *installation) change(did string, do func() error) error {
	if in.dry {
		in.say("would have %s", did)
		return nil
	}
	err := do()
	if err == nil {
		in.say("%s", did)
	}
	return err
}

func (in *installation) install(ctx context.Context) error {
	if in.packaged() {
		return errPackaged
	}
	for _, step := range []func(context.Context) error{in.makeUsers, in.makeFolders, in.placeBinary, in.placeConfig, in.placeUnits, in.start} {
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
	in.program, err = in.place(installedBinary, program, 0o755)
	return err
}

// placeConfig places the configuration unless there is one, even one whose default
// site was removed.
func (in *installation) placeConfig(context.Context) error {
	if !in.exists(installedRotate) {
		if _, err := in.place(installedRotate, []byte(deploy.Logrotate), 0o644); err != nil {
			return err
		}
	}
	if in.exists(installedConfig) {
		return nil
	}
	if _, err := in.place(installedSite, []byte(deploy.DefaultSite), 0o644); err != nil {
		return err
	}
	_, err := in.place(installedConfig, []byte(deploy.Config), 0o644)
	return err
}

func (in *installation) placeUnits(context.Context) error {
	unit := strings.ReplaceAll(deploy.Unit, packagedBinary, installedBinary)
	service, err := in.place(installedUnit, []byte(unit), 0o644)
	if err != nil {
		return err
	}
	socket, err := in.place(installedSocket, []byte(deploy.Socket), 0o644)
	in.unit = service || socket
	return err
}

// place writes a file, whole or not at all, unless it has this content already.
func (in *installation) place(path string, text []byte, mode fs.FileMode) (changed bool, err error) {
	target := in.at(path)
	old, err := os.ReadFile(target)
	if st, e := os.Stat(target); err == nil && e == nil && st.Mode().Perm() == mode && bytes.Equal(old, text) {
		return false, nil
	}
	return true, in.change("installed "+target, func() error {
		if err := replaceFile(target, text, mode); err != nil {
			return fmt.Errorf("cannot install %s: %w", target, osfile.Cause(err))
		}
		return nil
	})
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
