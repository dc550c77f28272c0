package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"alicorn/config/osfile"
)

// writePID writes the pid file once the listeners are bound, as nginx does. It
// returns what removePID takes. The file of another server that runs is left
// to it.
func writePID(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if err := osfile.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("cannot make the folder of pid file %s: %w", path, cause(err))
	}
	if err := pidFileIsFree(path); err != nil {
		return "", err
	}
	if err := replaceText(path, itoa(os.Getpid())+"\n"); err != nil {
		return "", fmt.Errorf("cannot write pid file %s: %w", path, cause(err))
	}
	return path, nil
}

// replaceText makes text the content of the regular file at path.
func replaceText(path, text string) error {
	f, err := osfile.Open(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := osfile.Regular(f); err != nil {
		return err
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	_, err = f.WriteString(text)
	return err
}

// leaving ends the pid file of a server that finishes what is in progress and
// listens no more: a number and an empty line. Another server may take the file.
const leaving = "\n\n"

// leavePID marks the pid file unless another server has taken it.
func leavePID(path string) {
	if pid, err := readPID(path); err == nil && pid == os.Getpid() {
		_ = replaceText(path, itoa(pid)+leaving) // else a successor is told that this one runs
	}
}

// renamePID renames a pid file within its folder.
func renamePID(from, to string) error {
	return osfile.Do(from, func() error { return os.Rename(from, to) })
}

// removePID removes the pid file unless another server has taken it.
func removePID(path string) {
	if pid, err := readPID(path); err == nil && pid == os.Getpid() {
		_ = osfile.Remove(path) // a file that stays names a process that has ended
	}
}

func readPID(file string) (int, error) {
	text, err := osfile.ReadSmall(file)
	if err != nil {
		return 0, fmt.Errorf("cannot read pid file %s: %w", file, cause(err))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("pid file %s holds no process id", file)
	}
	return pid, nil
}

// pidFileIsFree returns an error when the file names another process that
// runs, as gunicorn does. The server that this one takes over from is none.
func pidFileIsFree(path string) error {
	pid, err := readPID(path)
	if path == "" || err != nil || pid == os.Getpid() || pid == os.Getppid() || hasEnded(pid) {
		return nil
	}
	if text, err := osfile.ReadSmall(path); err == nil && strings.HasSuffix(string(text), leaving) {
		return nil
	}
	if st, err := os.Stat(path); err == nil && isYounger(pid, st) {
		return nil // it has the number that the server had, as after a restart of the machine
	}
	return fmt.Errorf("another server is already running: pid file %s names process %d; stop it, or give this server a \"pid\" of its own", path, pid)
}

// isYounger says that the process began after the file was written.
func isYounger(pid int, file fs.FileInfo) bool {
	began, ok := startOf(pid)
	return ok && began.After(file.ModTime())
}

// startOf is when the process began, to the second, by Linux's /proc.
func startOf(pid int) (time.Time, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, false
	}
	// The name stands in parentheses, and may have any of these characters.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const startTime, perSecond = 22 - 3, 100 // field 22 of proc(5), in USER_HZ
	if len(fields) <= startTime {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	boot, ok := bootTime()
	return boot.Add(time.Duration(ticks) * time.Second / perSecond), ok && err == nil
}

// bootTime is when the system began, to the second.
func bootTime() (time.Time, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, false
	}
	for line := range strings.Lines(string(stat)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return time.Unix(seconds, 0), err == nil
		}
	}
	return time.Time{}, false
}
