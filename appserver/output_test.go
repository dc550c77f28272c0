package appserver

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// A process that a dead worker leaves behind may hold its output open: the
// worker is replaced at once, and the process's lines go to the log still.
func TestAChildThatHoldsTheOutputDelaysNoReplacement(t *testing.T) {
	s := newSite(t, "workers 1;")
	expect(t, s.Get("/die-with-a-child"), 502, "")
	expect(t, s.Get("/"), 200, "hello")
	later := regexp.MustCompile(`(?s)exited: SIGKILL.*printed by the child`)
	proxytest.Eventually(t, func() bool { return later.MatchString(s.Log.String()) }, "a line of the child after the worker's end")
}

func TestOutputIsCutIntoLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads []string
		want  string
	}{
		{"whole lines", []string{"a\nb\n"}, "a|b|"},
		{"a line in parts", []string{"a", "b", "c\nd"}, "abc|d|"},
		{"a long line", []string{strings.Repeat("x", maxLine), "y\n"}, strings.Repeat("x", maxLine) + "|y|"},
		{"empty lines", []string{"\n\na\n"}, "||a|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			l := lines{buf: make([]byte, 0, maxLine), log: func(line []byte) { got += string(line) + "|" }}
			err := l.copy(func(p []byte) (n int, err error) {
				if len(c.reads) == 0 {
					return 0, io.EOF
				}
				n = copy(p, c.reads[0])
				if c.reads[0] = c.reads[0][n:]; c.reads[0] == "" {
					c.reads = c.reads[1:]
				}
				return n, nil
			})
			if !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
			if len(l.buf) > 0 {
				l.flush()
			}
			if got != c.want {
				t.Errorf("got %.100q, want %.100q", got, c.want)
			}
		})
	}
}
