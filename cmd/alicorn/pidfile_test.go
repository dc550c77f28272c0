package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

func TestAPIDFileHoldsOneProcessID(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want int
	}{
		{"42\n", 42},
		{" 42 ", 42},
		{"42" + leaving, 42},
		{"2147483647", 1<<31 - 1},
		{"2147483648", 0},
		{"4294967338", 0}, // 42 in the 32 bits that the system takes
		{"99999999999999999999", 0},
		{"+42", 0},
		{"-42", 0},
		{"4_2", 0},
		{"0x2a", 0},
		{"42 43", 0},
		{"1", 0},
		{"0", 0},
		{"", 0},
	} {
		file := filepath.Join(t.TempDir(), "x.pid")
		if err := os.WriteFile(file, []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid, err := readPID(file); pid != tc.want || (err == nil) != (tc.want > 0) {
			t.Errorf("%q gives %d, %v; want %d", tc.text, pid, err, tc.want)
		}
	}
}

// A clock that is set forward makes every process seem to have begun after the
// file was written. The file of a server that runs is not free for that.
func TestThePIDFileOfAServerThatRunsIsTakenWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.pid")
	p, err := writePID(path)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "600") // stands for the server that has the lock
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	if err := replaceText(path, itoa(other.Process.Pid)+"\n"); err != nil {
		t.Fatal(err)
	}
	year := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, year, year); err != nil {
		t.Fatal(err)
	}
	if err := pidFileIsFree(path); err == nil || !strings.Contains(err.Error(), "another server is already running") {
		t.Errorf(`the file of a server that runs: %v; want an error with "another server is already running"`, err)
	}
	p.unlock()
	// A child that another test has just forked has the lock until it executes.
	proxytest.Eventually(t, func() bool { return pidFileIsFree(path) == nil }, "the file of a server that has ended is free, though another process has its number")
}

// While a server finishes what is in progress its successor takes the file.
func TestThePIDFileOfAServerThatLeavesIsFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.pid")
	p, err := writePID(path)
	if err != nil {
		t.Fatal(err)
	}
	p.leave()
	if isLocked(path) {
		t.Error("the server that leaves holds its lock")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != itoa(os.Getpid())+leaving {
		t.Errorf("the file holds %q, %v", text, err)
	}
	p.remove()
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is left")
	}
}

// The pid file is for all to read. Who only reads it cannot make a server seem
// to run that has ended.
func TestAReaderOfThePIDFileDoesNotHoldIt(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "600") // has the number that the server had
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	path := filepath.Join(t.TempDir(), "x.pid")
	if err := replaceText(path, itoa(other.Process.Pid)+"\n"); err != nil {
		t.Fatal(err)
	}
	long := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC) // before that process
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := unix.Flock(int(reader.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if err := pidFileIsFree(path); err != nil {
		t.Errorf("a file that a reader locks: %v", err)
	}
	p, err := writePID(path)
	if err != nil || !isLocked(path) {
		t.Errorf("%v; locked by its server: %t, in spite of the reader", err, isLocked(path))
	}
	p.remove()
}

// A lock says nothing about a process that has ended.
func TestThePIDFileOfAProcessThatHasEndedIsFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.pid")
	p, err := writePID(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.unlock()
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if err := replaceText(path, itoa(ended.Process.Pid)+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := pidFileIsFree(path); err != nil {
		t.Errorf("the file names a process that has ended: %v", err)
	}
}
