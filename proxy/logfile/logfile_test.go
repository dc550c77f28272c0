package logfile

import (
	"net"
	"os"
	"path/filepath"
	"strings"
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
