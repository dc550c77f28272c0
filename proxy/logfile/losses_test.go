package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// full opens a log whose disk is full until room is called.
func full(t *testing.T) (f *File, path string, room func()) {
	t.Helper()
	s, path := open(t, "x.log", Options{})
	f = s.(*File)
	disk := f.f
	dev, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	f.f = dev
	return f, path, func() { f.f = disk }
}

func TestLostLinesAreCounted(t *testing.T) {
	f, path, room := full(t)
	f.Write([]byte("one\n"))
	f.Write([]byte("two\n\tmore\n"))
	got := f.Losses()
	if got.Path != path || got.Lost != 3 || !got.Failing || !errors.Is(got.Err, syscall.ENOSPC) || got.At.IsZero() {
		t.Errorf("%+v, want Path %q, Lost 3, Failing true, the error %v and a time", got, path, syscall.ENOSPC)
	}
	room()
	f.Write([]byte("three\n"))
	if got := f.Losses(); got.Lost != 3 || got.Failing {
		t.Errorf("afterwards %+v, want Lost 3 and Failing false", got)
	}
	if text := content(t, path); text != "three\n" {
		t.Errorf("the file has %q, want %q", text, "three\n")
	}
}

func TestALineAfterHalfALineBeginsANewOne(t *testing.T) {
	f, path, _ := full(t)
	f.f.Close()
	var err error
	if f.f, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	f.f.WriteString("ha")
	f.torn = true
	f.Write([]byte("whole\n"))
	if text := content(t, path); text != "ha\nwhole\n" {
		t.Errorf("the file has %q, want %q", text, "ha\nwhole\n")
	}
}

// What ends half a line belongs into the file that has the half.
func TestHalfALineIsForgottenWithItsFile(t *testing.T) {
	rename := func(path string) error { return os.Rename(path, path+".old") }
	for _, c := range []struct {
		name   string
		change func(path string) error
		reopen func(*File) error
		want   string
	}{
		{"moved and reopened", rename, func(f *File) error { return f.Reopen(f.host) }, "whole\n"},
		{"moved before a reload", rename, func(f *File) error { return f.ReopenMoved(f.host) }, "whole\n"},
		{"another file in its place", func(path string) error {
			return errors.Join(rename(path), os.WriteFile(path, []byte("zero\n"), 0o644))
		}, func(f *File) error { return f.Reopen(f.host) }, "zero\nwhole\n"},
		{"moved by a rotation", func(string) error { return nil }, func(f *File) error { f.o.Keep = 1; f.rotate(); return nil }, "whole\n"},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, func(*File) error { return nil }, "whole\n"},
		{"reopened where it was", func(string) error { return nil }, func(f *File) error { return f.Reopen(f.host) }, "ha\nwhole\n"},
	} {
		s, path := open(t, "x.log", Options{})
		f := s.(*File)
		f.f.WriteString("ha")
		f.torn = true
		if err := errors.Join(c.change(path), c.reopen(f)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		f.Write([]byte("whole\n"))
		if text := content(t, path); text != c.want {
			t.Errorf("%s: the file has %q, want %q", c.name, text, c.want)
		}
	}
}

func TestASpellOfFailuresIsSaidOnce(t *testing.T) {
	f, path, room := full(t)
	said := filepath.Join(t.TempDir(), "stderr")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	before := os.Stderr
	os.Stderr = out
	defer func() { os.Stderr = before }()
	disk := f.f
	for range 3 {
		f.Write([]byte("lost\n"))
	}
	room()
	f.Write([]byte("kept\n"))
	f.f = disk // full again, within the minute
	f.Write([]byte("lost\n"))
	room()
	f.Write([]byte("kept\n"))
	want := "alicorn: cannot write to log " + path + ": no space left on device; lines are lost until it can be written to again\n" +
		"alicorn: log " + path + " can be written to again; lines lost: 3\n"
	if got := content(t, said); got != want {
		t.Errorf("standard error has %q, want %q", got, want)
	}
}

func TestLinesThatSyslogDoesNotTakeAreCounted(t *testing.T) {
	s, _ := open(t, "syslog:server=unix:/none/such.sock", Options{})
	s.Write([]byte("one\n"))
	s.Write([]byte("two\n"))
	s.(*syslog).Flush()
	proxytest.Eventually(t, func() bool { return s.(*syslog).Losses().Lost == 2 }, "two lines are not counted")
	if got := s.(*syslog).Losses(); got.Lost != 2 || !got.Failing || !strings.Contains(got.Err.Error(), "no such file") {
		t.Errorf(`%+v, want Lost 2, Failing true and "no such file" in it`, got)
	}
}
