package logfile

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy/proxytest"
)

func open(t *testing.T, dest string, o Options) (Sink, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(loadIn(t, dir), dest, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, filepath.Join(dir, dest)
}

// loadIn returns a Load whose files are in dir.
func loadIn(t *testing.T, dir string) *config.Load {
	l := &config.Load{Resources: config.NewResources(proxytest.NewHost()), Prefix: dir}
	t.Cleanup(l.Resources.Release)
	return l
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAReopenedLogGoesOnInANewFile(t *testing.T) {
	s, path := open(t, "x.log", Options{})
	s.Write([]byte("one\n"))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("two\n"))
	if err := s.Reopen(proxytest.NewHost()); err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("three\n"))
	if old, now := content(t, path+".old"), content(t, path); old != "one\ntwo\n" || now != "three\n" {
		t.Errorf("the old file has %q, the new one %q; want %q and %q", old, now, "one\ntwo\n", "three\n")
	}
}

// movedCases are what may have happened to a log file when a reload looks at it.
var movedCases = []struct {
	name      string
	change    func(path string) error
	old, want string // the content of path+".old", and of path
}{
	{"as it was", func(string) error { return nil }, "", "one\nheld\ntwo\n"},
	{"moved", func(path string) error { return os.Rename(path, path+".old") }, "one\nheld\n", "two\n"},
	{"removed", os.Remove, "", "held\ntwo\n"},
	{"linked", func(path string) error {
		return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path))
	}, "one\nheld\ntwo\n", "one\nheld\ntwo\n"},
	{"moved, and another is there", func(path string) error {
		return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("zero\n"), 0o644))
	}, "one\nheld\n", "zero\ntwo\n"},
	{"emptied", func(path string) error { return os.Truncate(path, 0) }, "", "held\ntwo\n"},
}

// A line that is held back goes where it would have gone without a buffer, or into the new file
// if nobody can read the old one any more.
func TestAMovedLogIsReopened(t *testing.T) {
	for _, c := range movedCases {
		s, path := open(t, "x.log", Options{Buffer: 1 << 10})
		f := s.(*File)
		f.Write([]byte("one\n"))
		f.Flush()
		f.Write([]byte("held\n"))
		if err := c.change(path); err != nil {
			t.Fatal(err)
		}
		if err := f.ReopenMoved(proxytest.NewHost()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		f.Write([]byte("two\n"))
		f.Flush()
		old, _ := os.ReadFile(path + ".old")
		if now := content(t, path); string(old) != c.old || now != c.want {
			t.Errorf("%s: the old file has %q, the new one %q; want %q and %q", c.name, old, now, c.old, c.want)
		}
	}
}

// otherHost opens all logs as the file at path, or returns err.
type otherHost struct {
	config.Host
	path string
	err  error
}

func (h otherHost) Append(string) (*os.File, error) {
	if h.err != nil {
		return nil, h.err
	}
	return os.OpenFile(h.path, os.O_APPEND|os.O_WRONLY, 0)
}

func TestALogThatCannotBeReopenedGoesOn(t *testing.T) {
	s, path := open(t, "x.log", Options{Buffer: 1 << 10})
	f := s.(*File)
	if err := f.ReopenMoved(otherHost{err: os.ErrPermission}); err != nil {
		t.Errorf("a log that is where it was: %v, want no error", err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("one\n"))
	if err := f.ReopenMoved(otherHost{err: os.ErrPermission}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a log that may not be opened: %v, want %v", err, os.ErrPermission)
	}
	before := f.f
	if err := f.ReopenMoved(otherHost{path: path + ".old"}); err != nil || f.f != before {
		t.Errorf("a path that only the host sees: %v, and the log is another file: %t; want no error, and the same file", err, f.f != before)
	}
	f.Write([]byte("two\n"))
	f.Flush()
	if old := content(t, path+".old"); old != "one\ntwo\n" {
		t.Errorf("the old file has %q, want %q", old, "one\ntwo\n")
	}
}

// Writers do not stop while their log is moved and reopened: each line is in one of the files,
// once.
func TestNoLineIsLostWhenALogIsReopened(t *testing.T) {
	const writers, each, moves = 4, 500, 20
	s, path := open(t, "x.log", Options{Buffer: 256})
	f := s.(*File)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				fmt.Fprintf(f, "%d-%d\n", w, i)
			}
		})
	}
	for i := range moves {
		err := os.Rename(path, fmt.Sprintf("%s.%d", path, i))
		if err == nil {
			err = f.ReopenMoved(proxytest.NewHost())
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	writing.Wait()
	f.Flush()
	all := content(t, path)
	for i := range moves {
		all += content(t, fmt.Sprintf("%s.%d", path, i))
	}
	seen := map[string]int{}
	for line := range strings.Lines(all) {
		seen[line]++
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%q was written %d times, want once", line, n)
		}
	}
	if len(seen) != writers*each {
		t.Errorf("the files have %d lines, want %d", len(seen), writers*each)
	}
}

func TestBufferedLinesAreWrittenInTimeAndAtTheEnd(t *testing.T) {
	s, path := open(t, "x.log", Options{Buffer: 1 << 10, Flush: 10 * time.Millisecond})
	s.Write([]byte("one\n"))
	proxytest.Eventually(t, func() bool { return content(t, path) == "one\n" }, "the buffer was not flushed")
	s.Write([]byte("two\n"))
	s.Close()
	if got := content(t, path); got != "one\ntwo\n" {
		t.Errorf("after the end the file has %q, want %q", got, "one\ntwo\n")
	}
}

func TestAGrownLogIsRotated(t *testing.T) {
	s, path := open(t, "x.log", Options{MaxSize: 10, Keep: 2})
	for _, line := range []string{"first line\n", "second line\n", "third line\n", "4\n"} {
		s.Write([]byte(line))
	}
	if got := []string{content(t, path), content(t, path+".1"), content(t, path+".2")}; strings.Join(got, "|") != "4\n|third line\n|second line\n" {
		t.Errorf("the files have %q, want %q", got, "4\n|third line\n|second line\n")
	}
}

func TestSyslogGetsOneDatagramForEachLine(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	s, _ := open(t, "syslog:server="+pc.LocalAddr().String()+",facility=local3,severity=warn,tag=shop,nohostname", Options{})
	s.Write([]byte("hello\n"))
	pc.SetReadDeadline(time.Now().Add(60 * time.Second))
	buf := make([]byte, 512)
	n, _, err := pc.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); !strings.HasPrefix(got, "<156>") || !strings.HasSuffix(got, " shop: hello") {
		t.Errorf(`the datagram is %q, want "<156>" at its beginning and " shop: hello" at its end`, got)
	}
}

func TestSyslogMistakesAreNamed(t *testing.T) {
	for _, dest := range []string{"syslog:", "syslog:server=a,facility=none", "syslog:server=a,bogus=1"} {
		l := &config.Load{Resources: config.NewResources(proxytest.NewHost())}
		if _, err := Open(l, dest, Options{}); err == nil {
			t.Errorf("%q was accepted", dest)
		}
	}
}

// TestASyslogThatReadsNothingHoldsNobodyUp fills the socket of a reader that
// takes nothing: what does not fit is lost, and counted.
func TestASyslogThatReadsNothingHoldsNobodyUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.sock")
	pc, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	s, _ := open(t, "syslog:server=unix:"+path, Options{})
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 5000 { // 5 MB, far more than any socket holds
		s.Write(line)
	}
	if lost := s.(interface{ Losses() Losses }).Losses().Lost; lost == 0 {
		t.Error("no line was lost")
	}
}
