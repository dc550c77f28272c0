package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudoterminal, and what was written to it.
type terminal struct {
	slave *os.File
	mu    sync.Mutex
	text  strings.Builder
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	term := &terminal{slave: slave}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
		}
	}()
	return term
}

func (t *terminal) shows(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Contains(t.text.String(), text)
}

func TestServeShowsRequestsOnATerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flags []string
		shows bool
		file  string // that has the request
	}{
		{"by default", nil, true, ""},
		{"not with --no-request-log", []string{"--no-request-log"}, false, ""},
		{"not with a file for them", []string{"--access-logfile", "access.log"}, false, "access.log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, address, term := t.TempDir(), freeAddress(t), newTerminal(t)
			cmd := serveOn(t, dir, term.slave, append([]string{"-b", address, "alicorn.demo:app"}, c.flags...)...)
			awaitCondition(t, "the terminal does not show the start", func() bool { return term.shows("Ctrl-C stops") })
			res, err := http.Get("http://" + address + "/shown?x=1")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if c.shows {
				awaitCondition(t, "the terminal does not show the request", func() bool { return term.shows("GET /shown?x=1 200 ") })
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			awaitCondition(t, "the terminal does not show the end", func() bool { return term.shows(": stopped") })
			if term.shows("GET /shown") != c.shows {
				t.Errorf("shown: %v, want %v", !c.shows, c.shows)
			}
			if c.file == "" {
				return
			}
			if text, err := os.ReadFile(filepath.Join(dir, c.file)); err != nil || !strings.Contains(string(text), "GET /shown?x=1") {
				t.Errorf(`%s has %q, %v; want "GET /shown?x=1" in it`, c.file, text, err)
			}
		})
	}
}
