package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"alicorn/config/osfile"
)

// makeUsers makes the service's user and the one of applications. It makes none in a
// system without a list of users, such as the root of a package being built.
func (in *installation) makeUsers(ctx context.Context) error {
	if !in.exists("/etc/passwd") {
		return nil
	}
	for _, u := range []struct{ name, home string }{{serviceUser, installedFolders[0].path}, {appUser, "/nonexistent"}} {
		if _, _, ok := in.account(u.name); ok {
			continue
		}
		if err := in.makeUser(ctx, u.name, u.home); err != nil {
			return err
		}
	}
	return nil
}

func (in *installation) makeUser(ctx context.Context, name, home string) error {
	args := []string{"--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin", name}
	if in.root != "" {
		args = append([]string{"--prefix", in.root}, args...)
	}
	program, err := exec.LookPath("useradd")
	if err != nil {
		program = "/usr/sbin/useradd" // sudo's PATH may lack its folder
	}
	return in.change("made user "+name, func() error {
		if err := in.command(ctx, program, args...); err != nil {
			return fmt.Errorf("cannot make user %q: %w", name, err)
		}
		return nil
	})
}

// owner returns the user and group numbers of the service's user.
func (in *installation) owner() (uid, gid int, ok bool) { return in.account(serviceUser) }

// account returns the user and group numbers of a user from the list of that system.
func (in *installation) account(name string) (uid, gid int, ok bool) {
	text, err := os.ReadFile(in.at("/etc/passwd"))
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[0] == name {
			u, uerr := strconv.Atoi(f[2])
			g, gerr := strconv.Atoi(f[3])
			return u, g, uerr == nil && gerr == nil
		}
	}
	return 0, 0, false
}

func (in *installation) makeFolders(context.Context) error {
	for i, folder := range installedFolders {
		path := in.at(folder.path)
		if !in.exists(folder.path) {
			err := in.change("made folder "+path, func() error {
				err := os.MkdirAll(filepath.Dir(path), 0o755)
				if err == nil {
					err = os.Mkdir(path, folder.mode)
				}
				if err != nil {
					return fmt.Errorf("cannot make folder %s: %w", path, osfile.Cause(err))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := in.handOver(path, i == 0, folder.mode); err != nil {
			return err
		}
	}
	return nil
}

// handOver gives a folder of root to the service's user, and closes the one for
// state to all others. A folder of another user stays as it is, since the
// configuration may name that user.
func (in *installation) handOver(path string, private bool, mode fs.FileMode) error {
	uid, gid, owned := in.owner()
	st, err := os.Stat(path)
	if err != nil || in.dry {
		return nil
	}
	if private && st.Mode().Perm() != mode {
		if err := os.Chmod(path, mode); err != nil {
			return fmt.Errorf("cannot close folder %s to others: %w", path, osfile.Cause(err))
		}
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !owned || !ok || sys.Uid != 0 {
		return nil
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		return fmt.Errorf("cannot give folder %s to user %q: %w", path, serviceUser, osfile.Cause(err))
	}
	return nil
}
