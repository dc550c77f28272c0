package appserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
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

// All lines of one read are logged at once.
func TestOutputIsCutIntoLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads []string
		want  string // a ";" ends what is logged at once
	}{
		{"whole lines", []string{"a\nb\n"}, "a|b|;"},
		{"a line in parts", []string{"a", "b", "c\nd"}, "abc|;d|;"},
		{"lines across reads", []string{"a\nb\nc", "d\ne\nf"}, "a|b|;cd|e|;f|;"},
		{"a long line", []string{strings.Repeat("x", maxLine), "y\n"}, strings.Repeat("x", maxLine) + "|;y|;"},
		{"empty lines", []string{"\n\na\n"}, "||a|;"},
		{"many lines", []string{strings.Repeat("a\n", maxLine/2)}, strings.Repeat("a|", maxLine/2) + ";"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			l := lines{buf: make([]byte, 0, maxLine), log: func(ended [][]byte) {
				for _, line := range ended {
					got += string(line) + "|"
				}
				got += ";"
			}}
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
			l.flush()
			if got != c.want {
				t.Errorf("got %.100q, want %.100q", got, c.want)
			}
		})
	}
}

// A handler that can take several events at once takes all lines of a read so;
// one that cannot takes them one by one, in order.
func TestLinesOfOneReadAreLoggedTogether(t *testing.T) {
	w := &worker{name: "app web worker 1"}
	for _, c := range []struct {
		name    string
		handler slog.Handler
		written func(slog.Handler) []string
		want    []string
	}{
		{"all at once", &batches{}, func(h slog.Handler) []string { return h.(*batches).got }, []string{"app web worker 1: a|app web worker 1: b"}},
		{"one by one", &singles{}, func(h slog.Handler) []string { return h.(*singles).got }, []string{"app web worker 1: a", "app web worker 1: b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.pool = &Pool{}
			logs := func() *slog.Logger { return slog.New(c.handler) }
			w.pool.logs.Store(&logs)
			w.logLines(proxy.LevelError, [][]byte{[]byte("a\r"), nil, []byte("b")})
			w.logLines(proxy.LevelError, [][]byte{nil})
			if got := c.written(c.handler); !slices.Equal(got, c.want) {
				t.Errorf("wrote %q, want %q", got, c.want)
			}
		})
	}
}

// singles is a slog.Handler that takes events one by one.
type singles struct{ got []string }

func (s *singles) Enabled(context.Context, slog.Level) bool { return true }
func (s *singles) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *singles) WithGroup(string) slog.Handler            { return s }
func (s *singles) Handle(_ context.Context, r slog.Record) error {
	s.got = append(s.got, r.Message)
	return nil
}

// batches is one that takes several at once.
type batches struct{ singles }

func (b *batches) HandleAll(_ context.Context, _ time.Time, _ slog.Level, messages []string) error {
	b.got = append(b.got, strings.Join(messages, "|"))
	return nil
}
