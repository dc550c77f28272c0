package acmetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The version of pebble on the Go module proxy.
const (
	module  = "github.com/letsencrypt/pebble/v2"
	version = "v2.10.1"
)

// programs returns the folder of pebble and pebble-challtestsrv. The first test on
// a machine builds them there. Other tests, of any process, wait for that.
func programs() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a folder for pebble: %w", err)
	}
	base = filepath.Join(base, fmt.Sprintf("alicorn-tests-%d", os.Getuid()))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("cannot make a folder for pebble: %w", err)
	}
	unlock, err := lock(filepath.Join(base, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(base, "pebble-"+version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, build(base, dir)
}

// lock waits until no other process has locked the file, and locks it. The kernel
// releases the lock when the process ends, for whatever reason.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of pebble's folder: %w", err)
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %q: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// build installs both programs beside dir, and moves them there at once, so that
// dir never has only one of them.
func build(base, dir string) error {
	half, err := os.MkdirTemp(base, "build")
	if err != nil {
		return fmt.Errorf("cannot make a folder for pebble: %w", err)
	}
	defer os.RemoveAll(half)
	cmd := exec.Command("go", "install", module+"/cmd/pebble@"+version, module+"/cmd/pebble-challtestsrv@"+version)
	cmd.Dir = half
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOBIN="+half, "GOOS=", "GOARCH=", "GOWORK=off", "CGO_ENABLED=0")
	if os.Getenv("SUDO_UID") != "" {
		// The caller could not replace files that root writes into its caches.
		cmd.Env = append(cmd.Env, "GOCACHE="+filepath.Join(base, "go-build"), "GOMODCACHE="+filepath.Join(base, "go-mod"))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build pebble: %s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	if err := os.Chmod(half, 0o755); err != nil {
		return fmt.Errorf("cannot keep pebble: %w", err)
	}
	if err := os.Rename(half, dir); err != nil {
		return fmt.Errorf("cannot keep pebble: %w", err)
	}
	return nil
}
