package pool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// All lines of a read are taken at once.
func TestOutputIsCutIntoLines(t *testing.T) {
	long := strings.Repeat("x", maxLine-1)
	for _, c := range []struct {
		name  string
		reads []string
		want  string // a ";" ends what is taken at once
	}{
		{"whole lines", []string{"a\nb\n"}, "a\nb\n;"},
		{"a line in parts", []string{"a", "b", "c\nd"}, "abc\n;d\n;"},
		{"lines across reads", []string{"a\nb\nc", "d\ne\nf"}, "a\nb\n;cd\ne\n;f\n;"},
		{"a line of much more than the first memory", []string{long[1:] + "\ny\n"}, long[1:] + "\n;y\n;"},
		{"a line longer than the bound", []string{long + "y\n"}, long + "\n;y\n;"},
		{"a line of twice the bound", []string{long + long + "\n"}, long + "\n;" + long + "\n;\n;"},
		{"empty lines", []string{"\n\na\n"}, "\n\na\n;"},
		{"what is no text", []string{"\x00\x1b[1m\xff\r\n"}, "\x00\x1b[1m\xff\r\n;"},
		{"many lines", []string{strings.Repeat("a\n", usualLine/2)}, strings.Repeat("a\n", usualLine/2) + ";"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			l := lines{take: func(lines []byte) { got += string(lines) + ";" }}
			err := l.copy(func(p []byte) (n int, err error) {
				if len(c.reads) == 0 {
					return 0, io.EOF
				}
				if len(p) == 0 {
					t.Fatal("got a read into 0 bytes, want room")
				}
				n = copy(p, c.reads[0])
				if c.reads[0] = c.reads[0][n:]; c.reads[0] == "" {
					c.reads = c.reads[1:]
				}
				return n, nil
			})
			if !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v, want %v", err, io.EOF)
			}
			l.flush()
			if got != c.want {
				t.Errorf("took %d bytes %.100q, want %d bytes %.100q", len(got), got, len(c.want), c.want)
			}
			if cap(l.buf) > keptLine {
				t.Errorf("%d bytes of memory stay, want at most %d", cap(l.buf), keptLine)
			}
		})
	}
}

// A handler that takes several events at once gets them so; another one gets them one by one, in
// order.
func TestLinesOfOneReadAreLoggedTogether(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler slog.Handler
		prefix  bool
		stacks  bool
		want    []string
	}{
		{"as they are", &batches{}, false, false, []string{"a\r\n\nb\n"}},
		{"with a prefix", &batches{}, true, false, []string{"web:1: a\r\nweb:1: \nweb:1: b\n"}},
		{"one by one", &singles{}, false, false, []string{"a", "", "b"}},
		{"stacks, all at once", &batches{}, false, true, []string{"web:1: a|web:1: b"}},
		{"stacks, one by one", &singles{}, false, true, []string{"web:1: a", "web:1: b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &worker{name: "web:1", pool: &Pool{}}
			w.pool.SetLogs(Logs{Errors: func() *slog.Logger { return slog.New(c.handler) }, Prefix: c.prefix})
			take := w.printLines
			if c.stacks {
				take = w.logStacks
			}
			take([]byte("a\r\n\nb\n"))
			got := []string{}
			switch h := c.handler.(type) {
			case *batches:
				got = h.got
			case *singles:
				got = h.got
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("wrote %q, want %q", got, c.want)
			}
		})
	}
}

// Output of the application goes to its destination. Lines of gunicorn.error go to the error log.
func TestOutputGoesToTheNamedPlace(t *testing.T) {
	var place bytes.Buffer
	h := &batches{}
	w := &worker{name: "web:1", pool: &Pool{}}
	w.pool.SetLogs(Logs{Errors: func() *slog.Logger { return slog.New(h) }, Output: &place})
	w.printLines([]byte("a\n"))
	w.logLines([]byte("b\n"))
	if place.String() != "a\n" || !slices.Equal(h.got, []string{"b\n"}) {
		t.Errorf("the place has %q, the log %q; want %q and %q", place.String(), h.got, "a\n", []string{"b\n"})
	}
}

// The lines that are kept from before a worker is ready have bounds.
func TestTheLastLinesAreBounded(t *testing.T) {
	var l lastLines
	l.add(bytes.Repeat([]byte("x"), maxLine))
	l.add([]byte(strings.Repeat("\n\r\ny\n", 39)))
	if got, want := l.end(), strings.Repeat("x", maxEarly)+strings.Repeat("\ny", 39); got != want {
		t.Errorf("kept %d bytes, want %d", len(got), len(want))
	}
	l.add([]byte("z\n"))
	if got := l.end(); got != "" {
		t.Errorf(`kept %q after the end, want ""`, got)
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

// batches is a slog.Handler that takes several events at once.
type batches struct{ singles }

func (b *batches) HandleAll(_ context.Context, _ time.Time, _ slog.Level, messages []string) error {
	b.got = append(b.got, strings.Join(messages, "|"))
	return nil
}

func (b *batches) Print(lines []byte) { b.got = append(b.got, string(lines)) }
