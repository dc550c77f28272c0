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

// pidFile is the pid file that this process has written; nil: none. While the
// process runs it holds a lock on the file, which shows that it runs, also after a
// change of the clock. The lock needs the right to write to the file.
type pidFile struct {
	path string
	lock *os.File // nil: the file system has no locks
}

// writePID writes the pid file when the listeners are bound, as nginx does. It does
// not overwrite the file of another running server.
func writePID(path string) (*pidFile, error) {
	if path == "" {
		return nil, nil
	}
	if err := osfile.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of pid file %s: %w", path, osfile.Cause(err))
	}
	if err := pidFileIsFree(path); err != nil {
		return nil, err
	}
	if err := replaceText(path, itoa(os.Getpid())+"\n"); err != nil {
		return nil, fmt.Errorf("cannot write pid file %s: %w", path, osfile.Cause(err))
	}
	return &pidFile{path, lockFile(path)}, nil
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

// leaving ends the pid file of a server that has stopped listening and finishes the
// requests in progress: a number and an empty line. Another server may take the file.
const leaving = "\n\n"

// leave notes in the file that this server has stopped listening, unless another
// server has taken the file.
func (p *pidFile) leave() {
	if pid, err := readPID(p.path); err == nil && pid == os.Getpid() {
		_ = replaceText(p.path, itoa(pid)+leaving) // on an error a successor finds that this one runs
	}
	p.unlock()
}

// remove removes the file unless another server has taken it.
func (p *pidFile) remove() {
	if pid, err := readPID(p.path); err == nil && pid == os.Getpid() {
		_ = osfile.Remove(p.path) // a file that stays names a process that has ended, which does no harm
	}
	p.unlock()
}

func (p *pidFile) unlock() {
	if p.lock != nil {
		p.lock.Close()
		p.lock = nil
	}
}

// rename renames the file within its folder, if it is still where it was written.
func (p *pidFile) rename(to string) error {
	err := osfile.Do(p.path, func() error { return os.Rename(p.path, to) })
	if err == nil {
		p.path = to
	}
	return err
}

func readPID(file string) (int, error) {
	text, err := osfile.ReadSmall(file)
	if err != nil {
		return 0, fmt.Errorf("cannot read pid file %s: %w", file, osfile.Cause(err))
	}
	const bits = 31 // of a process id; the system would ignore further bits
	pid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, bits)
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("pid file %s holds no process id", file)
	}
	return int(pid), nil
}

// pidFileIsFree returns an error when the file names another running process, as
// gunicorn does. The server that this one takes over from does not count.
func pidFileIsFree(path string) error {
	pid, err := readPID(path)
	if path == "" || err != nil || pid == os.Getpid() || pid == os.Getppid() {
		return nil
	}
	if text, err := osfile.ReadSmall(path); err == nil && strings.HasSuffix(string(text), leaving) {
		return nil
	}
	if hasEnded(pid) {
		return nil
	}
	if !isLocked(path) { // written by a server that cannot lock it, or by another program
		if st, err := os.Stat(path); err == nil && isYounger(pid, st) {
			return nil // it has got the server's number, as after a restart of the machine
		}
	}
	return fmt.Errorf("another server is already running: pid file %s names process %d; stop it, or give this server a \"pid\" of its own", path, pid)
}

// isYounger reports whether the process began after the file was written. The clock
// may have been changed since, so it must not be asked about a locked file.
func isYounger(pid int, file fs.FileInfo) bool {
	began, ok := startOf(pid)
	return ok && began.After(file.ModTime())
}

// startOf returns when the process began, to the second, from Linux's /proc.
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

// bootTime returns when the system was started, to the second.
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
