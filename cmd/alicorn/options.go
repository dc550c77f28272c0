package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// options are the flags that choose the configuration.
type options struct {
	config   string
	prefix   string
	errorLog string
	global   string
	quiet    bool
	pidFile  string // for verbs: the pid file of the server
}

func (o *options) declare(flags *pflag.FlagSet) {
	flags.StringVarP(&o.config, "config", "c", "", "configuration `FILE` (default ./alicorn.conf, else /etc/alicorn/alicorn.conf)")
	flags.StringVarP(&o.prefix, "prefix", "p", "", "`DIRECTORY` that relative paths start from (default: the configuration's)")
	flags.StringVarP(&o.errorLog, "error-log", "e", "", "error log `FILE`, or stderr, until the configuration says otherwise")
	flags.StringVarP(&o.global, "global", "g", "", "`DIRECTIVES` read before the file, at its top level")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
}

// given reports whether any of them was set.
func (o *options) given(flags *pflag.FlagSet) bool {
	for _, name := range []string{"config", "prefix", "error-log", "global"} {
		if flags.Changed(name) {
			return true
		}
	}
	return false
}

// file returns the configuration file: absolute, from -c, else the first of
// the default places that exists.
func (o *options) file() string {
	name := o.config
	if name == "" {
		name = "/etc/alicorn/alicorn.conf"
		if _, err := os.Stat("alicorn.conf"); err == nil {
			name = "alicorn.conf"
		}
	} else if o.prefix != "" && !filepath.IsAbs(name) {
		name = filepath.Join(o.prefix, name)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return abs
}

// directory returns the prefix: -p, else the configuration's folder.
func (o *options) directory() string {
	if o.prefix == "" {
		return filepath.Dir(o.file())
	}
	abs, err := filepath.Abs(o.prefix)
	if err != nil {
		return o.prefix
	}
	return abs
}

// folders are the folders for a server's own files: systemd's, else the system's
// where this process may write, else the user's.
type folders struct{ run, state, cache, logs string }

func findFolders() folders {
	return folders{
		run:   orTemporary(folder("RUNTIME_DIRECTORY", "/run/alicorn", os.Getenv("XDG_RUNTIME_DIR"))),
		state: folder("STATE_DIRECTORY", "/var/lib/alicorn", xdg("XDG_STATE_HOME", ".local/state")),
		cache: orTemporary(folder("CACHE_DIRECTORY", "/var/cache/alicorn", xdg("XDG_CACHE_HOME", ".cache"))),
		logs:  folder("LOGS_DIRECTORY", "/var/log/alicorn", xdg("XDG_STATE_HOME", ".local/state")),
	}
}

func xdg(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, fallback)
	}
	return ""
}

// folder returns the folder that systemd names, else system when it can be made,
// else "alicorn" under user, else one of its own in the temporary directory.
func folder(variable, system, user string) string {
	if v := os.Getenv(variable); v != "" {
		return filepath.SplitList(v)[0]
	}
	if os.Geteuid() == 0 || writable(system) {
		return system
	}
	if user != "" {
		return filepath.Join(user, "alicorn")
	}
	return temporary()
}

// leastSpace is how many free bytes a file system needs not to count as full.
const leastSpace = 1 << 20

// full lists the folders that are on file systems without space, each file
// system once.
func (f folders) full() (all []string) {
	seen := map[unix.Fsid]bool{}
	for _, dir := range []string{f.state, f.cache, f.logs, f.run} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) != nil || seen[st.Fsid] || st.Blocks == 0 {
			continue
		}
		seen[st.Fsid] = true
		if int64(st.Bavail)*int64(st.Bsize) < leastSpace || st.Files > 0 && st.Ffree == 0 {
			all = append(all, dir)
		}
	}
	return all
}

// secure makes the server's folders in the temporary directory, where another user
// may have made them before.
func (f folders) secure() error {
	for _, dir := range []string{f.run, f.state, f.cache, f.logs} {
		if dir != temporary() {
			continue
		}
		if err := ownTemporary(dir); err != nil {
			return fmt.Errorf("cannot use folder %s: %w; remove it, or set RUNTIME_DIRECTORY, STATE_DIRECTORY and CACHE_DIRECTORY to folders of your own", dir, err)
		}
	}
	return nil
}

// ownTemporary makes dir, or checks that it belongs to this user, and closes it to
// others. A folder that cannot be made, as in a container without /tmp, is not an
// error here: whatever needs it reports that.
func ownTemporary(dir string) error {
	_ = os.Mkdir(dir, 0o700) // Lstat shows the result
	st, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return osfile.Cause(err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.IsDir():
		return errors.New("it is not a folder")
	case !ok || int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %q", osfile.User{UID: int(sys.Uid)}.Name())
	case st.Mode().Perm()&0o077 != 0:
		return osfile.Cause(os.Chmod(dir, 0o700))
	}
	return nil
}

func temporary() string { return filepath.Join(os.TempDir(), "alicorn-"+itoa(os.Geteuid())) }

// orTemporary returns dir where it can be written to or be made, else a folder in the
// temporary directory, since a container's user may have no home. It is not for keys,
// and root always gets dir: any user could have made the other folder.
func orTemporary(dir string) string {
	if os.Geteuid() == 0 {
		return dir
	}
	for at := dir; ; at = filepath.Dir(at) {
		switch err := unix.Access(at, unix.W_OK); {
		case err == nil:
			return dir
		case !errors.Is(err, unix.ENOENT) || at == filepath.Dir(at):
			return temporary()
		}
	}
}

func writable(dir string) bool {
	probe, err := os.CreateTemp(dir, ".alicorn-*")
	if err != nil {
		return false
	}
	probe.Close()
	os.Remove(probe.Name())
	return true
}
