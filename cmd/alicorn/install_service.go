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
)

// start starts the service and has it started with the system. One that runs
// is upgraded.
func (in *installation) start(ctx context.Context) error {
	if in.systemctl == "" {
		if in.root == "" {
			in.say("no systemd runs here; start the server with: %s run -c %s", installedBinary, installedConfig)
		}
		return nil
	}
	if err := in.command(ctx, in.systemctl, "daemon-reload"); err != nil {
		return err
	}
	if in.command(ctx, in.systemctl, "is-active", "--quiet", "alicorn.service") != nil {
		if err := in.command(ctx, in.systemctl, "enable", "--now", "alicorn.service"); err != nil {
			return fmt.Errorf("%w; see: journalctl -u alicorn", err)
		}
		in.say("started alicorn.service")
		return nil
	}
	if err := in.command(ctx, in.at(installedBinary), "upgrade", "-c", installedConfig); err != nil {
		return err
	}
	in.say("upgraded alicorn.service")
	return nil
}

// uninstall removes what install has placed. What the administrator and the
// server have written goes with purge only.
func (in *installation) uninstall(ctx context.Context, purge bool) error {
	if in.systemctl != "" && in.exists(installedUnit) {
		if err := in.command(ctx, in.systemctl, "disable", "--now", "alicorn.service"); err != nil {
			return err
		}
	}
	for _, path := range []string{installedUnit, installedBinary} {
		if err := in.remove(path, os.Remove); err != nil {
			return err
		}
	}
	if in.systemctl != "" {
		if err := in.command(ctx, in.systemctl, "daemon-reload"); err != nil {
			return err
		}
	}
	kept := append([]string{filepath.Dir(installedConfig)}, installedFolders...)
	if !purge {
		in.say("kept %s and user %s; --purge removes them", strings.Join(kept, ", "), serviceUser)
		return nil
	}
	for _, path := range kept {
		if err := in.remove(path, os.RemoveAll); err != nil {
			return err
		}
	}
	return in.removeUser(ctx)
}

// remove removes path, which need not be there.
func (in *installation) remove(path string, with func(string) error) error {
	if !in.exists(path) {
		return nil
	}
	if err := with(in.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", in.at(path), cause(err))
	}
	in.say("removed %s", in.at(path))
	return nil
}

func (in *installation) removeUser(ctx context.Context) error {
	if _, _, ok := in.owner(); !ok {
		return nil
	}
	if err := in.changeUsers(ctx, "userdel", serviceUser); err != nil {
		return fmt.Errorf("cannot remove user %q: %w", serviceUser, err)
	}
	in.say("removed user %s", serviceUser)
	return nil
}

// command runs a program to its end; the error has what it said.
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
