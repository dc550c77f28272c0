package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"alicorn/config/osfile"
)

// start starts the service and enables it. A running service with another program
// than the installed one is upgraded.
func (in *installation) start(ctx context.Context) error {
	if in.systemctl == "" {
		if in.root == "" {
			in.say("no systemd runs here; start the server with: %s run -c %s", installedBinary, installedConfig)
		}
		return nil
	}
	if in.unit && !in.dry {
		if err := in.command(ctx, in.systemctl, "daemon-reload"); err != nil {
			return err
		}
	}
	if in.command(ctx, in.systemctl, "is-active", "--quiet", "alicorn.service") != nil {
		return in.change("started alicorn.service", func() error {
			if err := in.command(ctx, in.systemctl, "enable", "--now", "alicorn.service"); err != nil {
				return fmt.Errorf("%w; see: journalctl -u alicorn", err)
			}
			return nil
		})
	}
	return in.renew(ctx)
}

// renew lets the installed program take over from the one that the service runs, if
// they differ.
func (in *installation) renew(ctx context.Context) error {
	path, replaced := in.runs(ctx)
	if path != in.at(installedBinary) {
		// The running program is not one that install has placed.
		return in.change("restarted alicorn.service", func() error {
			return in.command(ctx, in.systemctl, "restart", "alicorn.service")
		})
	}
	if in.unit {
		in.say("a restart of alicorn.service makes it run as the new unit says")
	}
	if !replaced && !(in.dry && in.program) {
		return nil
	}
	return in.change("upgraded alicorn.service", func() error {
		return in.command(ctx, in.at(installedBinary), "upgrade", "-c", installedConfig)
	})
}

// runs returns the program of the service's main process, and whether its file has
// been replaced since.
func (in *installation) runs(ctx context.Context) (path string, replaced bool) {
	pid, err := exec.CommandContext(ctx, in.systemctl, "show", "--property=MainPID", "--value", "alicorn.service").Output()
	if err != nil {
		return "", false
	}
	path, err = os.Readlink(filepath.Join("/proc", strings.TrimSpace(string(pid)), "exe"))
	if err != nil {
		return "", false
	}
	return strings.CutSuffix(path, " (deleted)")
}

// uninstall removes what install has placed. It removes files of the administrator
// and of the server only with purge. Beside the Debian package, whose service the
// units had hidden, it removes only the program and the units.
func (in *installation) uninstall(ctx context.Context, purge bool) error {
	beside := in.packaged()
	if beside && (purge || !in.exists(installedUnit)) {
		return errPackaged
	}
	if err := in.stop(ctx, beside); err != nil {
		return err
	}
	for _, path := range []string{installedUnit, installedSocket, installedBinary} {
		if err := in.remove(path, os.Remove); err != nil {
			return err
		}
	}
	if err := in.afterRemoval(ctx, beside); err != nil || beside {
		return err
	}
	if !purge {
		in.say("kept %s; --purge removes them", strings.Join(in.written(), ", "))
		return nil
	}
	return in.purge()
}

// written returns the files and folders that only purge removes.
func (in *installation) written() []string {
	out := []string{installedConfig, installedSite, installedRotate}
	for _, folder := range installedFolders {
		out = append(out, folder.path)
	}
	return out
}

// purge removes them. The administrator's own sites stay, and so do the users, since
// files elsewhere may belong to them.
func (in *installation) purge() error {
	for _, path := range in.written() {
		if err := in.remove(path, os.RemoveAll); err != nil {
			return err
		}
	}
	if err := in.remove("/run/alicorn", os.RemoveAll); err != nil { // the unit keeps it until the next boot
		return err
	}
	if in.dry {
		return nil
	}
	for _, folder := range []string{filepath.Dir(installedSite), filepath.Dir(installedConfig)} {
		if err := os.Remove(in.at(folder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			in.say("kept %s: %v", in.at(folder), osfile.Cause(err))
		}
	}
	for _, name := range []string{serviceUser, appUser} {
		if _, _, ok := in.account(name); ok {
			in.say("kept user %s; userdel %[1]s removes it", name)
		}
	}
	return nil
}

// stop stops the service and its socket, unless the package's service takes its
// place.
func (in *installation) stop(ctx context.Context, beside bool) error {
	if in.systemctl == "" || beside || !in.exists(installedUnit) {
		return nil
	}
	units := []string{"alicorn.service"}
	if in.exists(installedSocket) {
		units = []string{"alicorn.socket", "alicorn.service"} // the socket too: a connection would start the service again
	}
	return in.change("stopped alicorn.service", func() error {
		return in.command(ctx, in.systemctl, append([]string{"disable", "--now"}, units...)...)
	})
}

func (in *installation) afterRemoval(ctx context.Context, beside bool) error {
	if in.systemctl == "" || in.dry {
		return nil
	}
	if err := in.command(ctx, in.systemctl, "daemon-reload"); err != nil || !beside {
		return err
	}
	return in.change("restarted alicorn.service, which is the Debian package's now", func() error {
		return in.command(ctx, in.systemctl, "try-restart", "alicorn.service")
	})
}

// remove removes path, if it exists.
func (in *installation) remove(path string, with func(string) error) error {
	if !in.exists(path) {
		return nil
	}
	return in.change("removed "+in.at(path), func() error {
		if err := with(in.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %s: %w", in.at(path), osfile.Cause(err))
		}
		return nil
	})
}

// command runs a program to its end. Its error has the program's output.
func (in *installation) command(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	what := filepath.Base(program) + " " + strings.Join(args, " ")
	if text := strings.TrimSpace(string(out)); text != "" {
		return fmt.Errorf("%s: %w: %s", what, err, text)
	}
	return fmt.Errorf("%s: %w", what, err)
}
